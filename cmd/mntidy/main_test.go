package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestTidyRepository holds this repository itself against every rule.
func TestTidyRepository(t *testing.T) {
	found, err := check(os.DirFS("../.."), append(rules, rule{"absent", absent}))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// TestRules runs the scripts in testdata, one a rule: a tree of files, and in
// "want" all that the rule has to say about it. The trees have good files too,
// which must pass.
func TestRules(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			tree, want := script(t, filepath.Join("testdata", r.name+".txtar"))
			found, err := check(tree, []rule{r})
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, f := range found {
				got.WriteString(f.String() + "\n")
			}
			if got.String() != want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", r.name, got.String(), want)
			}
		})
	}
}

// script reads a tree and what is wanted. "LONG n" on a line of a file stands
// for n lines of comment, and "WIDE n" for a comment of n columns.
func script(t *testing.T, file string) (tree fstest.MapFS, want string) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree = fstest.MapFS{}
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		tree[f.Name] = &fstest.MapFile{Data: []byte(expand(string(f.Data)))}
	}
	return tree, want
}

func expand(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		var n int
		switch {
		case number(line, "LONG ", &n):
			lines[i] = strings.TrimSuffix(strings.Repeat("//\n", n), "\n")
		case number(line, "WIDE ", &n):
			lines[i] = "//" + strings.Repeat("x", n-2)
		}
	}
	return strings.Join(lines, "\n")
}

// number reads "NAME n".
func number(line, name string, n *int) bool {
	text, ok := strings.CutPrefix(line, name)
	if !ok {
		return false
	}
	var err error
	*n, err = strconv.Atoi(text)
	return err == nil
}

// TestDocumentsNameFilesThatExist: a map that shows what is not there misleads.
// It looks at links, and at what is quoted and has a folder.
func TestDocumentsNameFilesThatExist(t *testing.T) {
	quoted := regexp.MustCompile("[`(]([a-z.]+(?:/[A-Za-z_.]+)+|[A-Z]+\\.md)[`)]")
	for _, document := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join("../..", document))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range quoted.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join("../..", path[1])); err != nil {
				t.Errorf("%s names %s, which does not exist", document, path[1])
			}
		}
	}
}

// TestRowWithoutPackageIsFound: the table says what is, not what was.
func TestRowWithoutPackageIsFound(t *testing.T) {
	tree := fstest.MapFS{}
	for _, r := range rooms[1:] {
		tree[r.path+"/file.go"] = &fstest.MapFile{Data: []byte("package p")}
	}
	found, err := check(tree, []rule{{"absent", absent}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].path != rooms[0].path {
		t.Errorf("got %v, want one finding about %s", found, rooms[0].path)
	}
}

// TestBrokenSourceIsAnError: what does not parse was not checked.
func TestBrokenSourceIsAnError(t *testing.T) {
	tree := fstest.MapFS{"crdt/crdt.go": {Data: []byte("package")}}
	if _, err := check(tree, rules); err == nil {
		t.Error("a file that does not parse passed")
	}
}

// TestTableIsSound: a table that contradicts itself would let anything pass.
func TestTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rooms {
		if seen[r.path] {
			t.Errorf("%s stands on two floors", r.path)
		}
		seen[r.path] = true
		for _, path := range r.may {
			if path == "*" {
				continue
			}
			below := roomOf(path)
			switch {
			case below == nil:
				t.Errorf("%s may import %s, which is on no floor", r.path, path)
			case below.floor >= r.floor:
				t.Errorf("%s (floor %d) may import %s (floor %d)", r.path, r.floor, path, below.floor)
			case r.pure && !below.pure:
				t.Errorf("%s is pure and may import %s, which is not", r.path, path)
			}
		}
	}
	for _, l := range libraries {
		for _, path := range l.rooms {
			if roomOf(path) == nil {
				t.Errorf("%s is for %s, which is on no floor", l.path, path)
			}
		}
	}
}
