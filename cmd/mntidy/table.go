package main

// room is one row of the table of floors: a package, the floor it stands on,
// and what it may import of this module. "pure" rooms only compute.
type room struct {
	path  string
	floor int
	pure  bool
	may   []string
}

// rooms are all packages, from the ground up. Imports go down only.
var rooms = []room{
	{"crdt", 1, true, nil},
	{"docs", 1, true, nil},
	{"runner/disk", 1, false, nil},

	{"mesh", 2, true, []string{"crdt"}},
	{"crdt/store", 2, false, []string{"crdt"}},
	{"health/clock", 2, false, nil},
	{"runner/archive", 2, false, []string{"runner/disk"}},
	{"runner/frames", 2, false, nil},

	{"placement", 3, true, nouns},
	{"placement/lease", 3, true, nouns},
	{"runner", 3, true, nouns},
	{"health", 3, true, nouns},
	{"runner/logs", 3, false, nouns},
	{"runner/files", 3, false, []string{"mesh", "crdt", "runner/disk", "runner/frames"}},
	{"runner/cgroup", 3, false, nil},
	{"runner/sandbox", 3, false, nil},
	{"runner/supervise", 4, false, []string{
		"runner/cgroup", "runner/sandbox", "runner/logs", "runner/frames", "health/clock",
	}},
	{"health/dns", 4, false, []string{"mesh", "crdt", "health"}},
	{"health/probe", 4, false, []string{"mesh", "crdt", "health"}},
	{"health/vitals", 3, false, []string{"mesh", "crdt", "health/clock"}},
	{"health/inventory", 3, false, nouns},
	{"configs", 3, false, []string{"mesh", "crdt", "docs"}},
	{"configs/manifest", 4, false, []string{"mesh", "configs"}},
	{"mesh/content", 3, false, []string{"mesh", "crdt", "runner/disk"}},
	{"mesh/fetch", 3, false, []string{"mesh", "crdt", "runner/archive", "runner/disk"}},
	{"mesh/identity", 3, false, []string{"mesh", "crdt", "health/clock"}},
	{"mesh/membership", 3, false, nouns},

	{"placement/reconcile", 4, true, []string{"mesh", "crdt", "placement"}},
	{"mesh/api", 4, false, []string{"mesh", "crdt", "health"}},
	{"mesh/transport", 4, false, []string{"mesh", "crdt", "mesh/identity"}},
	{"runner/drivertest", 4, false, []string{"mesh", "crdt", "runner"}},
	{"runner/exec", 5, false, []string{
		"mesh", "crdt", "runner", "runner/archive", "runner/cgroup", "runner/disk", "runner/frames", "runner/logs",
		"runner/supervise",
	}},
	{"runner/container", 5, false, []string{
		"mesh", "crdt", "runner", "runner/frames", "runner/supervise", "health/clock",
	}},
	{"runner/container/podmantest", 5, false, nil},
	{"runner/supervise/early", 5, false, []string{"runner/supervise"}},

	{"mesh/core", 5, true, []string{
		"crdt", "health", "mesh", "placement", "placement/lease", "placement/reconcile", "runner",
	}},

	{"mesh/daemon", 6, false, anyBelow},
	{"sim", 6, true, []string{
		"crdt", "health", "mesh", "mesh/core", "placement", "placement/lease", "placement/reconcile", "runner",
	}},

	{"sim/lab/wire", 4, false, nil},
	{"sim/lab/watch", 4, false, nil},
	{"sim/lab/host", 5, false, []string{"sim/lab/wire"}},
	{"sim/lab", 5, false, []string{"mesh", "crdt", "mesh/api"}},
	{"sim/lab/cases", 6, false, []string{
		"mesh", "crdt", "mesh/api", "sim/lab", "sim/lab/host", "sim/lab/watch", "sim/lab/wire",
	}},

	{"cmd/mn", 7, false, []string{
		"mesh", "crdt", "mesh/api", "mesh/content", "mesh/daemon", "configs", "configs/manifest",
		"runner/container", "runner/files", "runner/frames", "runner/supervise/early", "sim",
		"sim/lab",
	}},
	{"cmd/mndemo", 7, false, []string{"mesh", "mesh/api", "configs", "sim/lab"}},
	{"cmd/mnbench", 7, false, []string{"mesh", "mesh/api", "configs", "sim/lab"}},
	{"cmd/mnmutants", 7, false, []string{"mesh", "configs", "sim"}},
	{"cmd/mnlab", 7, false, []string{"mesh", "sim/lab/cases", "sim/lab/watch"}},
	{"cmd/mntidy", 7, false, nil},
}

