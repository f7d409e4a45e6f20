package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// purity finds clocks, chance, goroutines and I/O in packages that only
// compute. What they do must follow from their input alone: the simulator
// replays it from a seed.
func purity(units []*unit) []finding {
	var found []finding
	for _, u := range units {
		home := roomOf(u.path)
		if home == nil || !home.pure {
			continue
		}
		for _, s := range u.production() {
			found = append(found, s.impureImports(u.path)...)
			found = append(found, s.impureCode()...)
		}
	}
	return found
}

func (s *source) impureImports(home string) []finding {
	var found []finding
	for _, i := range s.imports {
		if _, excepted := pureExcept[[2]string{home, i.path}]; excepted || !i.standard() ||
			slices.ContainsFunc(pureStandard, i.within) {
			continue
		}
		text := home + " is pure but imports " + i.path +
			": take what it gives as a parameter, or move the code to a package that touches the world"
		found = append(found, finding{s.path, i.line, text})
	}
	return found
}

// within says whether an import is the one allowed, or below it.
func (i imported) within(allowed string) bool {
	return i.path == allowed || strings.HasSuffix(allowed, "/") && strings.HasPrefix(i.path, allowed)
}

// channel is wrong where it is used; an interface may well name one.
const channel = "channel in a pure package: take events as values and return effects as values"

// impureCode finds what is impure without an import that tells.
func (s *source) impureCode() []finding {
	var found []finding
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, s.at(n,
				"goroutine in a pure package: return the work as an effect, for the daemon to do"))
		case *ast.SelectStmt, *ast.SendStmt:
			found = append(found, s.at(n, channel))
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				found = append(found, s.at(n, channel))
			}
		case *ast.SelectorExpr:
			if call, remedy := s.impureCall(n); call != "" {
				found = append(found, s.at(n, "%s in a pure package: %s", call, remedy))
			}
		}
		return true
	})
	return found
}

// impureCall is the name of the impure function that e refers to, if any, and
// what to use instead.
func (s *source) impureCall(e *ast.SelectorExpr) (call, remedy string) {
	name, ok := e.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	for _, i := range s.imports {
		f, listed := impure[i.path]
		if listed && i.name == name.Name && slices.Contains(f.names, e.Sel.Name) {
			return calledBy(i.path) + "." + e.Sel.Name, f.remedy
		}
	}
	return "", ""
}
