package main

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// failedTo is in two parts so that this file may hold it.
const failedTo = "failed" + " to"

// words finds what we do not write, whatever it does.
func words(units []*unit) []finding {
	var found []finding
	for _, u := range units {
		for _, s := range u.files {
			ast.Inspect(s.syntax, func(n ast.Node) bool {
				if text := s.unwanted(n); text != "" {
					found = append(found, s.at(n, "%s", text))
				}
				return true
			})
		}
	}
	return found
}

// unwanted says why we do not write n, or "".
func (s *source) unwanted(n ast.Node) string {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" && !s.test && initsIn[path.Dir(s.path)] == "" {
			return "init runs before anyone asked for it: let the caller do it"
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING && !s.test && strings.Contains(n.Value, failedTo) {
			return `"` + failedTo + `" says nothing: write verb, object, value and cause ("open journal %q: %w")`
		}
	case *ast.SelectorExpr:
		if s.test && s.selects(n, "time", "Sleep") && !s.imported("testing/synctest") {
			return "time.Sleep in a test: wait for the event, or sleep in a synctest bubble"
		}
	case *ast.Comment:
		if strings.Contains(n.Text, "TODO") || strings.Contains(n.Text, "FIXME") {
			return "unfinished work in a comment: finish it, or open an issue"
		}
	}
	return ""
}

// selects says whether e is a name of the imported package at path.
func (s *source) selects(e *ast.SelectorExpr, path, name string) bool {
	x, ok := e.X.(*ast.Ident)
	return ok && e.Sel.Name == name && slices.ContainsFunc(s.imports, func(i imported) bool {
		return i.path == path && i.name == x.Name
	})
}

func (s *source) imported(path string) bool {
	return slices.ContainsFunc(s.imports, func(i imported) bool { return i.path == path })
}
