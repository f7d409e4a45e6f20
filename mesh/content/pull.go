package content

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
)

// Source is somebody else who may have objects.
type Source interface {
	// Fetch asks for some objects, and calls got with each that the source has. What comes
	// is not believed: it may be anything.
	Fetch(ctx context.Context, want []Hash, got func(object []byte) error) error
}

// Bounds of a pull.
const (
	batch      = 32         // objects that a source is asked for at once,
	batchBytes = PieceBytes // together
	workers    = 3          // batches under way
	// batchPart is the part of all that is missing that a batch may be: what is on its way from
	// whoever has all, others who pull the same can't have from us.
	batchPart = 40
)

// Pull fetches what is missing of a tree; when it returns, all of it is on the disk.
// Sources are asked in their order, each for what those before it do not have: peers
// that pull the same come first, and whoever has all of it last, so that it sends little
// twice. A source that gives what was not asked for is asked no more, and one that has failed
// is asked after the others. What has come stays
// if the pull fails: the next goes on from there. The error is [ErrMissing] if no source
// has some object. Progress is called now and then, with the bytes that are here and all.
func (s *Store) Pull(ctx context.Context, tree Hash, sources []Source, progress func(have, all int64)) error {
	s.use.RLock()
	defer s.use.RUnlock()
	p := newPuller(s, sources, progress)
	if err := p.pull(ctx, tree); err != nil {
		return fmt.Errorf("pull %v: %w", tree, err)
	}
	return nil
}

// Repair is a Pull that reads all that is here of a tree, and fetches it again where it was
// spoiled on the disk.
func (s *Store) Repair(ctx context.Context, tree Hash, sources []Source) error {
	if err := s.Pull(ctx, tree, sources, nil); err != nil {
		return err
	}
	t, err := s.Tree(tree)
	if err != nil {
		return fmt.Errorf("repair %v: %w", tree, err)
	}
	for i := range t.Entries {
		for h := range t.Entries[i].pieces {
			_, err := s.Get(h)
			if errors.Is(err, ErrMissing) { // now it is
				err = nil
			}
			if err = errors.Join(err, ctx.Err()); err != nil {
				return fmt.Errorf("repair %v: %w", tree, err)
			}
		}
	}
	return s.Pull(ctx, tree, sources, nil)
}

// puller is a Pull under way.
type puller struct {
	store    *Store
	sources  []Source
	bad      []atomic.Bool // gave what they were not asked for
	failed   []atomic.Bool // did not answer, or not to the end
	progress func(have, all int64)

	most int // bytes that an object may have

	mu        sync.Mutex
	have, all int64
}

func newPuller(s *Store, sources []Source, progress func(have, all int64)) *puller {
	return &puller{
		store: s, sources: sources, progress: progress, most: TreeBytes,
		bad: make([]atomic.Bool, len(sources)), failed: make([]atomic.Bool, len(sources)),
	}
}

func (p *puller) pull(ctx context.Context, tree Hash) error {
	t, err := p.store.Tree(tree)
	if errors.Is(err, ErrMissing) {
		if err = p.fetch(ctx, []Hash{tree}); err == nil {
			p.have = 0
			t, err = p.store.Tree(tree)
		}
	}
	if err != nil {
		return err
	}
	p.most = PieceBytes
	seen, missing := map[Hash]bool{}, []piece(nil)
	for i := range t.Entries {
		left := t.Entries[i].Size
		for h := range t.Entries[i].pieces {
			size := min(left, PieceBytes)
			left -= size
			if seen[h] {
				continue
			}
			seen[h] = true
			p.all += size
			if p.store.Touch(h) {
				p.have += size
			} else {
				missing = append(missing, piece{h, size})
			}
		}
	}
	p.came(0)
	// Each who pulls begins elsewhere, so that they have something for each other.
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	if err := p.fetchAll(ctx, missing); err != nil {
		return err
	}
	return p.store.Sync()
}

// piece is an object that is missing, and how many bytes it has.
type piece struct {
	Hash
	bytes int64
}

// nextBatch is which of some pieces to ask for at once.
func nextBatch(missing []piece, most int) (want []Hash) {
	bytes := int64(0)
	for _, m := range missing[:min(len(missing), most)] {
		if bytes += m.bytes; want != nil && bytes > batchBytes {
			break
		}
		want = append(want, m.Hash)
	}
	return want
}

// fetchAll fetches batch by batch, some at once, and ends with the first that fails.
func (p *puller) fetchAll(ctx context.Context, missing []piece) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches, most := make(chan []Hash), max(1, min(len(missing)/batchPart, batch))
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for want := range batches {
				if err := p.fetch(ctx, want); err != nil {
					cancel(err)
				}
			}
		})
	}
	for len(missing) > 0 && ctx.Err() == nil {
		want := nextBatch(missing, most)
		select {
		case batches <- want:
		case <-ctx.Done():
		}
		missing = missing[len(want):]
	}
	close(batches)
	all.Wait()
	return context.Cause(ctx)
}

// fetch asks one source after the other for some objects.
func (p *puller) fetch(ctx context.Context, want []Hash) error {
	// Another pull of the same may have brought some meanwhile.
	want = slices.DeleteFunc(slices.Clone(want), p.store.Has)
	var errs []error
	for _, i := range p.order() {
		if len(want) == 0 || ctx.Err() != nil {
			break
		}
		open := map[Hash]bool{}
		for _, h := range want {
			open[h] = true
		}
		err := p.sources[i].Fetch(ctx, want, func(object []byte) error {
			h := HashOf(object)
			if !open[h] {
				p.bad[i].Store(true)
				return errors.New("it gave what it was not asked for")
			}
			if len(object) > p.most {
				return fmt.Errorf("a piece has %d bytes, more than %d", len(object), p.most)
			}
			delete(open, h)
			if _, err := p.store.Put(object); err != nil {
				return err
			}
			p.came(int64(len(object)))
			return nil
		})
		p.failed[i].Store(err != nil)
		errs = append(errs, err)
		rest := want[:0:0]
		for _, h := range want {
			if open[h] {
				rest = append(rest, h)
			}
		}
		want = rest
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(want) > 0:
		return errors.Join(append(errs, fmt.Errorf("%w: %v, and %d more", ErrMissing, want[0], len(want)-1))...)
	}
	return nil
}

// order is in which order to ask the sources, by their numbers.
func (p *puller) order() []int {
	var first, last []int
	for i := range p.sources {
		switch {
		case p.bad[i].Load():
		case p.failed[i].Load():
			last = append(last, i)
		default:
			first = append(first, i)
		}
	}
	return append(first, last...)
}

// came counts bytes that are here.
func (p *puller) came(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have += n
	if p.progress != nil {
		p.progress(min(p.have, p.all), p.all)
	}
}
