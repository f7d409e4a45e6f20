package content

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// young is how long an object stays that nobody wants: somebody may be about to say so.
const young = 15 * time.Minute

// ErrBusy says that nothing was looked for, as content is packed, fetched or unpacked: who
// does that would have to wait for whoever began before.
var ErrBusy = errors.New("content is being packed or fetched")

// Collected says what a Collect has found.
type Collected struct {
	Bytes   int64  // that are kept now
	Removed int64  // bytes
	Missing []Hash // of the trees that are wanted, those that are not here
}

// Collect removes objects until no more than limit bytes are kept: those that have not
// been used for the longest time first, and none that is part of a tree that is wanted,
// or is used now. The error may be [ErrBusy].
func (s *Store) Collect(wanted []Hash, limit int64) (c Collected, err error) {
	if !s.use.TryLock() {
		return c, ErrBusy
	}
	defer s.use.Unlock()
	want, err := s.reach(wanted, &c)
	if err != nil {
		return c, fmt.Errorf("collect content: %w", err)
	}
	type object struct {
		Hash
		fs.FileInfo
	}
	var loose []object
	err = s.each(func(h Hash, info fs.FileInfo) error {
		c.Bytes += info.Size()
		if !want[h] && time.Since(info.ModTime()) > young {
			loose = append(loose, object{h, info})
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("collect content: %w", err)
	}
	slices.SortFunc(loose, func(a, b object) int { return a.ModTime().Compare(b.ModTime()) })
	for _, o := range loose {
		if c.Bytes <= limit {
			break
		}
		held, err := s.drop(o.Hash)
		if err != nil {
			return c, fmt.Errorf("collect content: %w", err)
		}
		if held {
			continue
		}
		c.Bytes, c.Removed = c.Bytes-o.Size(), c.Removed+o.Size()
	}
	if c.Removed == 0 {
		return c, nil
	}
	if err := s.unname(); err != nil {
		return c, fmt.Errorf("forget names of content: %w", err)
	}
	return c, nil
}

// reach is all objects of some trees.
func (s *Store) reach(trees []Hash, c *Collected) (map[Hash]bool, error) {
	want := map[Hash]bool{}
	for _, h := range trees {
		if want[h] {
			continue
		}
		t, err := s.Tree(h)
		if errors.Is(err, ErrMissing) {
			c.Missing = append(c.Missing, h)
			continue
		}
		if err != nil {
			return nil, err
		}
		want[h] = true
		for i := range t.Entries {
			for piece := range t.Entries[i].pieces {
				want[piece] = true
			}
		}
	}
	return want, nil
}
