package content

import (
	"errors"
	"io/fs"
	"testing"
)

// TestAFullDiskTakesNoContent: what others write there is worth more.
func TestAFullDiskTakesNoContent(t *testing.T) {
	s := open(t)
	h, err := s.Put([]byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.Pack(t.Context(), folder(t, map[string]string{"file": "before"}), Packing{})
	if err != nil {
		t.Fatal(err)
	}
	s.reserve = 1 << 60
	to := folder(t, nil)
	if err := s.Unpack(t.Context(), tree, to); !errors.Is(err, ErrNoRoom) {
		t.Errorf("unpack: got %v, want %v", err, ErrNoRoom)
	}
	if left, err := fs.ReadDir(to.FS(), "."); err != nil || len(left) > 0 {
		t.Errorf("unpacked: %v, %v", left, err)
	}
	if _, err := s.Put([]byte("after")); !errors.Is(err, ErrNoRoom) || s.Has(HashOf([]byte("after"))) {
		t.Errorf("got %v, want %v", err, ErrNoRoom)
	}
	if again, err := s.Put([]byte("before")); err != nil || again != h {
		t.Errorf("what is there already: %v", err)
	}
}
