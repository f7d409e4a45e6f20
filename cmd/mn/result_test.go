package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mn/mesh/api"
	"mn/mesh/content"
)

// TestWhatComesTornIsNotLeft: of outputs that do not come whole, those files stay that did.
func TestWhatComesTornIsNotLeft(t *testing.T) {
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
	r := &api.Result{Task: "web", Tree: h.String()}
	dir := t.TempDir()
	g := getter{c: &command{}, dir: dir, told: time.Now()}
	if err := g.get(r, bytes.NewReader(all.Bytes()[:all.Len()-1])); err == nil {
		t.Error("what was cut short is taken")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "web-0", "a")); string(text) != "first" {
		t.Errorf("the first is %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "web-0", "b")); !os.IsNotExist(err) || len(g.got) != 1 {
		t.Errorf("the second: %v, got %v", err, g.got)
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
	g = getter{c: &command{}, dir: dir, told: time.Now()}
	if err := g.get(r, bytes.NewReader(all.Bytes())); err == nil {
		t.Error("it is written through a link")
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("what the link leads to: %v, want %v", err, fs.ErrNotExist)
	}
}
