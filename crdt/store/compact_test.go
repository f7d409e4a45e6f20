package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"mn/crdt"
)

// TestStoreCompactsByItself writes the same few keys again and again, far more
// than the newest level may hold, and finds the last values in few tables.
func TestStoreCompactsByItself(t *testing.T) {
	const keys, rounds, size = 32, 40, 32 << 10
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	noise := rand.NewChaCha8([32]byte{1}) // does not compress
	last := map[string][]byte{}
	for range rounds {
		for k := range keys {
			f := Fact{Key: fmt.Sprintf("key%d", k), Value: make([]byte, size)}
			noise.Read(f.Value)
			last[f.Key] = f.Value
			mustCommit(t, s, crdt.Batch{}, f)
		}
	}
	s.compacting.Wait()
	if n := s.db.Levels()[0].NumTables; n >= rounds*keys*size/memTableBytes {
		t.Errorf("%d tables are left in the newest level: nothing was compacted", n)
	}
	_, facts := mustLoad(t, s)
	for k, want := range last {
		if !bytes.Equal(facts[k], want) {
			t.Errorf("%s is not what was written last", k)
		}
	}
}

// TestManyRestartsLeaveFewTables opens and closes a store more often than the
// newest level may have tables.
func TestManyRestartsLeaveFewTables(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 * fullTables {
		s := mustOpen(t, dir)
		if n := s.db.Levels()[0].NumTables; n >= fullTables {
			t.Fatalf("%d tables after %d restarts, want fewer than %d", n, i, fullTables)
		}
		mustCommit(t, s, crdt.Batch{}, Fact{Key: fmt.Sprintf("run%d", i), Value: []byte("x")})
		mustClose(t, s)
	}
	s := mustOpen(t, dir)
	defer mustClose(t, s)
	if _, facts := mustLoad(t, s); len(facts) != 3*fullTables {
		t.Errorf("%d facts are left, want %d", len(facts), 3*fullTables)
	}
}
