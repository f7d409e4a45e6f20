package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mn/mesh/api"
	"mn/mesh/content"
)

func testGetter(t *testing.T, dir string) *getter {
	t.Helper()
	g := &getter{c: &command{}, told: time.Now(), folders: map[string]bool{}}
	if err := g.open(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	return g
}

// TestFoldersOfCopiesAreTheirOwn: no name that comes from another node leads out of the folder,
// and each copy has another.
func TestFoldersOfCopiesAreTheirOwn(t *testing.T) {
	g := testGetter(t, t.TempDir())
	for _, test := range []struct {
		r    api.Result
		want string
	}{
		{api.Result{Task: "web", Index: 2, Alloc: "a1"}, "web-2"},
		{api.Result{Task: "web", Each: true, Node: "n1", Alloc: "a2"}, "web-n1"},
		{api.Result{Task: "web", Each: true, Node: "n2", Alloc: "a3"}, "web-n2"},
		{api.Result{Task: "web", Each: true, Node: "n1", Alloc: "a4"}, "web-n1-a4"},
		{api.Result{Task: "web", Each: true, Node: "../n1", NodeID: "aaaa1111", Alloc: "a5"}, "web-aaaa1111"},
		{api.Result{Task: "../web", Alloc: "a6"}, ""},
		{api.Result{Task: "web", Alloc: "../a7"}, ""},
		{api.Result{Task: "web", Each: true, Node: "../n1", NodeID: "../x", Alloc: "a8"}, ""},
	} {
		if got, err := g.folder(&test.r); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%+v: got %q, %v, want %q", test.r, got, err, test.want)
		}
	}
	if err := g.dir.WriteFile(partName, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&getter{}).open(g.dir.Name()); err == nil {
		t.Error("two write to one folder at once")
	}
	if _, err := g.dir.Lstat(partName); err != nil {
		t.Errorf("the other has lost what came: %v", err)
	}
	if got := quoted("a\x1b[2J"); got != `"a\x1b[2J"` {
		t.Errorf("a name is shown as %q", got)
	}
}

// sent are the objects of two files, as a peer sends them, and what they are called together.
func sent(t *testing.T) (content.Hash, []byte) {
	t.Helper()
	from := t.TempDir()
	for name, text := range map[string]string{"a": "first", "b": "second"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.OpenRoot(from)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	store, err := content.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	h, err := store.Pack(t.Context(), folder, content.Packing{})
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if err := store.Send(t.Context(), h, nil, &all); err != nil {
		t.Fatal(err)
	}
	return h, all.Bytes()
}

// TestWhatComesTornIsNotLeft: of outputs that do not come whole, those files stay that did.
func TestWhatComesTornIsNotLeft(t *testing.T) {
	tree, all := sent(t)
	r := &api.Result{Task: "web", Alloc: "a1", Tree: tree.String()}
	dir := t.TempDir()
	g := testGetter(t, dir)
	if err := g.get(r, bytes.NewReader(all[:len(all)-1])); err == nil {
		t.Error("what was cut short is taken")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "web-0", "a")); string(text) != "first" {
		t.Errorf("the first is %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "web-0", "b")); !os.IsNotExist(err) || len(g.got) != 1 {
		t.Errorf("the second: %v, got %v", err, g.got)
	}
	// What is there whole is passed over, and the rest comes.
	g.close()
	g = testGetter(t, dir)
	if err := g.get(r, bytes.NewReader(all)); err != nil || len(g.got) != 2 {
		t.Errorf("once more: got %v, %v", g.got, err)
	}
	if left, err := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left are %v, %v", left, err)
	}
	// What is there and is another is not written over.
	if err := os.WriteFile(filepath.Join(dir, "web-0", "a"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	g.close()
	g = testGetter(t, dir)
	if err := g.get(r, bytes.NewReader(all)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: got %v", err)
	}
	// A link that is there leads nowhere else.
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "web-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := os.Symlink(out, filepath.Join(dir, "web-0", "a")); err != nil {
		t.Fatal(err)
	}
	g = testGetter(t, dir)
	if err := g.get(r, bytes.NewReader(all)); err == nil {
		t.Error("it is written through a link")
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("what the link leads to: %v, want %v", err, fs.ErrNotExist)
	}
}
