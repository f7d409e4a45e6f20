package daemon

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// sourceQueue is how many lines of a source wait for those of others.
const sourceQueue = 16

// logSource is a task here, or another node: its lines come by time already.
type logSource struct {
	lines   chan api.LogLine // closed behind the last
	started bool
	order   int          // of its first copy's placement, among all
	head    *api.LogLine // nil behind the last
	key     time.Time    // of the head: when it was begun, or the last before it of which that is known
}

func taskKey(id mesh.AllocID, task string) string { return string(id) + "/" + task }

// findSources makes the sources, those first whose copies were placed first.
func (l *logMerge) findSources(view *mesh.View) {
	l.sources = map[string]*logSource{}
	for _, a := range byPlacement(view, l.r.Job) {
		keys := []string{string(a.Node)}
		if a.Node == l.b.self.ID {
			keys = nil
			for _, task := range taskNames(view, &a) {
				keys = append(keys, taskKey(a.ID, task))
			}
		}
		for _, key := range keys {
			if l.sources[key] == nil {
				l.sources[key] = &logSource{lines: make(chan api.LogLine, sourceQueue), order: len(l.sources)}
			}
		}
	}
}

// byPlacement are the copies of a job, those first that were placed first.
func byPlacement(view *mesh.View, job mesh.JobID) []mesh.AllocView {
	copies := slices.Clone(view.AllocsOf(job))
	slices.SortStableFunc(copies, func(a, b mesh.AllocView) int { return a.At.Compare(b.At) })
	return copies
}

// read has a source read by f.
func (l *logMerge) read(key string, f func()) {
	s := l.sources[key]
	if s != nil {
		s.started = true
	}
	l.wg.Go(func() {
		if s != nil {
			defer close(s.lines)
		}
		f()
	})
}

// byTime passes on the lines of all sources by when they were begun. Where nobody knows when,
// it is as if a copy had written what it has when it was placed, or behind what it wrote before.
func (l *logMerge) byTime(ctx context.Context, view *mesh.View) {
	placed := map[mesh.AllocID]time.Time{}
	for _, a := range view.AllocsOf(l.r.Job) {
		placed[a.ID] = a.At
	}
	var heads logHeads
	for _, s := range l.sources {
		if s.started && s.advance(ctx, placed) {
			heads = append(heads, s)
		}
	}
	heap.Init(&heads)
	for len(heads) > 0 {
		s := heads[0]
		line := *s.head
		if !l.r.Times {
			line.At = time.Time{}
		}
		select {
		case l.lines <- line:
		case <-ctx.Done():
			return
		}
		if s.advance(ctx, placed) {
			heap.Fix(&heads, 0)
		} else {
			heap.Pop(&heads)
		}
	}
}

// advance waits for the next line of a source, and says whether there is one.
func (s *logSource) advance(ctx context.Context, placed map[mesh.AllocID]time.Time) bool {
	var line api.LogLine
	var more bool
	select {
	case line, more = <-s.lines:
	case <-ctx.Done():
	}
	if !more {
		return false
	}
	s.head = &line
	at := line.At
	if at.IsZero() && !line.Begins {
		at = placed[line.Alloc]
	}
	if at.After(s.key) {
		s.key = at
	}
	return true
}

// logHeads are the sources that have a next line, as a heap.
type logHeads []*logSource

func (h logHeads) Len() int { return len(h) }

func (h logHeads) Less(i, j int) bool {
	if c := h[i].key.Compare(h[j].key); c != 0 {
		return c < 0
	}
	return h[i].order < h[j].order
}

func (h logHeads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for [heap.Interface].
func (h *logHeads) Push(s any) { *h = append(*h, s.(*logSource)) }

// Pop is for [heap.Interface].
func (h *logHeads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
