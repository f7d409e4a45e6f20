package sim

import (
	"fmt"
	"os"
	"testing"

	"mn/configs"
	"mn/mesh"
)

// regressions is the file of seeds that once broke a promise.
type regressions struct {
	Seeds []struct {
		Scenario string `toml:"scenario"`
		Seed     int    `toml:"seed"`
		Shows    string `toml:"shows"`
	} `toml:"seed"`
}

// Validate finds nothing wrong: what is in it is run.
func (*regressions) Validate() []mesh.FieldFault { return nil }

func TestSeedsThatOnceBroke(t *testing.T) {
	const file = "testdata/seeds.toml"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list regressions
	if err := configs.Parse(file, data, &list); err != nil || len(list.Seeds) == 0 {
		t.Fatalf("%d seeds: %v", len(list.Seeds), err)
	}
	for _, s := range list.Seeds {
		t.Run(fmt.Sprintf("%s-%d", s.Scenario, s.Seed), func(t *testing.T) {
			t.Parallel()
			if r := Run(shipped(t, s.Scenario), Options{Seed: uint64(s.Seed)}); r.Violation != nil {
				t.Errorf("%s: %v", s.Shows, r.Violation)
			}
		})
	}
}
