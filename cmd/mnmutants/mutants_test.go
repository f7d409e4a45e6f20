package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEveryMutantApplies keeps the mutants true to the code that they break.
func TestEveryMutantApplies(t *testing.T) {
	list, err := readMutants("../..", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		source, err := os.ReadFile(filepath.Join("../..", m.File))
		if err != nil {
			t.Fatal(err)
		}
		mutated, err := m.mutate("../..")
		if err != nil {
			t.Error(err)
		} else if bytes.Equal(mutated, source) {
			t.Errorf("mutant %q changes nothing", m.Name)
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
	if k := search(scenarios, 4, time.Now().Add(time.Hour)); k.Found || k.Runs != 4 {
		t.Errorf("got %+v, want nothing found in 4 runs", k)
	}
}
