package files

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mn/mesh"
	"mn/runner/frames"
)

// sent is a folder "in" with a file, as it is sent.
func sent(t *testing.T, what string) *bytes.Buffer {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "in/sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "in/sub/file"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	if err := f.Send(t.Context(), what, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestPut puts what is sent in its place, once all of it has come; where it may not be, or if it
// breaks off, nothing is changed, and nothing stays.
func TestPut(t *testing.T) {
	cut := func(b *bytes.Buffer) *bytes.Buffer { return bytes.NewBuffer(b.Bytes()[:b.Len()-3]) }
	refused := func(b *bytes.Buffer) *bytes.Buffer {
		b.Truncate(bytes.LastIndexByte(b.Bytes(), byte(frames.End)))
		_ = frames.Write(b, frames.Fault, []byte(`{"kind":"denied","error":"the disk says no"}`))
		return b
	}
	for _, tt := range []struct {
		what, path, base string
		change           func(*bytes.Buffer) *bytes.Buffer
		file, want       string // what there is then
		fault            string
	}{
		{"in/sub/file", "", "file", nil, "file", "new", ""},
		{"in/sub/file", "dir", "file", nil, "dir/file", "new", ""},
		{"in/sub/file", "dir/name", "file", nil, "dir/name", "new", ""},
		{"in/sub/file", "old", "file", nil, "old", "new", ""},
		{"in/sub/file", "toOld", "file", nil, "old", "old", ""}, // the link gives way, not what it leads to
		{"in/sub/file", "toOut", "file", nil, "../out", "out", ""},
		{"in/sub/file", "toDir", "file", nil, "dir/file", "new", ""},
		{"in", "", "in", nil, "in/sub/file", "new", ""},
		{"in", "dir/", "in", nil, "dir/in/sub/file", "new", ""},
		{"in", "fresh", "in", nil, "fresh/sub/file", "new", ""},
		{"in", "", "dir", nil, "dir/old", "old", `the folder "dir" is there already`},
		{"in/sub/file", "", "dir", nil, "dir/old", "old", `the folder "dir" is there already`},
		{"in", "old", "in", nil, "old", "old", `"old" is there already, and cannot be replaced`},
		{"in/sub/file", "none/", "file", nil, "old", "old", `there is no folder "none/"`},
		{"in/sub/file", "none/name", "file", nil, "old", "old", `no file "none/name"`},
		{"in/sub/file", "toOutDir/x", "file", nil, "old", "old", "toOutDir"},
		{"in/sub/file", "../out", "file", nil, "../out", "out", "leads out of the folder"},
		{"in/sub/file", "", "../out", nil, "../out", "out", "is no name of a file"},
		{"in/sub/file", "dir", "..", nil, "old", "old", "is no name of a file"},
		{"in/sub/file", "", strings.Repeat("x", 256), nil, "old", "old", "is no name of a file"},
		{"in", "", "in", cut, "old", "old", "EOF"},
		{"in/sub/file", "old", "file", cut, "old", "old", "EOF"},
		{"in/sub/file", "old", "file", refused, "old", "old", "the disk says no"},
		{"in/sub/file", "", "a\x00b", nil, "old", "old", "is no name of a file"},
	} {
		data := t.TempDir()
		for _, dir := range []string{"task", "task/dir", "aside", "outer"} {
			if err := os.Mkdir(filepath.Join(data, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{"task/old": "old", "task/dir/old": "old", "out": "out"} {
			if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for link, to := range map[string]string{"toOld": "old", "toDir": "dir", "toOut": "../out", "toOutDir": "../outer"} {
			if err := os.Symlink(to, filepath.Join(data, "task", link)); err != nil {
				t.Fatal(err)
			}
		}
		f, err := Open(data, "task")
		if err != nil {
			t.Fatal(err)
		}
		aside, err := os.OpenRoot(filepath.Join(data, "aside"))
		if err != nil {
			t.Fatal(err)
		}
		from := sent(t, tt.what)
		if tt.change != nil {
			from = tt.change(from)
		}
		done, err := f.Put(from, Put{Path: tt.path, Base: tt.base, Aside: aside, UID: 12345, GID: 12346})
		if (tt.fault == "" && tt.change == nil) != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%+v: error %v, want %q", tt, err, tt.fault)
		}
		if got, err := os.ReadFile(filepath.Join(data, "task", tt.file)); err != nil || string(got) != tt.want {
			t.Errorf("%s to %q: %s has %q, %v; want %q", tt.what, tt.path, tt.file, got, err, tt.want)
		}
		if left, err := os.ReadDir(filepath.Join(data, "aside")); err != nil || len(left) > 0 {
			t.Errorf("%s to %q leaves %v, %v", tt.what, tt.path, left, err)
		}
		if outer, err := os.ReadDir(filepath.Join(data, "outer")); err != nil || len(outer) > 0 {
			t.Errorf("%s to %q: outside there is %v, %v", tt.what, tt.path, outer, err)
		}
		if err == nil {
			checkArrived(t, f, done)
		}
		aside.Close()
		f.Close()
	}
}

// checkArrived looks at what is said of what has come, and whose it is.
func checkArrived(t *testing.T, f *Folder, done mesh.Arrived) {
	t.Helper()
	if done.Files == 0 || done.Bytes != 3 {
		t.Errorf("it says %+v", done)
	}
	if os.Geteuid() != 0 {
		return
	}
	root, err := f.root.Lstat(done.Path)
	if err != nil {
		t.Fatal(err)
	}
	at := done.Path
	if root.IsDir() {
		at += "/sub"
	}
	in, err := f.root.OpenRoot(filepath.Dir(at))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	info, err := in.Lstat(filepath.Base(at))
	if err != nil {
		t.Fatal(err)
	}
	if uid, gid := ownerOf(info); uid != 12345 || gid != 12346 {
		t.Errorf("%s is %d:%d's", at, uid, gid)
	}
}

// TestPutWhereTheTaskMovesThings meanwhile: a folder that was to have it, and is a link out by
// the time that all has come.
func TestPutWhereTheTaskMovesThings(t *testing.T) {
	data := t.TempDir()
	for _, dir := range []string{"task", "task/dir", "aside", "outer"} {
		if err := os.Mkdir(filepath.Join(data, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(data, "task")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	aside, err := os.OpenRoot(filepath.Join(data, "aside"))
	if err != nil {
		t.Fatal(err)
	}
	defer aside.Close()
	swap := func() error {
		dir := filepath.Join(data, "task", "dir")
		return errors.Join(os.Rename(dir, dir+"2"), os.Symlink("../outer", dir))
	}
	from := &swapping{sent(t, "in"), swap}
	if _, err := f.Put(from, Put{Path: "dir", Base: "in", Aside: aside}); err != nil {
		t.Errorf("put: %v", err)
	}
	if outer, _ := os.ReadDir(filepath.Join(data, "outer")); len(outer) > 0 {
		t.Errorf("outside there is %v", outer)
	}
	if _, err := os.Stat(filepath.Join(data, "task/dir2/in/sub/file")); err != nil {
		t.Errorf("in the folder that it was put in: %v", err)
	}
}

// swapping does something before the first is read.
type swapping struct {
	from *bytes.Buffer
	swap func() error
}

func (s *swapping) Read(b []byte) (int, error) {
	if s.swap != nil {
		if err := s.swap(); err != nil {
			return 0, err
		}
		s.swap = nil
	}
	return s.from.Read(b)
}
