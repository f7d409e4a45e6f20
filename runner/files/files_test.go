package files

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
)

// copyOf makes the folder of a copy, with a file beside it that is none of its task's.
func copyOf(t *testing.T) (f *Folder, dir string) {
	t.Helper()
	allocs := t.TempDir()
	dir = filepath.Join(allocs, "abcd", "work")
	for name, text := range map[string]string{
		"abcd/work/a.txt": "hello", "abcd/work/sub/deep/b": "deep", "abcd/secret": "secret",
	} {
		path := filepath.Join(allocs, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(allocs, "abcd/work")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, dir
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func fifo(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o666); err != nil {
		t.Fatal(err)
	}
}

func printed(f *Folder, name string) (string, error) {
	var sent, got bytes.Buffer
	if err := f.Send(context.Background(), name, &sent); err != nil {
		return "", err
	}
	err := Print(&sent, &got)
	return got.String(), err
}

func TestFolderIsListedByName(t *testing.T) {
	f, dir := copyOf(t)
	link(t, "a.txt", filepath.Join(dir, "in"))
	link(t, "/etc/passwd", filepath.Join(dir, "out"))
	fifo(t, filepath.Join(dir, "pipe"))
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var got []string
	list, more, err := f.List(t.Context(), "/")
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s %s %d %s", e.Name, e.Kind, e.Size, e.Link))
	}
	want := "a.txt file 5 ;in link 0 a.txt;out link 0 /etc/passwd;pipe pipe 0 ;socket socket 0 ;sub folder 0 "
	if err != nil || more || strings.Join(got, ";") != want {
		t.Errorf("got %q, %v, %v, want %q", got, more, err, want)
	}
	if list[0].Mode != "0640" || list[0].Time.IsZero() {
		t.Errorf("got %+v, want its mode and time", list[0])
	}
	for name, want := range map[string]mesh.FileKind{
		"in": mesh.RegularFile, "out": mesh.FileLink, "pipe": mesh.FilePipe, "sub/deep/b": mesh.RegularFile,
	} {
		if list, _, err := f.List(t.Context(), name); err != nil || len(list) != 1 || list[0].Kind != want {
			t.Errorf("%s: got %+v, %v, want one %s", name, list, err, want)
		}
	}
}

func TestNothingOutsideOfTheFolderIsServed(t *testing.T) {
	f, dir := copyOf(t)
	link(t, "/etc", filepath.Join(dir, "etc"))
	link(t, "../secret", filepath.Join(dir, "up"))
	link(t, "sub/../../secret", filepath.Join(dir, "round"))
	link(t, "..", filepath.Join(dir, "parent"))
	link(t, dir, filepath.Join(dir, "whole")) // a path of the machine, even if it leads here
	for _, name := range []string{
		"../secret", "/../secret", "sub/../../secret", "..", "etc/passwd", "etc", "up", "round", "parent/secret",
		"parent", "whole/a.txt", "a.txt/x", "nothing", "x\x00y", strings.Repeat("x", 300), "sub/" + strings.Repeat("../", 9) + "x",
	} {
		if text, err := printed(f, name); err == nil {
			t.Errorf("%q was read: %q", name, text)
		}
		list, _, err := f.List(t.Context(), name)
		if err == nil && (len(list) != 1 || list[0].Kind != mesh.FileLink) {
			t.Errorf("%q was listed: %+v", name, list)
		}
	}
	for name, want := range map[string]string{"/a.txt": "hello", "sub/../a.txt": "hello", "./sub//deep/b": "deep"} {
		if got, err := printed(f, name); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestFolderThatIsALinkIsNotOpened(t *testing.T) {
	allocs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(allocs, "real", "work"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "real", filepath.Join(allocs, "abcd"))
	for _, name := range []string{"abcd/work", "nothing", "real/nothing", "../" + filepath.Base(allocs)} {
		if f, err := Open(allocs, name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
}

// A task that swaps a file for a link out, a pipe and back shows nothing but its file.
func TestFileThatIsSwappedLeadsNowhereElse(t *testing.T) {
	f, dir := copyOf(t)
	name := filepath.Join(dir, "a.txt")
	fifo(t, filepath.Join(dir, "pipe"))
	link(t, "../secret", filepath.Join(dir, "out"))
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	done, swaps := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			for _, from := range []string{"out", "pipe", "file"} {
				next := filepath.Join(dir, ".next")
				if err := errors.Join(os.Link(filepath.Join(dir, from), next), os.Rename(next, name)); err != nil {
					swaps <- err
					return
				}
			}
			select {
			case <-done:
				swaps <- nil
				return
			default:
			}
		}
	}()
	read := 0
	for range 2000 {
		text, err := printed(f, "a.txt")
		if err == nil && text != "hello" {
			t.Fatalf("read %q", text)
		}
		if err == nil {
			read++
		}
	}
	close(done)
	if err := <-swaps; err != nil || read == 0 {
		t.Errorf("read %d times, %v, want some", read, err)
	}
}

// A task that swaps a folder for a pipe blocks nobody who opens it.
func TestFolderThatIsSwappedForAPipeBlocksNobody(t *testing.T) {
	_, dir := copyOf(t)
	allocs := filepath.Dir(filepath.Dir(dir))
	name, pipe, aside := filepath.Join(dir, "sub"), filepath.Join(dir, "pipe"), filepath.Join(dir, "aside")
	fifo(t, pipe)
	done, swaps := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if err := errors.Join(os.Rename(name, aside), os.Rename(pipe, name), os.Rename(name, pipe), os.Rename(aside, name)); err != nil {
				swaps <- err
				return
			}
			select {
			case <-done:
				swaps <- nil
				return
			default:
			}
		}
	}()
	for what, call := range map[string]func(f *Folder) error{
		"open":        func(*Folder) error { f, err := Open(allocs, "abcd/work/sub"); return cmp.Or(err, closed(f)) },
		"list":        func(f *Folder) error { _, _, err := f.List(t.Context(), "sub"); return err },
		"send":        func(f *Folder) error { return f.Send(context.Background(), "sub", io.Discard) },
		"send around": func(f *Folder) error { return f.Send(context.Background(), ".", io.Discard) },
	} {
		f, err := Open(allocs, "abcd/work")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan int, 1)
		go func() {
			good := 0
			for range 3000 {
				if call(f) == nil {
					good++
				}
			}
			ended <- good
		}()
		select {
		case good := <-ended:
			if good == 0 {
				t.Errorf("%s: never went well, so nothing was tried", what)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: blocks", what)
		}
		f.Close()
	}
	close(done)
	if err := <-swaps; err != nil {
		t.Error(err)
	}
}

// closed closes a folder if there is one.
func closed(f *Folder) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// changing is a writer that changes a file as soon as its frame has come.
type changing struct {
	bytes.Buffer
	change func()
}

func (c *changing) Write(p []byte) (int, error) {
	if c.Len() == 0 {
		c.change()
	}
	return c.Buffer.Write(p)
}

func TestFileIsAsLongAsItWasWhenItWasOpened(t *testing.T) {
	f, dir := copyOf(t)
	name := filepath.Join(dir, "log")
	for what, c := range map[string]struct {
		size int64
		want int
	}{"grows": {1 << 20, 100_000}, "shrinks": {10, 10}, "is emptied": {0, 0}} {
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 100_000), 0o644); err != nil {
			t.Fatal(err)
		}
		sent := &changing{change: func() {
			if err := os.Truncate(name, c.size); err != nil {
				t.Error(err)
			}
		}}
		var got bytes.Buffer
		if err := errors.Join(f.Send(context.Background(), "log", sent), Print(sent, &got)); err != nil || got.Len() != c.want {
			t.Errorf("a file that %s: got %d bytes, %v, want %d", what, got.Len(), err, c.want)
		}
	}
}

