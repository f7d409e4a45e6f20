package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/configs"
)

// TestEveryMutantApplies keeps the mutants true to the code that they break.
func TestEveryMutantApplies(t *testing.T) {
	list, err := readMutants("../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		mutated, err := m.mutate("../..")
		if err != nil {
			t.Error(err)
		}
		for file, text := range mutated {
			source, err := os.ReadFile(filepath.Join("../..", file))
			if err != nil {
				t.Fatal(err)
			}
			if text == string(source) {
				t.Errorf("mutant %q changes nothing in %s", m.Name, file)
			}
		}
		if len(m.Scenarios) == 0 {
			t.Errorf("mutant %q: want the scenarios that show it soonest", m.Name)
		}
		if _, err := readScenarios(strings.Join(m.Scenarios, ",")); err != nil {
			t.Errorf("mutant %q: %v", m.Name, err)
		}
	}
}

// TestRightCodeIsNotFound: a hunt of the code as it is ends with nothing.
func TestRightCodeIsNotFound(t *testing.T) {
	scenarios, err := readScenarios("steady")
	if err != nil {
		t.Fatal(err)
	}
	if k := search(scenarios, 2, 6, time.Now().Add(time.Hour)); k.Found || k.Runs != 4 {
		t.Errorf("got %+v, want nothing found in 4 runs", k)
	}
	if why, err := innocent(kill{Scenario: "steady", Seed: 1}); why != "" || err != nil {
		t.Errorf("got %q, %v; want nothing broken without a fault", why, err)
	}
}

func TestWrongMutantsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no edit at all", `about = "x"`, "file is missing"},
		{"no sentence", "file = \"a\"\nold = \"b\"", "about is missing"},
		{"half an edit", "about = \"x\"\nfile = \"a\"", "old is missing"},
		{"half an edit in a list", "about = \"x\"\n[[edit]]\nold = \"b\"", "edit.0.file: file is missing"},
		{"an unknown key", "about = \"x\"\nfile = \"a\"\nold = \"b\"\nscenario = \"swarm\"", `unknown key "scenario"`},
	} {
		var m mutant
		err := configs.Parse("x.toml", []byte(c.text), &m)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestEditsChangeWhatTheyName(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"a.go": "one two two", "b.go": "three"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		edits []edit
		want  map[string]string
		fault string
	}{
		{
			"edits of two files",
			[]edit{{"a.go", "one", "1"}, {"b.go", "three", "3"}, {"a.go", "1 two", ""}},
			map[string]string{"a.go": " two", "b.go": "3"},
			"",
		},
		{"an unknown file", []edit{{"c.go", "one", "1"}}, nil, "no such file"},
		{"text that is gone", []edit{{"a.go", "four", "4"}}, nil, `is 0 times in "a.go"`},
		{"text that is there twice", []edit{{"a.go", "two", "2"}}, nil, `is 2 times in "a.go"`},
	} {
		m := mutant{Name: "m", Edits: c.edits}
		got, err := m.mutate(root)
		if c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) || c.fault == "" && err != nil {
			t.Errorf("%s: got fault %v, want %q", c.name, err, c.fault)
		}
		for file, want := range c.want {
			if got[file] != want {
				t.Errorf("%s: %s is %q, want %q", c.name, file, got[file], want)
			}
		}
	}
	one := mutant{File: "a.go", Old: "one", New: "1", Edits: []edit{{"b.go", "three", "3"}}}
	if want := []edit{{"a.go", "one", "1"}, {"b.go", "three", "3"}}; !slices.Equal(one.edits(), want) {
		t.Errorf("edits are %v, want %v", one.edits(), want)
	}
}

// TestSurvivorFails: the exit status of the command is that of its error.
func TestSurvivorFails(t *testing.T) {
	list := []mutant{{Name: "weak", About: "breaks much"}, {Name: "strong", About: "breaks nothing", Scenarios: []string{"steady"}}}
	var out strings.Builder
	err := report(&out, list, func(m *mutant) (kill, error) {
		k := kill{Found: m.Name == "weak", Scenario: "swarm", Seed: 7, Invariant: "one-holder", Runs: 3}
		if k.Found {
			k.Own = []string{"swarm, seed 2: settles"}
		}
		return k, nil
	})
	if err == nil || !strings.Contains(err.Error(), "1 of 2 mutants survive, so the simulator has holes: strong") {
		t.Errorf("got %v, want that one survives", err)
	}
	for _, want := range []string{
		"1/2    weak", "one-holder", "swarm, seed 7", "no part of it: swarm, seed 2: settles",
		"2/2    strong", "SURVIVED", "steady",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
	if err := report(&out, list[:1], func(*mutant) (kill, error) { return kill{Found: true}, nil }); err != nil {
		t.Errorf("got %v, want all found", err)
	}
	broken := errors.New("does not build")
	if err := report(&out, list, func(*mutant) (kill, error) { return kill{}, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