var (
	nouns    = []string{"mesh", "crdt"}
	anyBelow = []string{"*"}
)

// library is a dependency and the packages that adapt it to us. Nobody else
// imports it, so it can be replaced in one place.
type library struct {
	path  string
	rooms []string // nil for all that are not pure
}

// libraries are all direct dependencies of what we ship. Those that only tests
// use are not here: tests may import any.
var libraries = []library{
	{"github.com/cespare/xxhash", []string{"placement"}},
	{"github.com/containerd/errdefs", []string{"runner/container"}},
	{"github.com/dgraph-io/badger", []string{"crdt/store"}},
	{"github.com/dgraph-io/ristretto", []string{"crdt/store"}}, // badger's own memory
	{"github.com/distribution/reference", []string{"runner/container"}},
	{"github.com/fxamacker/cbor", []string{"crdt"}},
	{"github.com/hashicorp/go-version", []string{"mesh", "placement"}},
	{"github.com/hashicorp/memberlist", []string{"mesh/membership", "mesh/transport"}},
	{"github.com/hashicorp/serf", []string{"mesh/membership"}},
	{"github.com/klauspost/compress", []string{"runner/archive"}}, // zstd, which badger packs with
	{"github.com/miekg/dns", []string{"health/dns"}},
	{"github.com/moby/moby", []string{"runner/container"}},
	{"github.com/moby/patternmatcher", []string{"cmd/mn"}},
	{"github.com/pelletier/go-toml", []string{"configs"}},
	{"github.com/quic-go/quic-go", []string{"mesh/transport"}},
	{"github.com/rogpeppe/go-internal", []string{"cmd/mn"}},
	{"github.com/spf13/cobra", []string{"cmd/mn"}},
	{"github.com/spf13/pflag", []string{"cmd/mn"}}, // whose errors cobra hands on
	{"google.golang.org/protobuf", []string{"health/probe"}},
	{"golang.org/x/sys", nil}, // the rest of package syscall
	{"golang.org/x/term", []string{"cmd/mn"}},
}

// pureStandard is what pure packages may import of the standard library. A
// trailing slash admits all below.
var pureStandard = []string{
	"bufio", "bytes", "cmp", "container/", "crypto/ed25519", "crypto/hmac", "crypto/sha256",
	"crypto/sha512", "embed", "encoding", "encoding/", "errors", "fmt", "hash", "hash/", "io", "iter",
	"maps", "math", "math/big", "math/bits", "math/rand/v2", "net/netip", "net/url", "path",
	"reflect", "regexp", "slices", "sort", "strconv", "strings", "text/", "time", "unicode",
	"unicode/",
}

// pureExcept are imports of pure packages that are not on that list, and why.
var pureExcept = map[[2]string]string{
	{"mesh", "net/http"}:    "names of status codes",
	{"mesh", "archive/zip"}: "reads the time zones, which are part of the program",
	{"mesh", "sync"}:        "keeps the time zones that were read",
}

// initsIn are the packages that may have an init, and why.
var initsIn = map[string]string{
	"runner/supervise/early": "it is there to run before main's other imports",
}

// impure are functions of packages that pure code may import, and what to use
// in their place.
var impure = map[string]struct {
	names  []string
	remedy string
}{
	"time": {
		[]string{
			"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker",
			"LoadLocation",
		},
		"take now as a parameter, and say when to be woken",
	},
	"fmt": {
		[]string{"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
		"return it, or emit a mesh.Event",
	},
	"math/rand/v2": {
		[]string{
			"ExpFloat64", "Float32", "Float64", "Int", "Int32", "Int32N", "Int64", "Int64N", "IntN",
			"N", "NormFloat64", "Perm", "Shuffle", "Uint", "Uint32", "Uint32N", "Uint64", "Uint64N",
			"UintN",
		},
		"take a *rand.Rand, so that a seed gives the same run",
	},
}
