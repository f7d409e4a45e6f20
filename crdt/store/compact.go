package store

import "fmt"

// Badger's own compactors look for work twenty times a second each, and there
// must be two of them: most of what an idle agent would do. A node's data is
// small and changes slowly, so the store compacts by itself, once enough has
// been written for it to be worth while.
const (
	compactAfter = 4 * memTableBytes // bytes written
	fullTables   = 8                 // of the newest level, found when the store is opened
	stallTables  = 64                // at which Badger holds up writers: far above what is reached
)

// compactLater begins a compaction in the background if there is reason to. The
// caller holds s.mu.
func (s *Store) compactLater(ops []op) {
	for _, o := range ops {
		s.written += len(o.Key) + len(o.Value)
	}
	if s.written < compactAfter || s.busy {
		return
	}
	s.written, s.busy = 0, true
	s.compacting.Go(func() {
		if err := s.compact(); err != nil {
			s.log.Warn("compact the store", "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy = false
	})
}

// compactIfFull compacts what earlier runs have left: each leaves a table.
func (s *Store) compactIfFull() error {
	if levels := s.db.Levels(); len(levels) > 0 && levels[0].NumTables < fullTables {
		return nil
	}
	return s.compact()
}

func (s *Store) compact() (err error) {
	defer guard(&err)
	if err := s.db.Flatten(1); err != nil {
		return fmt.Errorf("compact store %q: %w", s.dir, err)
	}
	return nil
}
