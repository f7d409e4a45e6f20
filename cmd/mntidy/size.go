package main

import (
	"go/ast"
	"path"
	"unicode/utf8"
)

// The longest that things may get. A reader has one screen, and one evening.
const (
	fileMax     = 500 // lines
	functionMax = 70  // lines
	mainMax     = 30  // lines of a main.go: logic belongs beside it
	columnsMax  = 120 // of which 100 are meant to be used
	tab         = 4   // columns
)

// sizes finds files, functions and lines that are too long.
func sizes(units []*unit) []finding {
	var found []finding
	for _, u := range units {
		for _, s := range u.files {
			found = append(found, s.long()...)
		}
	}
	return found
}

func (s *source) long() []finding {
	var found []finding
	if n := len(s.lines); n > fileMax {
		found = append(found, s.at(s.syntax,
			"file has %d lines, at most %d: split it where the subject changes", n, fileMax))
	}
	if n := s.code(); path.Base(s.path) == "main.go" && n > mainMax {
		found = append(found, s.at(s.syntax,
			"main.go has %d lines, at most %d: move the logic to a file of its own", n, mainMax))
	}
	for _, d := range s.syntax.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := s.span(f)
		if s.test {
			n -= s.tables(f)
		}
		if n > functionMax {
			found = append(found, s.at(f, "%s has %d lines, at most %d: name its parts",
				f.Name.Name, n, functionMax))
		}
	}
	for i, line := range s.lines {
		// A table of cases is read by its columns: one case, one line.
		if n := columns(line); n > columnsMax && !s.test {
			found = append(found, finding{s.path, i + 1, "line is wider than 120 columns: break it"})
		}
	}
	return found
}

// span is how many lines a node takes.
func (s *source) span(n ast.Node) int { return s.set.Position(n.End()).Line - s.line(n) + 1 }

// tables is how many lines of a function are values, such as a table of cases:
// they are data, and may be as long as they must.
func (s *source) tables(f *ast.FuncDecl) int {
	lines := 0
	ast.Inspect(f, func(n ast.Node) bool {
		table, ok := n.(*ast.CompositeLit)
		if ok {
			lines += s.span(table) - 1
		}
		return !ok
	})
	return lines
}

// code is the number of lines from the package clause on.
func (s *source) code() int {
	return len(s.lines) - s.set.Position(s.syntax.Package).Line + 1
}

func columns(line string) int {
	n := utf8.RuneCountInString(line)
	for i := 0; i < len(line) && line[i] == '\t'; i++ {
		n += tab - 1
	}
	return n
}
