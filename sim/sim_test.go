package sim

import (
	"io/fs"
	"testing"
	"time"

	"mn/configs"
	"mn/mesh"
)

// shipped reads a scenario that comes with mn.
func shipped(t testing.TB, name string) Scenario {
	t.Helper()
	s := Scenario{Name: name}
	data, err := fs.ReadFile(Shipped, "scenarios/"+name+".toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := configs.Parse(name+".toml", data, &s); err != nil {
		t.Fatal(err)
	}
	s.Defaults()
	return s
}

func TestSameSeedSameTrace(t *testing.T) {
	s := shipped(t, "swarm")
	s.For = mesh.Duration(30 * time.Second)
	for seed := range uint64(3) {
		a := Run(s, Options{Seed: seed})
		b := Run(s, Options{Seed: seed, Timeline: true, Messages: true})
		if a.Trace != b.Trace || a.Steps != b.Steps {
			t.Errorf("seed %d: trace %s of %d steps, then %s of %d", seed, a.Trace, a.Steps, b.Trace, b.Steps)
		}
		if c := Run(s, Options{Seed: seed + 100}); c.Trace == a.Trace {
			t.Errorf("seeds %d and %d have one trace", seed, seed+100)
		}
	}
}

func TestMeshAtRest(t *testing.T) {
	s := shipped(t, "steady")
	if r := Run(s, Options{Seed: 1}); r.Violation != nil {
		t.Error(r.Violation)
	}
}
