package main

import (
	"fmt"
	"slices"
	"strings"
)

// floors holds packages and their imports of each other against the table.
func floors(units []*unit) []finding {
	var found []finding
	for _, u := range units {
		home := roomOf(u.path)
		if home == nil {
			found = append(found, finding{
				u.path, 0,
				"is on no floor: add it to the table in cmd/mntidy/table.go, or fold it into a neighbour",
			})
			continue
		}
		for _, s := range u.files {
			for _, i := range s.imports {
				if text := home.refuses(i, s.test); text != "" {
					found = append(found, finding{s.path, i.line, text})
				}
			}
		}
	}
	return found
}

// absent are rooms of the table that have no package any more.
func absent(units []*unit) []finding {
	var found []finding
	for _, r := range rooms {
		if !slices.ContainsFunc(units, func(u *unit) bool { return u.path == r.path }) {
			found = append(found, finding{
				r.path, 0,
				"is in the table of cmd/mntidy/table.go but has no Go file: remove its row",
			})
		}
	}
	return found
}

func roomOf(path string) *room {
	for i := range rooms {
		if rooms[i].path == path {
			return &rooms[i]
		}
	}
	return nil
}

// refuses says why a room may not import i, or "". Tests may look sideways,
// at what stands on their own floor, but not up.
func (r *room) refuses(i imported, test bool) string {
	path, local := i.local()
	if !local || path == r.path {
		return ""
	}
	target := roomOf(path)
	switch {
	case target == nil:
		return fmt.Sprintf("imports %s, which is on no floor: add it to the table", path)
	case test && target.floor <= r.floor:
		return ""
	case target.floor >= r.floor:
		return fmt.Sprintf(
			"%s (floor %d) imports %s (floor %d): imports go down only; "+
				"declare an interface here and let mesh/daemon join the two",
			r.path, r.floor, path, target.floor)
	case !slices.Contains(r.may, path) && !slices.Contains(r.may, "*"):
		return fmt.Sprintf("%s imports %s, but may import only %s: "+
			"take what it needs as a parameter, or move the code to where it belongs",
			r.path, path, list(r.may))
	}
	return ""
}

// adapters holds imports of other people's modules against the table.
func adapters(units []*unit) []finding {
	var found []finding
	for _, u := range units {
		for _, s := range u.production() {
			for _, i := range s.imports {
				if text := foreign(u.path, i); text != "" {
					found = append(found, finding{s.path, i.line, text})
				}
			}
		}
	}
	return found
}

// foreign says why a package may not import i of another module, or "".
func foreign(home string, i imported) string {
	if _, local := i.local(); local || i.standard() {
		return ""
	}
	for _, l := range libraries {
		if i.path != l.path && !strings.HasPrefix(i.path, l.path+"/") {
			continue
		}
		r := roomOf(home)
		switch {
		case slices.Contains(l.rooms, home), l.rooms == nil && r != nil && !r.pure:
			return ""
		case l.rooms == nil:
			return fmt.Sprintf("%s is pure but imports %s: take what it gives as a parameter",
				home, i.path)
		}
		return fmt.Sprintf("%s imports %s, which only %s may: use what that package exports",
			home, i.path, list(l.rooms))
	}
	return fmt.Sprintf("imports %s, which no package adapts: do without it, "+
		"or add it to the libraries in cmd/mntidy/table.go with the one package that uses it", i.path)
}

func list(paths []string) string {
	if len(paths) == 0 {
		return "the standard library"
	}
	return strings.Join(paths, ", ")
}
