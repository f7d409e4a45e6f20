package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"mn/crdt"
)

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustLoad(t testing.TB, s *Store) (crdt.Kept, map[string][]byte) {
	t.Helper()
	kept, facts, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return kept, facts
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// replica is a copy as a store has kept it.
func replica(t testing.TB, kept crdt.Kept) *crdt.Replica {
	t.Helper()
	r, err := crdt.NewReplica("n1", kept)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustCommit(t testing.TB, s *Store, b crdt.Batch, facts ...Fact) {
	t.Helper()
	if err := s.Commit(b, facts); err != nil {
		t.Fatal(err)
	}
}

// batches are commits of every kind, in the order in which a copy makes them.
func batches(t *testing.T) []crdt.Batch {
	r := replica(t, crdt.Kept{})
	var list []crdt.Batch
	flush := func() { list = append(list, r.Flush()) }
	for i := range 5 {
		r.Put(fmt.Sprintf("k%d", i), []byte(strings.Repeat("v", 100*i+1)), crdt.Fence{Epoch: 1}, noon)
	}
	flush()
	r.Delete("k1", crdt.Fence{Epoch: 1}, noon)
	r.Merge([]crdt.Entry{{Key: "bad", Dot: crdt.Dot{Origin: "n2"}}}, noon)
	flush()
	r.Merge([]crdt.Entry{{
		Key: "bad", Value: []byte("good"), Fence: crdt.Fence{Epoch: 1},
		Dot:   crdt.Dot{Origin: "n2", Seq: 3},
		Stamp: crdt.Stamp{Wall: noon.UnixMilli(), Node: "n2"},
	}}, noon.Add(crdt.TombstoneAge))
	r.Collect(nil, noon.Add(2*crdt.TombstoneAge))
	flush()
	for i := range 9000 { // more than one transaction takes
		r.Put(fmt.Sprintf("many/%d", i), make([]byte, 100), crdt.Fence{}, noon)
	}
	flush()
	r.Reset()
	r.Put("after", []byte("reset"), crdt.Fence{}, noon)
	flush()
	return list
}

func TestAStoreKeepsWhatItsModelKeeps(t *testing.T) {
	dir := t.TempDir()
	var want crdt.Kept
	for i, b := range batches(t) {
		s := mustOpen(t, dir)
		mustLoad(t, s)
		mustCommit(t, s, b)
		want.Apply(b)
		mustClose(t, s)

		s = mustOpen(t, dir)
		got, _ := mustLoad(t, s)
		mustClose(t, s)
		if !reflect.DeepEqual(got.Entries, want.Entries) {
			t.Fatalf("after batch %d: %d entries, want %d", i, len(got.Entries), len(want.Entries))
		}
		if !got.Seen.Equal(want.Seen) || got.NextSeq != want.NextSeq || len(got.Damage) > 0 {
			t.Fatalf("after batch %d: got %v %d %v, want %v %d",
				i, got.Seen, got.NextSeq, got.Damage, want.Seen, want.NextSeq)
		}
		none := len(got.Quarantine)+len(want.Quarantine) == 0
		if !none && !reflect.DeepEqual(got.Quarantine, want.Quarantine) {
			t.Fatalf("after batch %d: quarantine %v, want %v", i, got.Quarantine, want.Quarantine)
		}
		if got.Life != uint64(2*i+2) {
			t.Errorf("life %d at open %d", got.Life, 2*i+2)
		}
	}
}

func TestFactsAreKeptBesideTheCopy(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustCommit(t, s, crdt.Batch{}, Fact{"a", []byte("1")}, Fact{"b", []byte("2")}, Fact{"c", []byte{}})
	mustCommit(t, s, crdt.Batch{Reset: true}, Fact{Key: "b"})
	mustClose(t, s)
	_, facts := mustLoad(t, mustOpen(t, dir))
	if want := map[string][]byte{"a": []byte("1"), "c": {}}; !reflect.DeepEqual(facts, want) {
		t.Errorf("got %q, want %q", facts, want)
	}
}

func TestALargeCommitCountsOrDoesNot(t *testing.T) {
	big := func(t *testing.T, s *Store) []op {
		r := replica(t, crdt.Kept{})
		for i := range 5000 {
			r.Put(fmt.Sprintf("k%d", i), make([]byte, 200), crdt.Fence{}, noon)
		}
		ops, err := s.opsOf(r.Flush(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return ops
	}
	parts := func(t *testing.T, s *Store, ops []op) (n uint64) {
		for c := range slices.Chunk(ops, partOps) {
			payload, err := crdt.Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.transact([]op{{Key: partKey(n), Value: seal(partKey(n), payload)}}); err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	for _, counts := range []bool{false, true} {
		t.Run(fmt.Sprint("counts ", counts), func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir)
			ops := big(t, s)
			n := parts(t, s, ops)
			want := 0
			if counts {
				want = 5000
				staged, _ := put(kindStaged, "", n)
				// The crash comes when the commit counts, and half of it is carried out.
				if err := errors.Join(s.transact([]op{staged}), s.transact(ops[:2000])); err != nil {
					t.Fatal(err)
				}
			}
			mustClose(t, s)
			s = mustOpen(t, dir)
			kept, _ := mustLoad(t, s)
			if len(kept.Entries) != want {
				t.Errorf("%d entries, want %d", len(kept.Entries), want)
			}
			if rest, err := s.removal(nil, kindStage, kindStaged); err != nil || len(rest) > 0 {
				t.Errorf("%d records are left of it, %v", len(rest), err)
			}
		})
	}
}

// spoil changes a record under the store's feet.
func spoil(t *testing.T, s *Store, key []byte, change func([]byte) []byte) {
	t.Helper()
	err := s.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		v, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return txn.Set(key, change(v))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestASpoiledRecordIsNamedAndMovedAside(t *testing.T) {
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	empty := func([]byte) []byte { return nil }
	later := func(b []byte) []byte { b[0] = 9; return b }
	for _, tc := range []struct {
		name   string
		key    []byte
		change func([]byte) []byte
		damage string
		lost   int
	}{
		{"a bit of an entry", keyOf(kindEntry, "k2"), flip, `record "k2": checksum`, 1},
		{"an entry of nothing", keyOf(kindEntry, "k2"), empty, `record "k2": 0 bytes`, 1},
		{"another format", keyOf(kindEntry, "k2"), later, `record "k2": format 9`, 1},
		{"what was seen", keyOf(kindSeen, "n1"), flip, `record "n1": checksum`, 0},
		{"the store's own", metaKey, flip, "the store's own record: checksum", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir)
			r := replica(t, crdt.Kept{})
			for i := range 5 {
				r.Put(fmt.Sprintf("k%d", i), []byte("v"), crdt.Fence{}, noon)
			}
			mustCommit(t, s, r.Flush(), Fact{"fact", []byte("stays")})
			spoil(t, s, tc.key, tc.change)
			mustClose(t, s)

			s = mustOpen(t, dir)
			kept, facts := mustLoad(t, s)
			if !strings.Contains(strings.Join(kept.Damage, "; "), tc.damage) {
				t.Errorf("damage %q, want %q", kept.Damage, tc.damage)
			}
			if len(kept.Entries) != 5-tc.lost || string(facts["fact"]) != "stays" {
				t.Errorf("%d entries, facts %v", len(kept.Entries), facts)
			}
			if len(kept.Seen) > 0 || kept.NextSeq <= 6 || kept.Life < 2 {
				t.Errorf("it says it has seen %v, next %d, life %d", kept.Seen, kept.NextSeq, kept.Life)
			}
			mustClose(t, s)
			s = mustOpen(t, dir)
			if kept, _ = mustLoad(t, s); !strings.Contains(strings.Join(kept.Damage, "; "), tc.damage) {
				t.Errorf("damage %q when nobody has written what follows from it, want %q", kept.Damage, tc.damage)
			}
			mustCommit(t, s, crdt.Batch{}, Fact{"told", []byte("yes")})
			mustClose(t, s)
			kept, _ = mustLoad(t, mustOpen(t, dir))
			if len(kept.Damage) > 0 || len(kept.Entries) != 5-tc.lost {
				t.Errorf("once more: damage %q, %d entries", kept.Damage, len(kept.Entries))
			}
			if len(kept.Seen) > 0 || kept.NextSeq <= 6 {
				t.Errorf("once more: it says it has seen %v, next %d", kept.Seen, kept.NextSeq)
			}
		})
	}
}

// TestASpoiledFactIsNotPassedOver: it may be what a voter has promised. A node without
// it has no business to go on under its old name.
func TestASpoiledFactIsNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustCommit(t, s, crdt.Batch{}, Fact{"promise", []byte("kept")})
	spoil(t, s, keyOf(kindFact, "promise"), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	mustClose(t, s)
	for range 2 {
		s = mustOpen(t, dir)
		_, _, err := s.Load()
		if damage := (*DamageError)(nil); !errors.As(err, &damage) || !strings.Contains(err.Error(), `"promise": checksum`) {
			t.Errorf("got %v, want a *DamageError that names the fact", err)
		}
		mustClose(t, s)
	}
}

func TestARecordUnderAnotherKeyIsNotBelieved(t *testing.T) {
	record := seal([]byte("ea"), []byte("payload"))
	if _, err := unseal([]byte("eb"), record); err == nil {
		t.Error("believed")
	}
	if got, err := unseal([]byte("ea"), record); err != nil || !bytes.Equal(got, []byte("payload")) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestADirectoryHasOneProcess(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir)
	if _, err := Open(dir, quiet); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	mustClose(t, s)
	mustClose(t, s)
	if err := s.Commit(crdt.Batch{}, nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v", err)
	}
}

func TestADirectoryThatCannotBeUsedIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file, quiet)
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestMaintainAndStats(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	mustCommit(t, s, batches(t)[3])
	if err := s.Maintain(); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Commits != 2 || st.Staged != 1 || st.Refused != 0 {
		t.Errorf("got %+v", st)
	}
}

// A process that is killed loses nothing that it has written, synced or not; a
// machine that loses its power does. What no test here can cut is checked by
// its setting.
func TestCommitsAreSynced(t *testing.T) {
	if o := settings(t.TempDir(), slog.New(slog.DiscardHandler)); !o.SyncWrites {
		t.Error("commits are not synced to the disk")
	}
}
