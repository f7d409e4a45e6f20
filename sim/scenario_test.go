package sim

import (
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/configs"
	"mn/mesh"
)

func TestShippedScenariosAreGood(t *testing.T) {
	files, err := fs.Glob(Shipped, "scenarios/*.toml")
	if err != nil || len(files) < 15 {
		t.Fatalf("there are %d scenarios, %v; want at least 15", len(files), err)
	}
	for _, file := range files {
		s := shipped(t, strings.TrimSuffix(path.Base(file), ".toml"))
		if s.About == "" || strings.HasSuffix(s.About, ".") || len(s.Proves) == 0 {
			t.Errorf("%s: want a sentence without a full stop on what it shows, and what it proves", file)
		}
	}
}

func TestWrongScenariosAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{
			"a count that is none", `proves = ["takeover"]`,
			`x.toml:1:11: proves[0]: "takeover" is no count; did you mean "takeovers"?`,
		},
		{
			"a fault that is none", "[[fault]]\nat = \"1s\"\ndo = \"explode\"",
			`x.toml:3:6: fault[0].do: "explode" is no fault; known are kill, power,`,
		},
		{"too many nodes", "nodes = 5000", "x.toml:1:9: nodes: must be from 1 to 1000, not 5000"},
		{"fewer than the fewest", "nodes = 5\nnodes_max = 3", "x.toml:2:13: nodes_max: must be from nodes (5) to 1000, not 3"},
		{"a share that is none", "[network]\nloss = \"half\"", `x.toml:2:8: network.loss: share "half": want a percentage`},
		{"an unknown key", "[chaos]\nevry = \"1s\"", `x.toml:2:1: unknown key "evry" in [chaos]; did you mean "every"?`},
		{
			"a wild clock", "[[machine]]\nppm = 1000000",
			"x.toml:2:7: machine[0].ppm: must be within 100000 parts per million, not 1000000",
		},
		{"a negative time", `for = "-1s"`, "x.toml:1:7: for: must be from 0 to 720h, not -1s"},
		{"a request that is none", "[people]\ndo = [\"destroy\"]", `x.toml:2:7: people.do[0]: "destroy" is no request`},
		{"a program without a name", "[[program]]\nwork = \"1s\"", "program[0].name: is missing"},
		{"a wrong job for later", "[[later]]\nname = \"a b\"", `x.toml:2:8: later[0].name: "a b" is not a name`},
		{"a wrong job", "[[job]]\nname = \"a b\"", `x.toml:2:8: job[0].name: "a b" is not a name`},
	} {
		var s Scenario
		err := configs.Parse("x.toml", []byte(c.text), &s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// broken is a run in which nothing can settle in time, and so always fails.
func broken(t testing.TB) (Scenario, Options, Result) {
	t.Helper()
	s := shipped(t, "steady")
	s.For, s.Settle = mesh.Duration(20*time.Second), 1
	for i, kind := range []string{"drift", "slow", "disk_slow", "join"} {
		s.Faults = append(s.Faults, Fault{At: mesh.Duration(time.Duration(i+1) * time.Second), Do: kind})
	}
	s.Faults = append(s.Faults, Fault{
		At: mesh.Duration(5 * time.Second), Do: "power", Who: "n2", For: mesh.Duration(time.Minute),
	})
	o := Options{Seed: 3, Timeline: true}
	r := Run(s, o)
	if r.Violation == nil || r.Violation.Invariant != "settles" {
		t.Fatalf("got %v, want nothing to settle within a nanosecond", r.Violation)
	}
	return s, o, r
}

func TestShrinkLeavesOutWhatHasNothingToDoWithIt(t *testing.T) {
	s, o, r := broken(t)
	o, small := Shrink(s, o, r, func() bool { return true })
	if small.Violation == nil || len(small.Faults) != 1 || !strings.HasPrefix(small.Faults[0].Text, "power n2") {
		t.Fatalf("the shortest way has faults %v, want only that n2 has no power", small.Faults)
	}
	again := Run(s, o)
	if again.Violation == nil || again.Violation.Text != small.Violation.Text || again.Trace != small.Trace {
		t.Errorf("replayed it shows %v, want %v", again.Violation, small.Violation)
	}
	if want := []int{0, 1, 2, 3}; !slices.Equal(o.Without, want) {
		t.Errorf("left out are %v, want %v", o.Without, want)
	}
}

func TestPictureIsWellFormed(t *testing.T) {
	_, _, r := broken(t)
	svg := r.SVG()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"violates settles", ">n5<", "agent down", "power n2"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
}

func TestSumAddsUp(t *testing.T) {
	_, _, r := broken(t)
	good := Run(shipped(t, "steady"), Options{Seed: 1})
	sum := Sum([]Result{r, good})
	if sum.Runs != 2 || sum.Passed != 1 || sum.Steps != r.Steps+good.Steps || sum.Virtual != r.Virtual+good.Virtual {
		t.Errorf("sum is %+v", sum)
	}
	all := sum.Figures.Traffic[len(sum.Figures.Traffic)-1]
	if all.Class != classAll || all.Messages == 0 || all.NodeBytes == 0 {
		t.Errorf("traffic in all is %+v", all)
	}
	s := shipped(t, "steady")
	s.Proves = []string{"takeovers", "writes_refused"}
	if got := Unproven(s, []Result{good}); !slices.Contains(got, DiskRefused) {
		t.Errorf("unproven are %v, want %s among them", got, DiskRefused)
	}
}
