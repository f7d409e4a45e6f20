package content

import (
	"errors"
	"io/fs"
	"maps"
	"testing"
)

// torn is a store with a tree of which some objects may be torn, and a peer that has all.
func torn(t *testing.T) (s *Store, p *peer, tree Hash, files map[string]string, all []Hash) {
	files = map[string]string{"model": "0123456789", "log/a": "first line", "log/b": "", "log/": ""}
	s, p = open(t), &peer{Store: open(t)}
	tree = pack(t, p.Store, folder(t, files))
	if pack(t, s, folder(t, files)) != tree {
		t.Fatal("the same is packed as something else")
	}
	if err := s.each(func(h Hash, _ fs.FileInfo) error { all = append(all, h); return nil }); err != nil {
		t.Fatal(err)
	}
	return s, p, tree, files, all
}

// TestNothingTornIsUnpacked: wherever a write has stopped, at every byte of every object, the
// tree is missing, until it was fetched again.
func TestNothingTornIsUnpacked(t *testing.T) {
	s, p, tree, files, all := torn(t)
	for _, h := range all {
		whole, err := s.Get(h)
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			if err := s.root.WriteFile(place(h), whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Unpack(t.Context(), tree, folder(t, nil)); !errors.Is(err, ErrMissing) {
				t.Fatalf("with %d of %d bytes of %v: unpacked with %v, want %v", n, len(whole), h, err, ErrMissing)
			}
			if _, err := s.Put(whole); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(all) < 3 {
		t.Fatalf("there are only %d objects", len(all))
	}
	for _, h := range all {
		if err := s.root.WriteFile(place(h), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Repair(t.Context(), tree, []Source{Dial(p.dial)}); err != nil {
		t.Fatal(err)
	}
	into := folder(t, nil)
	if err := s.Unpack(t.Context(), tree, into); err != nil {
		t.Fatal(err)
	}
	if got := read(t, into); !maps.Equal(got, files) {
		t.Errorf("repaired, it is %q, want %q", got, files)
	}
}

// TestRepairFetchesWhatIsSpoilt, which a pull takes for there, and nothing else.
func TestRepairFetchesWhatIsSpoilt(t *testing.T) {
	s, p, tree, files, _ := torn(t)
	spoilt := HashOf([]byte(files["model"]))
	if err := s.root.WriteFile(place(spoilt), []byte("9876543210"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), tree, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Repair(t.Context(), tree, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("repaired from nowhere: %v", err)
	}
	if err := s.Repair(t.Context(), tree, []Source{Dial(p.dial)}); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Get(spoilt); err != nil || string(b) != files["model"] {
		t.Errorf("repaired, it is %q, %v", b, err)
	}
	if sent := p.sent.Load(); sent > 200 {
		t.Errorf("%d bytes were sent for one small piece", sent)
	}
}