func TestListOfAHugeFolderIsCutOff(t *testing.T) {
	f, dir := copyOf(t)
	huge := filepath.Join(dir, "huge")
	if err := os.Mkdir(huge, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range ListMax + 1 {
		if err := os.WriteFile(filepath.Join(huge, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if list, more, err := f.List(t.Context(), "huge"); err != nil || !more || len(list) != ListMax {
		t.Errorf("got %d, %v, %v, want %d and more", len(list), more, err, ListMax)
	}
	if err := os.Remove(filepath.Join(huge, "0")); err != nil {
		t.Fatal(err)
	}
	if list, more, err := f.List(t.Context(), "huge"); err != nil || more || len(list) != ListMax {
		t.Errorf("got %d, %v, %v, want all %d", len(list), more, err, ListMax)
	}
}

func TestNamesAreShownWithoutWhatATerminalObeys(t *testing.T) {
	for name, want := range map[string]string{
		"a b.txt": "a b.txt", "ü": "ü", "a\x1b[2J": `"a\x1b[2J"`, "a\nb": `"a\nb"`, "\xff": `"\xff"`, "\u202egpj": `"\u202egpj"`,
		strings.Repeat("ü", 200): strings.Repeat("ü", 128) + "...",
	} {
		if got := Shown(name); got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
}

func TestListOfLongLinksIsCutOff(t *testing.T) {
	f, dir := copyOf(t)
	long := strings.Repeat("x/", linkMax/2-1)
	for i := range listedMax/len(long) + 2 {
		link(t, long, filepath.Join(dir, "sub", fmt.Sprintf("l%05d", i)))
	}
	list, more, err := f.List(t.Context(), "sub")
	if err != nil || !more || len(list) < 100 || len(list) > listedMax/len(long) {
		t.Errorf("got %d, %v, %v, want at most %d and more", len(list), more, err, listedMax/len(long))
	}
}
