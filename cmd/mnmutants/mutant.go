package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mn/configs"
	"mn/mesh"
)

// folder has the mutants, a file each.
const folder = "sim/mutants"

// mutant is a deliberate fault: pieces of source files, and what stands there
// instead. One piece can stand at the top of the file, without a list.
type mutant struct {
	Name      string   `toml:"-"`
	About     string   `toml:"about"`     // what is broken, in a sentence
	Scenarios []string `toml:"scenarios"` // to look in, in turn; all if empty
	File      string   `toml:"file"`      // as in edit
	Old       string   `toml:"old"`
	New       string   `toml:"new"`
	Edits     []edit   `toml:"edit"` // where it takes more than one
}

// edit is a piece of a source file, and what stands there instead.
type edit struct {
	File string `toml:"file"` // from the root of the module
	Old  string `toml:"old"`  // must be there once
	New  string `toml:"new"`
}

// edits are all of a mutant's, in order.
func (m *mutant) edits() []edit {
	top := edit{m.File, m.Old, m.New}
	if top == (edit{}) {
		return m.Edits
	}
	return append([]edit{top}, m.Edits...)
}

// Validate says what is wrong with the file of a mutant.
func (m *mutant) Validate() []mesh.FieldFault {
	var faults []mesh.FieldFault
	missing := func(value string, path ...string) {
		if value == "" {
			key := path[len(path)-1]
			faults = append(faults, mesh.FieldFault{Path: path, Text: key + " is missing"})
		}
	}
	missing(m.About, "about")
	if len(m.edits()) != len(m.Edits) || len(m.Edits) == 0 {
		missing(m.File, "file")
		missing(m.Old, "old")
	}
	for i, e := range m.Edits {
		missing(e.File, "edit", strconv.Itoa(i), "file")
		missing(e.Old, "edit", strconv.Itoa(i), "old")
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

// mutate is the files with the fault in them, by path from the root.
func (m *mutant) mutate(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.edits() {
		text, read := files[e.File]
		if !read {
			source, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return nil, fmt.Errorf("mutant %q: %w", m.Name, err)
			}
			text = string(source)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("mutant %q: what it replaces is %d times in %q, want once: "+
				"the code has changed, so must the mutant", m.Name, n, e.File)
		}
		files[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return files, nil
}

// overlay writes the mutated files into dir, with the list by which the go
// command takes them for the real ones.
func (m *mutant) overlay(root, dir string) (path string, err error) {
	mutated, err := m.mutate(root)
	if err != nil {
		return "", err
	}
	instead := map[string]string{}
	for file, text := range mutated {
		to := filepath.Join(dir, strconv.Itoa(len(instead))+".go")
		instead[filepath.Join(root, file)] = to
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("mutant %q: %w", m.Name, err)
		}
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": instead})
	if err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	path = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.Name, err)
	}
	return path, nil
}
