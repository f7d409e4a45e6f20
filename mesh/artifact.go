package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// Artifact is something that a node fetches before a task starts for the first time, and that
// the task finds in its own folder.
type Artifact struct {
	// Source is an address with http, https or file; of a git repository, after "git::", one with
	// http or https.
	Source   string `json:"source" toml:"source"`
	Checksum string `json:"checksum,omitempty" toml:"checksum"` // sha256:HEX, or ChecksumNone
	Commit   string `json:"commit,omitempty" toml:"commit"`     // of a git repository: the whole hash
	// Destination is where it is put, beneath the task's folder: a name that nothing has yet.
	Destination string   `json:"destination,omitempty" toml:"destination"`
	Unpack      Unpack   `json:"unpack,omitempty" toml:"unpack"`
	Executable  bool     `json:"executable,omitempty" toml:"executable"`
	MaxSize     Bytes    `json:"max_size,omitempty" toml:"max_size"` // of what is fetched
	Timeout     Duration `json:"timeout,omitempty" toml:"timeout"`   // of a try to fetch it
}

// Unpack says what becomes of an archive.
type Unpack string

// The ways to unpack.
const (
	UnpackAuto Unpack = "auto" // what its name says is an archive is unpacked (the default)
	UnpackNone Unpack = "none"
)

// ChecksumNone stands for no checksum: whatever comes is taken, and fetched for each copy.
const ChecksumNone = "none"

// GitPrefix begins the source of a git repository.
const GitPrefix = "git::"

// checksumPrefix begins a checksum.
const checksumPrefix = "sha256:"

// Bounds of artifacts.
const (
	artifactsMax       = 32 // of a task
	artifactSourceMax  = 2048
	artifactSize       = 4 * GiB // if max_size is unset
	artifactSizeMax    = 64 * GiB
	artifactTimeout    = 30 * time.Minute // if timeout is unset
	artifactTimeoutMax = 24 * time.Hour
	destinationMax     = 512
	destinationPartMax = 255 // bytes of a name, of which file systems have no longer ones
)

// archiveSuffixes are those of names of archives.
var archiveSuffixes = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip"}

// IsGit says whether it is a git repository.
func (a *Artifact) IsGit() bool { return strings.HasPrefix(a.Source, GitPrefix) }

// URL is the address that it is fetched from.
func (a *Artifact) URL() (*url.URL, error) {
	u, err := url.Parse(strings.TrimPrefix(a.Source, GitPrefix))
	if err != nil {
		return nil, errors.New("it is no URL") // what the parser says repeats it, and any password
	}
	return u, nil
}

// Shown is where it comes from, for people: without what may be a secret.
func (a *Artifact) Shown() string {
	u, err := a.URL()
	if err != nil {
		return "an address that cannot be read"
	}
	return ShownURL(u)
}

