package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mn/crdt"
)

const cutCommits = 16

// commitSome makes a store of cutCommits commits, and copies its files as they
// are at that moment: as a crash leaves them, or closed.
func commitSome(t *testing.T, closed bool) (dir string) {
	t.Helper()
	live, dir := t.TempDir(), t.TempDir()
	s := mustOpen(t, live)
	r := replica(t, crdt.Kept{})
	for i := range cutCommits {
		r.Put(fmt.Sprintf("k%02d", i), bytes.Repeat([]byte{byte(i)}, 300), crdt.Fence{}, noon)
		mustCommit(t, s, r.Flush())
		if closed && i == cutCommits/2 {
			mustClose(t, s)
			s = mustOpen(t, live)
		}
	}
	if closed {
		mustClose(t, s)
	}
	copyDir(t, live, dir)
	return dir
}

// copyDir copies a store's files, leaving out what nobody wrote to.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, size := contents(t, filepath.Join(from, f.Name()))
		path := filepath.Join(to, f.Name())
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
}

// contents is a file without the zeros at its end, and its size with them.
func contents(t *testing.T, path string) ([]byte, int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	const written = 256 << 10 // these tests write less to any file
	data, err := io.ReadAll(io.LimitReader(f, written))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(data, "\x00"), info.Size()
}

// mustBeHonest opens a store whose files were spoiled: it has all commits, or
// the first so many and says that the rest is lost, or names what is damaged.
func mustBeHonest(t *testing.T, dir, how string) (entries int) {
	t.Helper()
	s, err := Open(dir, quiet)
	if err == nil {
		defer func() { _ = s.Close() }()
		var kept crdt.Kept
		if kept, _, err = s.Load(); err == nil {
			n := len(kept.Entries)
			if n < cutCommits && len(kept.Damage) == 0 {
				t.Errorf("%s: %d of %d commits are gone, and it says nothing", how, cutCommits-n, cutCommits)
			}
			if len(kept.Damage) > 0 && (len(kept.Seen) > 0 || kept.NextSeq <= cutCommits) {
				t.Errorf("%s: damaged, and sure of %v, next %d", how, kept.Seen, kept.NextSeq)
			}
			cut := len(kept.Damage) == 1 && strings.HasPrefix(kept.Damage[0], "the last")
			for i, e := range kept.Entries {
				if cut && e.Key != fmt.Sprintf("k%02d", i) {
					t.Errorf("%s: entry %d is %q: not the first so many", how, i, e.Key)
				}
			}
			return n
		}
	}
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File == "" {
		t.Errorf("%s: got %v, want an error that names the file", how, err)
	}
	return 0
}

// spoilEach spoils every file of a crashed and of a closed store in many ways.
// A way is a place in the file, and what is done there.
func spoilEach(
	t *testing.T, places func(written, size int64) []int64, spoil func(path string, at int64) error,
) {
	for _, closed := range []bool{false, true} {
		template := commitSome(t, closed)
		files, err := os.ReadDir(template)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			t.Run(fmt.Sprintf("%s closed %v", f.Name(), closed), func(t *testing.T) {
				t.Parallel()
				data, size := contents(t, filepath.Join(template, f.Name()))
				for _, at := range places(int64(len(data)), size) {
					dir := t.TempDir()
					copyDir(t, template, dir)
					if err := spoil(filepath.Join(dir, f.Name()), at); err != nil {
						t.Fatal(err)
					}
					mustBeHonest(t, dir, fmt.Sprintf("at %d of %d", at, size))
				}
			})
		}
	}
}

func TestAStoreThatWasCutAnywhereIsHonest(t *testing.T) {
	const step = 512
	everyStep := func(written, size int64) []int64 {
		at := []int64{written / 2, max(written-1, 0)}
		for i := int64(0); i < min(written+step, size); i += step {
			at = append(at, i)
		}
		return at
	}
	spoilEach(t, everyStep, os.Truncate)
}

func TestAFlippedBitIsFound(t *testing.T) {
	const places = 7
	some := func(written, _ int64) (at []int64) {
		for i := range min(written, places) {
			at = append(at, written*i/places)
		}
		return at
	}
	spoilEach(t, some, func(path string, at int64) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		var b [1]byte
		_, rerr := f.ReadAt(b[:], at)
		b[0] ^= 0x10
		_, werr := f.WriteAt(b[:], at)
		return errors.Join(rerr, werr, f.Close())
	})
}
