package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mn/configs"
	"mn/mesh"
)

// folder has the mutants, a file each.
const folder = "sim/mutants"

// mutant is a deliberate fault: a piece of a source file, and what stands there
// instead.
type mutant struct {
	Name      string   `toml:"-"`
	About     string   `toml:"about"`     // what is broken, in a sentence
	File      string   `toml:"file"`      // from the root of the module
	Old       string   `toml:"old"`       // must be there once
	New       string   `toml:"new"`       //
	Scenarios []string `toml:"scenarios"` // to look in, in turn; all if empty
}

// Validate says what is wrong with the file of a mutant.
func (m *mutant) Validate() []mesh.FieldFault {
	var faults []mesh.FieldFault
	for _, f := range []struct{ key, value string }{{"about", m.About}, {"file", m.File}, {"old", m.Old}} {
		if f.value == "" {
			faults = append(faults, mesh.FieldFault{Path: []string{f.key}, Text: f.key + " is missing"})
		}
	}
	return faults
}

// readMutants reads all mutants of a module, or those that are named.
func readMutants(root string, names []string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(root, folder, "*.toml"))
	if err != nil {
		return nil, fmt.Errorf("list mutants: %w", err)
	}
	var list []mutant
	for _, file := range files {
		m := mutant{Name: strings.TrimSuffix(filepath.Base(file), ".toml")}
		if len(names) > 0 && !slices.Contains(names, m.Name) {
			continue
		}
		if err := configs.Read("mutant", file, &m); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	if len(list) == 0 || len(names) > len(list) {
		return nil, fmt.Errorf("find mutants %q in %q: %d of them are there", names, folder, len(list))
	}
	return list, nil
}

// mutate is the file with the fault in it.
func (m *mutant) mutate(root string) ([]byte, error) {
	path := filepath.Join(root, m.File)
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	if n := strings.Count(string(source), m.Old); n != 1 {
		return nil, fmt.Errorf("mutant %q: what it replaces is %d times in %q, want once: "+
			"the code has changed, so must the mutant", m.Name, n, m.File)
	}
	return []byte(strings.Replace(string(source), m.Old, m.New, 1)), nil
}

// overlay writes the mutated file into dir, with the list by which the go
// command takes it for the real one.
func (m *mutant) overlay(root, dir string) (path string, err error) {
	mutated, err := m.mutate(root)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, filepath.Base(m.File))
	list, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, m.File): file},
	})
	if err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	path = filepath.Join(dir, "overlay.json")
	for name, content := range map[string][]byte{file: mutated, path: list} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", fmt.Errorf("mutant %q: %w", m.Name, err)
		}
	}
	return path, nil
}
