package main

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// comments finds packages without exactly one comment in its place, and
// exported names without one.
func comments(units []*unit) []finding {
	var found []finding
	for _, u := range units {
		found = append(found, u.packageComment()...)
		for _, s := range u.production() {
			for _, d := range s.syntax.Decls {
				found = append(found, s.undocumented(d)...)
			}
		}
	}
	return found
}

// packageComment wants one, in the file of the package's own name, that begins
// as godoc shows it.
func (u *unit) packageComment() []finding {
	production := u.production()
	if len(production) == 0 {
		return nil
	}
	name, first := path.Base(u.path)+".go", "Package "+path.Base(u.path)+" "
	if production[0].syntax.Name.Name == "main" {
		name, first = "main.go", "Command "+path.Base(u.path)+" "
	}
	var found []finding
	has := false
	for _, s := range production {
		doc := s.syntax.Doc
		switch {
		case doc == nil:
		case path.Base(s.path) != name:
			found = append(found, s.at(doc, "package comment outside %s: a package has one, there", name))
		case !strings.HasPrefix(doc.Text(), first):
			has = true
			found = append(found, s.at(doc, "package comment does not begin with %q", first))
		default:
			has = true
		}
	}
	if !has {
		found = append(found, finding{
			u.path, 0,
			"has no package comment in " + name + ": say first what the package is for",
		})
	}
	return found
}

// undocumented are the exported names of a declaration without a comment. One
// comment is enough for a group of constants or variables.
func (s *source) undocumented(d ast.Decl) []finding {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !conventional(d) {
			return []finding{s.bare(d, d.Name.Name)}
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT || d.Doc != nil && d.Tok != token.TYPE {
			return nil
		}
		var found []finding
		for _, spec := range d.Specs {
			found = append(found, s.bareSpec(d, spec)...)
		}
		return found
	}
	return nil
}

func (s *source) bareSpec(group *ast.GenDecl, spec ast.Spec) []finding {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		alone := group.Doc != nil && !group.Lparen.IsValid()
		if spec.Name.IsExported() && spec.Doc == nil && !alone {
			return []finding{s.bare(spec, spec.Name.Name)}
		}
	case *ast.ValueSpec:
		var found []finding
		for _, name := range spec.Names {
			if name.IsExported() && spec.Doc == nil && spec.Comment == nil {
				found = append(found, s.bare(name, name.Name))
			}
		}
		return found
	}
	return nil
}

func (s *source) bare(n ast.Node, name string) finding {
	return s.at(n, "%s is exported without a comment: say what it is, or do not export it", name)
}

// exportedReceiver says whether a function has no receiver or one that users
// of the package can see.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// conventional are methods whose name says all: those of the language's own
// interfaces.
func conventional(f *ast.FuncDecl) bool {
	switch f.Name.Name {
	case "Error", "String", "Unwrap", "Len", "Less", "Swap":
		return f.Recv != nil
	}
	return false
}
