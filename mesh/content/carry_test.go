package content

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// wire is a sink that writes objects as they travel.
type wire struct{ bytes.Buffer }

func (w *wire) Put(object []byte) (Hash, error) { return HashOf(object), WriteObject(w, object) }

func (w *wire) Sync() error { return nil }

// A folder that was packed elsewhere is here once its objects have come, however they were
// cut on the way: what came stays.
func TestObjectsAreCarried(t *testing.T) {
	dir := t.TempDir()
	big := bytes.Repeat([]byte("0123456789"), PieceBytes/5)
	for name, text := range map[string][]byte{"a": []byte("a"), "big": big} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	var w wire
	h, tree, err := Pack(t.Context(), folder, Packing{}, &w)
	if err != nil || tree.Bytes() != int64(len(big)+1) {
		t.Fatalf("got %v, %v", tree, err)
	}
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sent := w.Bytes()
	cut := len(sent) / 2
	if _, err := s.Take(bytes.NewReader(sent[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off, got %v", err)
	}
	if _, err := s.Take(bytes.NewReader([]byte{0, 0, 0, 0})); err == nil {
		t.Error("an empty object is taken")
	}
	if !s.Has(HashOf([]byte("a"))) || s.Has(h) {
		t.Error("what came before the cut is not here, or what came after is")
	}
	n, err := s.Take(bytes.NewReader(sent))
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	out, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := s.Unpack(t.Context(), h, out); err != nil {
		t.Fatal(err)
	}
	if got, err := out.ReadFile("big"); err != nil || !bytes.Equal(got, big) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