// ShownURL is an address without what may be a secret: user, password, query and fragment.
func ShownURL(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

// Suffix is that of an archive which is to be unpacked, or "".
func (a *Artifact) Suffix() string {
	u, err := a.URL()
	if err != nil || a.Unpack == UnpackNone || a.IsGit() {
		return ""
	}
	found := ""
	for _, s := range archiveSuffixes {
		if strings.HasSuffix(strings.ToLower(u.Path), s) && len(s) > len(found) {
			found = s
		}
	}
	return found
}

// Place is the effective Destination: if unset, the last part of the source's path, without the
// suffix of an archive that is unpacked, or of a repository.
func (a *Artifact) Place() string {
	if a.Destination != "" {
		return a.Destination
	}
	u, err := a.URL()
	if err != nil {
		return ""
	}
	base := path.Base(u.Path)
	if a.IsGit() {
		return strings.TrimSuffix(base, ".git")
	}
	return base[:len(base)-len(a.Suffix())]
}

// Pinned says whether the job says what has to come, so that it may come from anywhere.
func (a *Artifact) Pinned() bool { return a.Checksum != ChecksumNone }

// Name is what the nodes call the content: the SHA-256 of the file if that is known, else one
// that follows from the commit and the whole source, user and password too: who knows the commit
// alone is not to get what is in a repository.
func (a *Artifact) Name() [sha256.Size]byte {
	var sum [sha256.Size]byte
	if a.IsGit() {
		return sha256.Sum256([]byte("git commit " + a.Commit + " of " + a.Source))
	}
	_, _ = hex.Decode(sum[:], []byte(strings.TrimPrefix(a.Checksum, checksumPrefix))) // validation has
	return sum
}

// Most is the effective MaxSize.
func (a *Artifact) Most() int64 {
	if a.MaxSize == 0 {
		return int64(artifactSize)
	}
	return int64(a.MaxSize)
}

// Limit is the effective Timeout.
func (a *Artifact) Limit() time.Duration {
	if a.Timeout == 0 {
		return artifactTimeout
	}
	return a.Timeout.Std()
}

// artifacts checks what can be known of artifacts before they are fetched.
func (v *validator) artifacts(t *Task) {
	if len(t.Artifacts) > artifactsMax {
		v.fault("has %d entries, more than %d", len(t.Artifacts), artifactsMax).at("artifact")
		return
	}
	var places []string
	for i := range t.Artifacts {
		a := &t.Artifacts[i]
		at := func(key string) []string { return []string{"artifact", fmt.Sprint(i), key} }
		if !v.artifactSource(a, at) {
			continue
		}
		v.artifactPin(a, at)
		v.destination(a, places, at)
		places = append(places, a.Place())
		oneOf(v, a.Unpack, unpacks, at("unpack")...)
		if a.Executable && (a.IsGit() || a.Suffix() != "") {
			v.fault("is for a single file, and what is unpacked has modes of its own: leave it out").
				at(at("executable")...)
		}
		if a.MaxSize < 0 || a.MaxSize > artifactSizeMax {
			v.fault("must be from 1 B to %v, not %d B", artifactSizeMax, a.MaxSize).at(at("max_size")...)
		}
		v.duration(a.Timeout, 0, artifactTimeoutMax, at("timeout")...)
	}
}

// artifactSource says whether the source can be read. What is wrong is told without the text: it
// may hold a password.
func (v *validator) artifactSource(a *Artifact, at func(string) []string) bool {
	where := at("source")
	u, err := a.URL()
	switch {
	case a.Source == "":
		v.fault("is missing: want an address with https://, http://, file:// or git::https://").at(where...)
	case len(a.Source) > artifactSourceMax:
		v.fault("is longer than %d bytes", artifactSourceMax).at(where...)
	case err != nil || strings.ContainsFunc(a.Source, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		v.fault("is not an address: want one such as https://host/path").at(where...)
	case a.IsGit() && u.Scheme != "https" && u.Scheme != "http":
		v.fault("git is fetched from https:// and http:// addresses only, not %q: want git::https://host/path",
			clip(u.Scheme)).at(where...)
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "file":
		v.fault("has unsupported scheme %q; supported: https, http, file, and git::https", clip(u.Scheme)).at(where...)
	case u.Scheme == "file" && (u.Host != "" || !path.IsAbs(u.Path) || path.Clean(u.Path) != u.Path || u.Path == "/"):
		v.fault("names no file: want file:// and an absolute path without . and ..").at(where...)
	case u.Scheme != "file" && (u.Hostname() == "" || strings.HasPrefix(u.Host, "-")):
		v.fault("names no host: want one such as https://host/path").at(where...)
	default:
		return true
	}
	return false
}

// artifactPin: what comes from outside is what the job's author has seen.
func (v *validator) artifactPin(a *Artifact, at func(string) []string) {
	if a.IsGit() {
		switch {
		case a.Commit == "":
			v.fault("is missing: want the whole hash of a commit, as git rev-parse HEAD shows it").at(at("commit")...)
		case len(a.Commit) != 40 && len(a.Commit) != 64 || !lowerHex(a.Commit):
			v.fault("%q is not the whole hash of a commit: want 40 or 64 of 0-9 and a-f", clip(a.Commit)).
				at(at("commit")...)
		}
		if a.Checksum != "" {
			v.fault("is for a file, and a repository has commit: leave it out").at(at("checksum")...)
		}
		return
	}
	if a.Commit != "" {
		v.fault("is for a source that begins with %s: leave it out", GitPrefix).at(at("commit")...)
	}
	sum, sha := strings.CutPrefix(a.Checksum, checksumPrefix)
	u, err := a.URL()
	if err != nil {
		return // it has been told
	}
	switch {
	case a.Checksum == "":
		v.fault("is missing: want %q and what sha256sum FILE shows, or %q for whatever comes",
			checksumPrefix, ChecksumNone).at(at("checksum")...)
	case a.Checksum == ChecksumNone && u.Scheme == "http": // however it is written
		v.fault("%q takes whatever comes, which over http:// anybody on the way may change: "+
			"want a checksum, or https://", ChecksumNone).at(at("checksum")...)
	case a.Checksum != ChecksumNone && (!sha || len(sum) != 64 || !lowerHex(sum)):
		v.fault("%q is not a checksum: want %q and 64 of 0-9 and a-f, or %q", clip(a.Checksum), checksumPrefix,
			ChecksumNone).at(at("checksum")...)
	}
}

// lowerHex says whether a text is hex as the tools write it.
func lowerHex(s string) bool { return isHex(s) && strings.ToLower(s) == s }

// destination checks where an artifact goes, beside those before it.
func (v *validator) destination(a *Artifact, places []string, at func(string) []string) {
	to, where := a.Place(), at("destination")
	switch {
	case a.Destination == "" && (to == "" || to == "." || to == "/" || to == ".."):
		v.fault("is missing, and the source ends in no name").at(where...)
		return
	case !v.beneath(to, where):
		return
	}
	for _, other := range places {
		if WithinPath(to, other) || WithinPath(other, to) {
			v.fault("is %q, and another artifact goes to %q: want places beside each other", clip(to), clip(other)).
				at(where...)
			return
		}
	}
}

// beneath checks that a path is one beneath the task's folder that is not ours, and says whether it is.
func (v *validator) beneath(to string, where []string) bool {
	switch {
	case to == "." || path.IsAbs(to) || path.Clean(to) != to || to == ".." || strings.HasPrefix(to, "../"):
		v.fault("%q is not a path beneath the task's folder: want a relative one, without . and ..", clip(to)).
			at(where...)
	case WithinPath(to, VolumesDir) || to == CheckpointReady || WithinPath(to, PythonNote):
		v.fault("%q is a name of ours in the task's folder: want another", clip(to)).at(where...)
	case len(to) > destinationMax || strings.ContainsFunc(to, func(r rune) bool { return r < ' ' || r == '\\' }):
		v.fault("%q is not a path of at most %d bytes, without \\ and control characters", clip(to), destinationMax).
			at(where...)
	case slices.ContainsFunc(strings.Split(to, "/"), func(s string) bool { return len(s) > destinationPartMax }):
		v.fault("%q has a name of more than %d bytes in it: want a shorter one", clip(to), destinationPartMax).
			at(where...)
	default:
		return true
	}
	return false
}

// WithinPath says whether a relative path is another, or beneath it, by their names. Both are
// clean.
func WithinPath(name, folder string) bool { return Within("/"+name, "/"+folder) }
