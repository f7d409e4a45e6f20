package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is the path of this module.
const module = "mn"

// source is one Go file.
type source struct {
	path    string
	test    bool
	lines   []string
	syntax  *ast.File
	set     *token.FileSet
	imports []imported
}

// imported is one import of a file.
type imported struct {
	path string
	name string // how the file calls it
	line int
}

// unit is one package: the Go files of one folder.
type unit struct {
	path  string // of the folder, from the root
	files []*source
}

// finding is one broken rule.
type finding struct {
	path string
	line int    // 0 if it is about all of path
	text string // the reason, then the remedy
}

func (f finding) String() string {
	if f.line == 0 {
		return f.path + ": " + f.text
	}
	return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text)
}

// rule is one house rule.
type rule struct {
	name  string
	check func([]*unit) []finding
}

// rules are all of them.
var rules = []rule{
	{"floors", floors},
	{"adapters", adapters},
	{"purity", purity},
	{"comments", comments},
	{"size", sizes},
	{"words", words},
}

// check holds a source tree against rules.
func check(root fs.FS, rules []rule) ([]finding, error) {
	units, err := read(root)
	if err != nil {
		return nil, err
	}
	var found []finding
	for _, r := range rules {
		found = append(found, r.check(units)...)
	}
	slices.SortStableFunc(found, func(a, b finding) int {
		if a.path != b.path {
			return strings.Compare(a.path, b.path)
		}
		return a.line - b.line
	})
	return found, nil
}

// read parses every Go file below root, but for testdata and what Go ignores.
func read(root fs.FS) ([]*unit, error) {
	byPath := map[string]*unit{}
	var units []*unit
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && ignored(name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		file, err := parse(root, name)
		if err != nil {
			return err
		}
		u := byPath[path.Dir(name)]
		if u == nil {
			u = &unit{path: path.Dir(name)}
			byPath[u.path] = u
			units = append(units, u)
		}
		u.files = append(u.files, file)
		return nil
	})
	return units, err
}

func ignored(dir string) bool {
	base := path.Base(dir)
	return dir != "." && (base == "testdata" || dir == "bin" || strings.HasPrefix(base, ".") ||
		strings.HasPrefix(base, "_"))
}

func parse(root fs.FS, name string) (*source, error) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	file := &source{
		path:   name,
		test:   strings.HasSuffix(name, "_test.go"),
		lines:  strings.Split(string(bytes.TrimSuffix(text, []byte("\n"))), "\n"),
		syntax: syntax,
		set:    set,
	}
	for _, spec := range syntax.Imports {
		i := imported{line: file.line(spec)}
		if i.path, err = strconv.Unquote(spec.Path.Value); err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		if i.name = calledBy(i.path); spec.Name != nil {
			i.name = spec.Name.Name
		}
		file.imports = append(file.imports, i)
	}
	return file, nil
}

// calledBy is the name that an import path gives by itself: its last element,
// without a major version.
func calledBy(importPath string) string {
	base := path.Base(importPath)
	if _, err := strconv.Atoi(strings.TrimPrefix(base, "v")); err == nil && base[0] == 'v' {
		base = path.Base(path.Dir(importPath))
	}
	return base
}

func (s *source) line(n ast.Node) int { return s.set.Position(n.Pos()).Line }

// at is a finding at a node of the file.
func (s *source) at(n ast.Node, format string, args ...any) finding {
	return finding{s.path, s.line(n), fmt.Sprintf(format, args...)}
}

// production are the files of a package that are not tests.
func (u *unit) production() []*source {
	return slices.DeleteFunc(slices.Clone(u.files), func(s *source) bool { return s.test })
}

// local is the folder of an import of this module.
func (i imported) local() (string, bool) {
	if i.path == module {
		return ".", true
	}
	return strings.CutPrefix(i.path, module+"/")
}

// standard says whether an import is of the standard library.
func (i imported) standard() bool {
	first, _, _ := strings.Cut(i.path, "/")
	_, local := i.local()
	return !local && !strings.Contains(first, ".")
}
