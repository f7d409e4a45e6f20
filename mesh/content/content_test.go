package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// folder is a new folder with some files; a name that ends in "/" is a folder, and
// what begins with "->" is where a link points to.
func folder(t *testing.T, files map[string]string) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at, text := filepath.Join(dir, name), files[name]
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		target, link := strings.CutPrefix(text, "->")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o755)
		case link:
			err = os.Symlink(target, at)
		default:
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// read is what is in a folder, in the form of [folder].
func read(t *testing.T, root *os.Root) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
		case d.IsDir():
			files[name+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			var link string
			link, err = root.Readlink(name)
			files[name] = "->" + link
		default:
			var b []byte
			b, err = root.ReadFile(name)
			files[name] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func pack(t *testing.T, s *Store, root *os.Root) Hash {
	t.Helper()
	h, err := s.Pack(t.Context(), root, Packing{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// objects counts what is in a store.
func objects(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.each(func(Hash, fs.FileInfo) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// long is a file of so many pieces, no two of which are equal, and some bytes.
func long(pieces, more int) string {
	b := make([]byte, pieces*PieceBytes+more)
	for i := range b {
		b[i] = byte(i >> 20)
	}
	return string(b)
}

func TestAFolderComesOutAsItWentIn(t *testing.T) {
	files := map[string]string{
		"empty": "", "one": "x", "whole": long(1, 0), "more": long(2, 1), "same": long(2, 1),
		"d/": "", "d/e/": "", "d/e/deep": "y", "d/link": "->e/deep", "up": "->d/e", "a-b": "1", "a/": "", "a/b": "2",
		"no/": "",
	}
	s, from := open(t), folder(t, files)
	if err := from.Chmod("one", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := from.Chmod("d/e", 0o555); err != nil {
		t.Fatal(err)
	}
	h := pack(t, s, from)
	into := folder(t, nil)
	if err := s.Unpack(t.Context(), h, into); err != nil {
		t.Fatal(err)
	}
	if got := read(t, into); !maps.Equal(got, files) {
		t.Errorf("got %q", slices.Sorted(maps.Keys(got)))
	}
	for name, want := range map[string]fs.FileMode{"one": 0o755, "empty": 0o644, "d/e": 0o555 | fs.ModeDir} {
		if info, err := into.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
	// x, y, 1, 2; the first piece of three files; two more of two equal ones; the tree.
	if n := objects(t, s); n != 4+1+2+1 {
		t.Errorf("%d objects: what is equal is not kept once", n)
	}
	if again := pack(t, s, into); again != h {
		t.Errorf("the same folder is %v, and was %v", again, h)
	}
}

func TestWhatIsLeftOut(t *testing.T) {
	s := open(t)
	from := folder(t, map[string]string{"keep": "1", "big": long(3, 0), "skip/x": "2", "skip.not": "3"})
	h, err := s.Pack(t.Context(), from, Packing{Skip: func(name string, dir bool) bool {
		return name == "skip" && dir || name == "big"
	}})
	if err != nil {
		t.Fatal(err)
	}
	into := folder(t, nil)
	if err := s.Unpack(t.Context(), h, into); err != nil {
		t.Fatal(err)
	}
	if got := read(t, into); !maps.Equal(got, map[string]string{"keep": "1", "skip.not": "3"}) {
		t.Errorf("got %q", got)
	}
	if _, err := s.Pack(t.Context(), from, Packing{BytesMax: PieceBytes}); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a folder above its bound: %v", err)
	}
}

func TestAFolderMayNotLeaveItself(t *testing.T) {
	for link, ok := range map[string]bool{
		"/etc/passwd": false, "../x": false, "d/../../x": false, "d/../x": true, "x": true, ".": true, "..": false,
	} {
		_, err := open(t).Pack(t.Context(), folder(t, map[string]string{"d/": "", "x": "", "l": "->" + link}), Packing{})
		if (err == nil) != ok {
			t.Errorf("a link to %q: %v", link, err)
		}
	}
	from := folder(t, nil)
	if err := syscall.Mkfifo(filepath.Join(from.Name(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t).Pack(t.Context(), from, Packing{}); err == nil || !strings.Contains(err.Error(), `"pipe" is neither`) {
		t.Errorf("a pipe: %v", err)
	}
}

func TestATreeIsNotBelieved(t *testing.T) {
	one := HashOf([]byte("x"))
	file := func(path string) Entry { return Entry{Path: path, Mode: 0o644, Size: 1, Pieces: one[:]} }
	dir := func(path string) Entry { return Entry{Path: path, Mode: fs.ModeDir | 0o755} }
	link := func(path, to string) Entry { return Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Link: to} }
	for name, entries := range map[string][]Entry{
		"":                   {dir("d"), file("d/x"), link("l", "d/x")},
		"not a path below":   {file("../x")},
		"below the root":     {file("/x")},
		"not a path":         {file("a//b")},
		"comes after":        {file("b"), file("a")},
		`after "a"`:          {file("a"), file("a")},
		"no folder":          {file("d/x")},
		`"l" is no folder`:   {link("l", "x"), file("l/x")},
		"points to":          {link("l", "../x")},
		`points to "/"`:      {link("l", "/")},
		"in 1 pieces":        {{Path: "x", Mode: 0o644, Size: PieceBytes + 1, Pieces: one[:]}},
		"in 0 pieces":        {{Path: "x", Mode: 0o644, Size: 1, Pieces: one[:7]}},
		"link with":          {{Path: "x", Mode: fs.ModeSymlink, Link: "y", Size: 1, Pieces: one[:]}},
		"folder with":        {{Path: "x", Mode: fs.ModeDir, Size: 1, Pieces: one[:]}},
		"is kept of nothing": {{Path: "x", Mode: fs.ModeSetuid | 0o755, Size: 1, Pieces: one[:]}},
	} {
		tree := Tree{Entries: entries}
		object, err := tree.encode()
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeTree(object)
		if name == "" && err != nil || name != "" && (err == nil || !strings.Contains(err.Error(), name)) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// FuzzTree: whatever a tree says, nothing is written outside of the folder.
func FuzzTree(f *testing.F) {
	one := HashOf([]byte("x"))
	good := Tree{Entries: []Entry{
		{Path: "d", Mode: fs.ModeDir | 0o755},
		{Path: "d/x", Mode: 0o644, Size: 1, Pieces: one[:]},
		{Path: "l", Mode: fs.ModeSymlink | 0o777, Link: "d/x"},
	}}
	object, err := good.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object)
	f.Fuzz(func(t *testing.T, object []byte) {
		s := open(t)
		if _, err := s.Put([]byte("x")); err != nil {
			t.Fatal(err)
		}
		h, err := s.Put(object)
		if err != nil {
			return // too large to be kept
		}
		around := folder(t, map[string]string{"in/": ""})
		into, err := around.OpenRoot("in")
		if err != nil {
			t.Fatal(err)
		}
		defer into.Close()
		_ = s.Unpack(t.Context(), h, into)
		left, err := fs.ReadDir(around.FS(), ".")
		if err != nil || len(left) != 1 {
			t.Errorf("beside the folder: %v %v", left, err)
		}
	})
}

func TestAFolderThatChangesIsNotPacked(t *testing.T) {
	for what, change := range map[string]func(root *os.Root) error{
		"longer":  func(r *os.Root) error { return r.WriteFile("a", []byte("longer"), 0o644) },
		"touched": func(r *os.Root) error { return r.Chtimes("a", time.Now(), time.Now().Add(time.Second)) },
		"gone":    func(r *os.Root) error { return r.Remove("a") },
		"new":     func(r *os.Root) error { return r.WriteFile("d/new", nil, 0o644) },
		"another": func(r *os.Root) error { return r.WriteFile("new", nil, 0o644) },
		"renamed": func(r *os.Root) error { return r.Rename("y", "z") },
	} {
		from := folder(t, map[string]string{"a": "1", "d/x": "2", "y": "4", "z": "3"})
		old := time.Now().Add(-time.Hour)
		for _, name := range []string{"a", "d", "y", "."} {
			if err := from.Chtimes(name, old, old); err != nil {
				t.Fatal(err)
			}
		}
		_, err := open(t).Pack(t.Context(), from, Packing{Skip: func(name string, _ bool) bool {
			if name == "z" {
				if err := change(from); err != nil {
					t.Fatal(err)
				}
			}
			return false
		}})
		if !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v, want %v", what, err, ErrChanged)
		}
	}
}

func TestASpoiledObjectIsMissing(t *testing.T) {
	s := open(t)
	h, err := s.Put([]byte("whole"))
	if err != nil {
		t.Fatal(err)
	}
	for _, spoilt := range []string{"whale", "whol", ""} {
		if err := s.root.WriteFile(place(h), []byte(spoilt), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(h); !errors.Is(err, ErrMissing) || s.Has(h) {
			t.Errorf("%q in the place of another: %v, still there: %v", spoilt, err, s.Has(h))
		}
		if _, err := s.Put([]byte("whole")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasBeingWrittenIsRemoved(t *testing.T) {
	s := open(t)
	if err := s.root.WriteFile(filepath.Join(incoming, "half"), []byte("ha"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.root.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if left, err := fs.ReadDir(again.root.FS(), incoming); err != nil || len(left) != 0 {
		t.Errorf("left of what nobody finished: %v %v", left, err)
	}
}

func TestWhatNobodyWantsGoes(t *testing.T) {
	s := open(t)
	old := func(h Hash, ago time.Duration) {
		at := time.Now().Add(-ago)
		if err := s.root.Chtimes(place(h), at, at); err != nil {
			t.Fatal(err)
		}
	}
	put := func(text string, ago time.Duration) Hash {
		h, err := s.Put([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		old(h, ago)
		return h
	}
	wanted := pack(t, s, folder(t, map[string]string{"x": "wanted"}))
	for h := range map[Hash]bool{wanted: true, HashOf([]byte("wanted")): true} {
		old(h, 9*time.Hour)
	}
	oldest, middle, latest := put("aaaa", 4*time.Hour), put("bbbb", 3*time.Hour), put("cccc", time.Minute)
	all, err := s.Collect([]Hash{wanted, HashOf(nil)}, 1<<20)
	if err != nil || all.Removed != 0 || !slices.Equal(all.Missing, []Hash{HashOf(nil)}) {
		t.Fatalf("with room for all: %+v %v", all, err)
	}
	if c, err := s.Collect([]Hash{wanted}, all.Bytes-1); err != nil || c.Removed != 4 || s.Has(oldest) || !s.Has(middle) {
		t.Errorf("with room for nearly all: %+v %v", c, err)
	}
	s.use.RLock()
	if _, err := s.Collect(nil, 0); !errors.Is(err, ErrBusy) || !s.Has(middle) {
		t.Errorf("while somebody packs: %v, want %v", err, ErrBusy)
	}
	s.use.RUnlock()
	if c, err := s.Collect([]Hash{wanted}, 0); err != nil || c.Removed != 4 || !s.Has(latest) {
		t.Errorf("with no room: %+v %v, what is new is there: %v", c, err, s.Has(latest))
	}
	if _, err := s.Tree(wanted); err != nil || !s.Has(HashOf([]byte("wanted"))) {
		t.Errorf("what is wanted is gone: %v", err)
	}
}

// peer answers for a store, and counts what it sends. It breaks each stream off after
// so many bytes, if that is not 0.
type peer struct {
	*Store
	breaks int64
	sent   atomic.Int64
}

func (p *peer) dial(context.Context) (io.ReadWriteCloser, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		_ = p.Answer(&counted{there, p})
	}()
	return here, nil
}

type counted struct {
	net.Conn
	p *peer
}

func (c *counted) Write(b []byte) (int, error) {
	if sent := c.p.sent.Add(int64(len(b))); c.p.breaks > 0 && sent > c.p.breaks {
		return 0, errors.New("the line is cut")
	}
	return c.Conn.Write(b)
}

func TestPull(t *testing.T) {
	whole := &peer{Store: open(t)}
	files := map[string]string{"model": long(40, 5), "d/x": "1"}
	h := pack(t, whole.Store, folder(t, files))

	s, cut := open(t), &peer{Store: whole.Store, breaks: 20 * PieceBytes}
	if err := s.Pull(t.Context(), h, []Source{Dial(cut.dial)}, nil); err == nil {
		t.Fatal("a line that was cut has brought all")
	}
	had := objects(t, s)
	if had < 10 {
		t.Errorf("%d objects have stayed of a pull that was cut", had)
	}
	var have, all int64
	progress := func(h, a int64) { have, all = h, a }
	if err := s.Pull(t.Context(), h, []Source{Dial(whole.dial)}, progress); err != nil {
		t.Fatal(err)
	}
	rest := int64(objects(t, whole.Store)-had+1) * (PieceBytes + 64)
	if sent := whole.sent.Load(); sent > rest {
		t.Errorf("%d bytes came the second time, want no more than the rest of %d", sent, rest)
	}
	if have != all || all != int64(len(files["model"])+1) {
		t.Errorf("at the end %d of %d bytes are here", have, all)
	}
	into := folder(t, nil)
	if err := s.Unpack(t.Context(), h, into); err != nil {
		t.Fatal(err)
	}
	if got := read(t, into); got["model"] != files["model"] || got["d/x"] != "1" {
		t.Error("what came is not what was packed")
	}
}

// liar answers with something else.
type liar struct{ asked int }

func (l *liar) Fetch(_ context.Context, _ []Hash, got func([]byte) error) error {
	l.asked++
	return got([]byte("something else"))
}

func TestPullTakesFromWhoHasIt(t *testing.T) {
	whole, near, l := &peer{Store: open(t)}, &peer{Store: open(t)}, &liar{}
	h := pack(t, whole.Store, folder(t, map[string]string{"model": long(48, 0)}))
	half := 0
	err := whole.each(func(h Hash, _ fs.FileInfo) error {
		if half++; half%2 == 0 {
			return nil
		}
		object, err := whole.Get(h)
		if err == nil {
			_, err = near.Put(object)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t)
	if err := s.Pull(t.Context(), h, []Source{l, Dial(near.dial), Dial(whole.dial)}, nil); err != nil {
		t.Fatal(err)
	}
	if l.asked != 1 {
		t.Errorf("who gives something else was asked %d times, want once", l.asked)
	}
	if n, w := near.sent.Load(), whole.sent.Load(); n < 20*PieceBytes || w > 27*PieceBytes {
		t.Errorf("the near one sent %d bytes, the other %d, want about half each", n, w)
	}
	if _, err := s.Get(HashOf([]byte("something else"))); !errors.Is(err, ErrMissing) {
		t.Error("what nobody asked for was kept")
	}
	if err := open(t).Pull(t.Context(), h, []Source{Dial(near.dial)}, nil); !errors.Is(err, ErrMissing) {
		t.Errorf("nobody has all of it: %v, want %v", err, ErrMissing)
	}
}

func TestPullOfASpoiledPieceComesFromElsewhere(t *testing.T) {
	whole, spoilt := &peer{Store: open(t)}, &peer{Store: open(t)}
	from := folder(t, map[string]string{"x": "x", "y": "y"})
	h := pack(t, whole.Store, from)
	pack(t, spoilt.Store, from)
	if err := spoilt.root.WriteFile(place(HashOf([]byte("y"))), []byte("z"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t)
	if err := s.Pull(t.Context(), h, []Source{Dial(spoilt.dial), Dial(whole.dial)}, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Get(HashOf([]byte("y"))); err != nil || !bytes.Equal(b, []byte("y")) {
		t.Errorf("got %q %v", b, err)
	}
}
