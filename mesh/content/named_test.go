package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// asked is a way to ask a store.
func asked(t *testing.T, s *Store) Dial {
	return func(context.Context) (io.ReadWriteCloser, error) {
		ours, theirs := net.Pipe()
		go func() {
			if err := s.Answer(theirs); err != nil {
				t.Log(err)
			}
			theirs.Close()
		}()
		return ours, nil
	}
}

func keep(t *testing.T, s *Store, text string) Kept {
	t.Helper()
	got, err := s.Keep(t.Context(), strings.NewReader(text), 1<<30, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What one node has fetched the next one gets by its checksum.
func TestFilesAreHadByTheirSums(t *testing.T) {
	has, wants := open(t), open(t)
	text := long(2, 7)
	sum := Hash(sha256.Sum256([]byte(text)))
	kept := keep(t, has, text)
	if kept.Sum != sum || kept.Bytes != int64(len(text)) {
		t.Fatalf("got %v of %d bytes, want %v", kept.Sum, kept.Bytes, sum)
	}
	peer := asked(t, has)
	if _, ok, err := peer.Named(t.Context(), sum); ok || err != nil {
		t.Fatalf("what nobody has named has a name: %v", err)
	}
	if err := has.Name(sum, kept.Tree); err != nil {
		t.Fatal(err)
	}
	tree, ok, err := peer.Named(t.Context(), sum)
	if err != nil || !ok || tree != kept.Tree {
		t.Fatalf("got %v %v %v, want %v", tree, ok, err, kept.Tree)
	}
	if err := wants.Pull(t.Context(), tree, []Source{peer}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := wants.Adopt(t.Context(), tree, kept.Bytes); err != nil || got != kept {
		t.Errorf("got %v, %v, want %v", got, err, kept)
	}
	into := folder(t, nil)
	if err := wants.Unpack(t.Context(), tree, into); err != nil {
		t.Fatal(err)
	}
	if got, err := into.ReadFile(KeptFile); err != nil || string(got) != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestFilesThatAreTooLongAreNotKept(t *testing.T) {
	s := open(t)
	_, err := s.Keep(t.Context(), strings.NewReader(long(1, 1)), PieceBytes, func(int64) {})
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
	broken := io.MultiReader(strings.NewReader("half"), errorReader{})
	if _, err := s.Keep(t.Context(), broken, 100, func(int64) {}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if got := keep(t, s, ""); got.Sum != HashOf(nil) || got.Bytes != 0 {
		t.Errorf("an empty file is %+v", got)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A name goes with its tree, and what has a name is given back like all else that nobody wants.
func TestNamesGoWithWhatTheyName(t *testing.T) {
	s := open(t)
	kept := keep(t, s, "text")
	other := keep(t, s, "other")
	for _, k := range []Kept{kept, other} {
		if err := s.Name(k.Sum, k.Tree); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * young)
	if err := s.root.Chtimes(place(kept.Tree), old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.root.Stat(named + "/" + kept.Sum.String()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the name is still there: %v", err)
	}
	if _, ok := s.Named(kept.Sum); ok {
		t.Error("what is gone has a name")
	}
	if tree, ok := s.Named(other.Sum); !ok || tree != other.Tree {
		t.Error("what is there has none")
	}
}

// What somebody had to show a password for is not given to whoever knows its name.
func TestOwnNamesAreNotTold(t *testing.T) {
	s := open(t)
	kept := keep(t, s, "text")
	if err := s.NameOwn(kept.Sum, kept.Tree); err != nil {
		t.Fatal(err)
	}
	if tree, ok := s.Named(kept.Sum); !ok || tree != kept.Tree {
		t.Errorf("got %v, %v", tree, ok)
	}
	if tree, ok, err := asked(t, s).Named(t.Context(), kept.Sum); ok || err != nil {
		t.Errorf("others are told %v, %v", tree, err)
	}
	if err := s.unname(); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Named(kept.Sum); !ok {
		t.Error("it is forgotten")
	}
}

func TestOneFileIsAdopted(t *testing.T) {
	s := open(t)
	two := pack(t, s, folder(t, map[string]string{"a": "1", "file": "2"}))
	if _, err := s.Adopt(t.Context(), two, 100); err == nil {
		t.Error("two files are one")
	}
	link := pack(t, s, folder(t, map[string]string{"file": "->x", "x": ""}))
	if _, err := s.Adopt(t.Context(), link, 100); err == nil {
		t.Error("a link is a file")
	}
}

// A peer has the right bytes, and says of them what is not so.
func TestWhatPeersSayOfAFileIsNotKept(t *testing.T) {
	text := long(2, 7)
	for name, lie := range map[string]func(*Entry){
		"size": func(e *Entry) { e.Size-- },
		"mode": func(e *Entry) { e.Mode = 0 },
		"open": func(e *Entry) { e.Mode = 0o777 },
	} {
		liar, s := open(t), open(t)
		truth, err := liar.Tree(keep(t, liar, text).Tree)
		if err != nil {
			t.Fatal(err)
		}
		lie(&truth.Entries[0])
		lied, err := liar.whole(truth)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Pull(t.Context(), lied, []Source{asked(t, liar)}, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := s.Adopt(t.Context(), lied, int64(len(text)))
		if want := keep(t, open(t), text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		into := folder(t, nil)
		if err := s.Unpack(t.Context(), got.Tree, into); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Adopt(t.Context(), lied, int64(len(text))-1); !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A piece may not be more than the list of files says that it can be.
func TestPiecesAreNoLongerThanPieces(t *testing.T) {
	liar := open(t)
	h, err := liar.Put(make([]byte, PieceBytes+1))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := liar.whole(&Tree{Entries: []Entry{{Path: KeptFile, Mode: 0o644, Size: 1, Pieces: h[:]}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := open(t).Pull(t.Context(), tree, []Source{asked(t, liar)}, nil); err == nil {
		t.Error("it is taken")
	}
}

// However long a file takes to come, its beginning is there when its end is.
func TestWhatIsComingIsNotCollected(t *testing.T) {
	s := open(t)
	late := readerFunc(func() error {
		old := time.Now().Add(-2 * young)
		err := s.each(func(h Hash, _ fs.FileInfo) error { return s.root.Chtimes(place(h), old, old) })
		if err != nil {
			return err
		}
		if c, err := s.Collect(nil, 0); err != nil || c.Bytes != 2*PieceBytes {
			t.Errorf("left are %+v, %v", c, err)
		}
		return io.EOF
	})
	text := long(2, 0)
	got, err := s.Keep(t.Context(), io.MultiReader(strings.NewReader(text), late), 1<<30, func(int64) {})
	if err != nil || got.Bytes != int64(len(text)) {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(s.coming) != 0 {
		t.Errorf("held for ever: %v", s.coming)
	}
}

type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) { return 0, f() }

// FuzzNamed: a peer may answer anything.
func FuzzNamed(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add(append([]byte{0, 0, 0, 32}, make([]byte, 32)...))
	f.Add([]byte{0, 0, 0, 32, 1})
	f.Fuzz(func(t *testing.T, answer []byte) {
		dial := Dial(func(context.Context) (io.ReadWriteCloser, error) { return says{bytes.NewReader(answer)}, nil })
		tree, ok, err := dial.Named(t.Context(), Hash{})
		if ok && (err != nil || len(answer) < 4+len(tree)) {
			t.Errorf("%x is taken for %v, %v", answer, tree, err)
		}
	})
}

type says struct{ io.Reader }

func (says) Write(p []byte) (int, error) { return len(p), nil }
func (says) Close() error                { return nil }
