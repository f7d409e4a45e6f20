package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// collect reads without following.
func collect(t *testing.T, dir string, tail int) []string {
	t.Helper()
	var got []string
	err := Read(t.Context(), dir, Query{Tail: tail}, func(l Line) error {
		got = append(got, l.Stream+":"+l.Text)
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return got
}

func write(t *testing.T, w *Writer, text string) {
	t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func TestTailBeginsAtALine(t *testing.T) {
	tests := []struct {
		name  string
		files []string // of stdout
		tail  int
		want  []string
	}{
		{"no files", nil, 5, nil},
		{"all", []string{"a\nb\n"}, -1, []string{"a", "b"}},
		{"none", []string{"a\nb\n"}, 0, nil},
		{"the last", []string{"a\nb\n"}, 1, []string{"b"}},
		{"more than there are", []string{"a\nb\n"}, 9, []string{"a", "b"}},
		{"unfinished line counts", []string{"a\nb\nc"}, 2, []string{"b", "c"}},
		{"empty lines count", []string{"a\n\n\n"}, 2, []string{"", ""}},
		{"across files", []string{"a\nb\n", "c\nd\n"}, 3, []string{"b", "c", "d"}},
		{"a whole file", []string{"a\nb\n", "c\nd\n"}, 2, []string{"c", "d"}},
		{"a line cut by rotation", []string{"a\nbe", "gin\nc\n"}, 2, []string{"begin", "c"}},
		{"a line over three files", []string{"a\nx", "y", "z\n"}, 1, []string{"xyz"}},
		{"empty newest file", []string{"a\nb\n", ""}, 1, []string{"b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for i, text := range tt.files {
				name := filepath.Join(dir, fileName(Stdout, i))
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			for _, line := range tt.want {
				want = append(want, "stdout:"+line)
			}
			if got := collect(t, dir, tt.tail); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// What is read is what was written, however it was cut into writes and files.
func TestReadGivesWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "logs")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		limits := Limits{FileBytes: rapid.Int64Range(1, 64).Draw(t, "file"), Files: 1 << 20}
		lines := rapid.SliceOf(rapid.StringMatching(`[a-z]{0,20}`)).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		if len(lines) > 0 {
			text += "\n"
		}
		for rest := text; rest != ""; {
			// Each piece by a new writer: it must go on where the last one ended.
			w := NewWriter(dir, Stderr, limits)
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			w.Write([]byte(rest[:n]))
			w.Close()
			rest = rest[n:]
		}
		tail := rapid.IntRange(0, len(lines)+2).Draw(t, "tail")
		var got []string
		err = Read(context.Background(), dir, Query{Tail: tail}, func(l Line) error {
			got = append(got, l.Text)
			return nil
		})
		if want := lines[max(0, len(lines)-tail):]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("tail %d: got %q, %v, want %q", tail, got, err, want)
		}
		for _, n := range must(fileNumbers(dir, Stderr)) {
			info, err := os.Stat(filepath.Join(dir, fileName(Stderr, n)))
			if err != nil || info.Size() > limits.FileBytes {
				t.Fatalf("file %d: %v, or more than %d bytes", n, err, limits.FileBytes)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRotationKeepsTheNewestAndWholeLines(t *testing.T) {
	dir := t.TempDir()
	w := NewWriter(dir, Stdout, Limits{FileBytes: 100, Files: 3})
	for i := range 200 {
		write(t, w, fmt.Sprintf("line %03d\n", i))
	}
	w.Close()
	numbers := must(fileNumbers(dir, Stdout))
	if len(numbers) != 3 {
		t.Fatalf("got files %v, want 3", numbers)
	}
	for _, n := range numbers {
		text := must(os.ReadFile(filepath.Join(dir, fileName(Stdout, n))))
		if !bytes.HasPrefix(text, []byte("line ")) || !bytes.HasSuffix(text, []byte("\n")) {
			t.Errorf("file %d does not have whole lines: %q", n, text)
		}
	}
	if got := collect(t, dir, 1); !slices.Equal(got, []string{"stdout:line 199"}) {
		t.Errorf("last line is %q, want line 199", got)
	}
}

func TestLongLinesComeInPieces(t *testing.T) {
	dir := t.TempDir()
	w := NewWriter(dir, Stdout, DefaultLimits())
	write(t, w, strings.Repeat("x", LineMax+3)+"\nshort\n")
	w.Close()
	got := collect(t, dir, -1)
	if len(got) != 3 || len(got[0]) != LineMax+len("stdout:") || got[1] != "stdout:xxx" || got[2] != "stdout:short" {
		t.Errorf("got %d lines, the first of %d bytes", len(got), len(got[0]))
	}
}

// A follower sees everything once and in order, through rotation and from
// before the folder exists.
func TestFollowMissesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	const lines = 5000
	done := make(chan struct{})
	seen := make(chan int, lines)
	result := make(chan error, 1)
	go func() {
		result <- Read(t.Context(), dir, Query{Tail: -1, Follow: true, Done: done}, func(l Line) error {
			var n int
			if _, err := fmt.Sscanf(l.Text, "line %d", &n); err != nil {
				return fmt.Errorf("scan %q: %w", l.Text, err)
			}
			seen <- n
			return nil
		})
	}()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(dir, Stdout, Limits{FileBytes: 2000, Files: 1 << 20})
	for i := range lines {
		write(t, w, fmt.Sprintf("line %d\n", i))
		if i == 10 { // it is following for certain before the rest comes
			for want := range 11 {
				if got := <-seen; got != want {
					t.Fatalf("got line %d, want %d", got, want)
				}
			}
		}
	}
	write(t, w, "line 5000") // no newline: sent when nothing more can come
	w.Close()
	close(done)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	for want := 11; want <= lines; want++ {
		if got := <-seen; got != want {
			t.Fatalf("got line %d, want %d", got, want)
		}
	}
}

func TestFollowTellsWhatWasRotatedAway(t *testing.T) {
	dir := t.TempDir()
	w := NewWriter(dir, Stdout, Limits{FileBytes: 2, Files: 2})
	write(t, w, "a\n")
	var got []string
	stop := errors.New("enough")
	err := Read(t.Context(), dir, Query{Tail: -1, Follow: true}, func(l Line) error {
		got = append(got, l.Stream+":"+l.Text)
		if len(got) == 1 {
			write(t, w, "b\nc\nd\n") // while the reader stands in the first file
		}
		if l.Text == "d" {
			return stop
		}
		return nil
	})
	want := []string{"stdout:a", "mn:1 files of stdout were rotated away before they were read", "stdout:c", "stdout:d"}
	if !errors.Is(err, stop) || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := Read(ctx, t.TempDir(), Query{Follow: true}, func(Line) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// A full disk drops output, counts it, and does not keep later output away.
func TestFullDiskDropsAndGoesOn(t *testing.T) {
	dir := smallDisk(t, 64<<10)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 48<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(dir, Stdout, DefaultLimits())
	defer w.Close()
	line := strings.Repeat("x", 1023) + "\n"
	for range 64 {
		write(t, w, line)
	}
	kept := int64(64<<10) - w.Dropped()
	if w.Dropped() == 0 || kept <= 0 {
		t.Fatalf("dropped %d of %d bytes, want some", w.Dropped(), 64<<10)
	}
	dropped := w.Dropped()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	write(t, w, "\nafter\n")
	if got := collect(t, dir, 1); w.Dropped() != dropped || !slices.Equal(got, []string{"stdout:after"}) {
		t.Errorf("after there is room: last line %q, %d more dropped", got, w.Dropped()-dropped)
	}
}

// smallDisk is a folder with room for size bytes: a tmpfs of its own for root,
// otherwise a file size limit would have to do, which the process cannot take
// back, so only root runs what needs it.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small filesystem needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// What has no room is dropped when there can be no next file, and Write returns:
// a task waits for it.
func TestWriterWithoutNextFileDropsAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	next := filepath.Join(dir, fileName(Stdout, 1))
	if err := os.Mkdir(next, 0o700); err != nil {
		t.Fatal(err)
	}
	w := NewWriter(dir, Stdout, Limits{FileBytes: 8, Files: 5})
	defer w.Close()
	for _, text := range []string{"12345\n", "abcdef\n", "x\n", "y\n"} {
		write(t, w, text)
	}
	if w.Dropped() != int64(len("abcdef\n")+len("y\n")) {
		t.Errorf("dropped %d bytes", w.Dropped())
	}
	if err := os.Remove(next); err != nil {
		t.Fatal(err)
	}
	write(t, w, "on\n")
	if got := collect(t, dir, -1); !slices.Equal(got, []string{"stdout:12345", "stdout:x", "stdout:on"}) {
		t.Errorf("kept %q", got)
	}
}

func TestWriterWithoutFolderDropsAndCounts(t *testing.T) {
	w := NewWriter(filepath.Join(t.TempDir(), "missing", "logs"), Stdout, DefaultLimits())
	write(t, w, "lost\n")
	if w.Dropped() != 5 {
		t.Errorf("dropped %d bytes, want 5", w.Dropped())
	}
}

// Both streams begin at the same time, and one of them makes the folder.
func TestStreamsThatBeginTogetherAreWhole(t *testing.T) {
	for range 500 {
		dir := filepath.Join(t.TempDir(), "log")
		var both sync.WaitGroup
		begin := make(chan struct{})
		for _, stream := range []string{Stdout, Stderr} {
			w := NewWriter(dir, stream, DefaultLimits())
			both.Go(func() {
				<-begin
				w.Write([]byte("a\n"))
				w.Close()
				if n := w.Dropped(); n > 0 {
					t.Errorf("%d bytes of %s were dropped", n, stream)
				}
			})
		}
		close(begin)
		both.Wait()
	}
}

func FuzzFileNumber(f *testing.F) {
	for _, s := range []string{"stdout.000000", "stdout.1000000", "stdout.1", "stdout.-00001", "stdout.0000001", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if n, ok := fileNumber(Stdout, name); ok && (n < 0 || fileName(Stdout, n) != name) {
			t.Errorf("%q was read as number %d, which is written %q", name, n, fileName(Stdout, n))
		}
	})
}
