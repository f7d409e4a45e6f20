// Package store keeps a node's copy of the data on its disk, so that whatever
// was acknowledged is there again after a crash, and what the disk has spoiled
// is named instead of believed.
//
// Badger is underneath. On top of it, every record carries its own checksum
// over its key and its value, every commit is one piece however large (stage.go),
// and a small file beside Badger's says how many commits there were, because a
// log that was cut off ends as neatly as one that is whole. A store's goroutines,
// and Badger's, end with [Store.Close].
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"mn/crdt"
)

// What the store takes of the machine. The tables are small because the data
// is: some 10,000 records at most, nearly all under 1 KiB.
const (
	memTableBytes = 4 << 20 // Badger takes at most 15 % of it in one transaction
	cacheBytes    = 1 << 20
	valueLogBytes = 16 << 20 // unused as long as values stay under the threshold

	// reserveBytes of the disk stay free. Badger writes through mapped files,
	// which on a full disk would end the process instead of giving an error.
	reserveBytes = 24 << 20
)

// Fact is something that only this node keeps: promises, keys, its address book.
type Fact struct {
	Key   string
	Value []byte // nil removes it
}

// Stats is what a store says about itself.
type Stats struct {
	Commits   uint64 // since the directory was made
	DiskBytes int64
	Staged    uint64 // commits too large for one transaction, since Open
	Refused   uint64 // commits refused, since Open
}

// Store is a directory that holds one node's data. It is safe for concurrent
// use; commits go one after the other.
type Store struct {
	dir string
	log *slog.Logger
	db  *badger.DB

	mu     sync.Mutex
	meta   meta
	mark   *watermark
	damage []string // found by Open
	told   bool     // Load has said what is lost
	stats  Stats
	closed bool

	written    int // bytes, since the last compaction began
	compacting sync.WaitGroup
	busy       bool // a compaction runs
}

// Open opens the directory, and makes it if need be. It finishes a commit that
// a crash has interrupted after its point of no return. An error is a
// *DamageError if the files are spoiled beyond what the store can mend.
func Open(dir string, log *slog.Logger) (s *Store, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	if err := checkSpace(dir); err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	s = &Store{dir: dir, log: log}
	if s.mark, err = openWatermark(filepath.Join(dir, "commits")); err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	if err := s.openBadger(); err != nil {
		return nil, errors.Join(err, s.mark.close())
	}
	if err := s.begin(); err != nil {
		return nil, errors.Join(s.damaged(err), s.Close())
	}
	return s, nil
}

func (s *Store) openBadger() error {
	if err := mend(s.dir, s.log); err != nil {
		return err
	}
	if err := s.verify(); err != nil {
		return err
	}
	var err error
	func() {
		defer guard(&err)
		s.db, err = badger.Open(settings(s.dir, s.log))
	}()
	if err != nil {
		return s.damaged(err)
	}
	return s.compactIfFull()
}

func settings(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memTableBytes).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(stallTables).
		WithBaseTableSize(memTableBytes / 2).
		WithNumCompactors(0). // compact.go does it when there is reason to
		WithNumGoroutines(1).
		WithCompression(options.Snappy).
		WithBlockCacheSize(cacheBytes).
		WithValueThreshold(memTableBytes * 14 / 100). // all values lie beside their keys
		WithValueLogFileSize(valueLogBytes).
		WithChecksumVerificationMode(options.OnTableAndBlockRead).
		WithDetectConflicts(false). // one writer
		WithMetricsEnabled(false).
		WithLogger(bridge{log})
}

// begin does what comes before the first use: finish what was interrupted,
// count this run, and see whether commits are missing.
func (s *Store) begin() (err error) {
	defer guard(&err)
	if err := s.finishStaged(); err != nil {
		return err
	}
	if err := s.readMeta(); err != nil {
		return err
	}
	ops := []op{}
	if missing := s.mark.behind(s.meta.Commits); missing > 0 {
		s.damage = append(s.damage,
			fmt.Sprintf("the last %d commits: a file of %q was cut or replaced", missing, s.dir))
		// Each run has committed at least once: no life of a lost run is used again.
		s.meta.Commits += missing
		s.meta.Life += missing
	}
	s.damage = append(s.meta.Damage, s.damage...)
	if len(s.damage) > 0 {
		if ops, err = s.unsure(ops); err != nil {
			return err
		}
	}
	s.meta.Damage = s.damage[:min(len(s.damage), damageMax)]
	s.meta.Life++
	return s.write(ops)
}

// Commit makes a batch and some facts durable, in one piece: after a crash
// there is all of it or nothing. When it returns nil, it is on the disk.
func (s *Store) Commit(b crdt.Batch, facts []Fact) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("commit to store %q: it is closed", s.dir)
	}
	defer func() {
		if err != nil {
			s.stats.Refused++
			err = fmt.Errorf("commit to store %q: %w", s.dir, err)
		}
	}()
	defer guard(&err)
	if err := checkSpace(s.dir); err != nil {
		return err
	}
	ops, err := s.opsOf(b, facts)
	if err != nil {
		return err
	}
	before := s.meta
	s.meta.Next = max(s.meta.Next, b.NextSeq)
	if s.told {
		s.meta.Damage = nil
	}
	if err := s.write(ops); err != nil {
		s.meta.Damage = before.Damage
		return err
	}
	s.compactLater(ops)
	return nil
}

// Maintain gives back disk space that nothing uses. It is for a quiet moment,
// some times a day.
func (s *Store) Maintain() (err error) {
	defer guard(&err)
	const worthwhile = 0.5 // share of a file that must be waste
	err = s.db.RunValueLogGC(worthwhile)
	if err == nil || errors.Is(err, badger.ErrNoRewrite) || errors.Is(err, badger.ErrRejected) {
		return nil
	}
	return fmt.Errorf("maintain store %q: %w", s.dir, err)
}

// Stats is what the store has done, and what it takes.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Commits = s.meta.Commits
	lsm, vlog := s.db.Size()
	st.DiskBytes = lsm + vlog
	return st
}

// Close writes out what is in memory and frees the directory. It waits for all
// of Badger's goroutines.
func (s *Store) Close() (err error) {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	s.compacting.Wait()
	defer guard(&err)
	// The watermark goes last: with it goes the lock of the directory.
	if err := errors.Join(s.db.Close(), s.mark.close()); err != nil {
		return fmt.Errorf("close store %q: %w", s.dir, err)
	}
	return nil
}

// guard turns a panic of Badger, or a fault in a mapped file, into an error: a
// spoiled file must not take the agent with it.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("storage engine: %v (%s)", p, firstFrame(debug.Stack()))
	}
}
