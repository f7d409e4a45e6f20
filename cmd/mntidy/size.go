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
		if n := s.set.Position(f.End()).Line - s.line(f) + 1; n > functionMax {
			found = append(found, s.at(f, "%s has %d lines, at most %d: name its parts",
				f.Name.Name, n, functionMax))
		}
	}
	for i, line := range s.lines {
		if n := columns(line); n > columnsMax {
			found = append(found, finding{s.path, i + 1, "line is wider than 120 columns: break it"})
		}
	}
	return found
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
