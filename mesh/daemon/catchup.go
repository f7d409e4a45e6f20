package daemon

import (
	"context"
	"maps"
	"slices"
	"time"

	"mn/health/clock"
	"mn/mesh/api"
)

// keptLine is a line that waits to be merged.
type keptLine struct {
	from *eventSource
	at   api.Position
	line api.EventLine
}

// catchUp sends what the nodes have kept, merged by time, each node's in its own
// order. If only the last are wanted, it is known which these are when all have
// been seen.
func (m *eventMerge) catchUp(ctx context.Context) error {
	if !m.r.After.IsZero() || m.r.Tail < 0 {
		err := m.merge(ctx, func(k keptLine) error { return m.emit(k.from.id, k.at, k.line) })
		maps.Copy(m.cursor.Nodes, m.heads)
		return err
	}
	var last []keptLine
	events, cut := 0, m.r.Tail == 0
	err := m.merge(ctx, func(k keptLine) error {
		last = append(last, k)
		if !k.line.Notice() {
			events++
		}
		for len(last) > 0 && (events > m.r.Tail || cut && last[0].line.Notice()) {
			if !last[0].line.Notice() {
				events--
			}
			last, cut = last[1:], true
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.rewind(last, cut || events == m.r.Tail)
	for _, k := range last {
		if err := m.emit(k.from.id, k.at, k.line); err != nil {
			return err
		}
	}
	return nil
}

// rewind sets the cursor to the place before the last lines. Where earlier ones
// were cut off, the stream begins with these, also for nodes yet to come.
func (m *eventMerge) rewind(last []keptLine, cut bool) {
	maps.Copy(m.cursor.Nodes, m.heads)
	for _, k := range slices.Backward(last) {
		before := k.at
		if !k.line.Notice() {
			before.Number--
		}
		m.cursor.Nodes[k.from.id] = before
	}
	switch {
	case cut && len(last) > 0:
		m.cursor.Floor = last[0].line.At.Truncate(time.Millisecond)
	case cut:
		m.cursor.Floor = clock.Wall().Truncate(time.Millisecond)
	}
}

// merge calls each with what the nodes have kept, the earliest first, and notes
// where each node was when it had no more.
func (m *eventMerge) merge(ctx context.Context, each func(keptLine) error) error {
	var waiting []keptLine // the next one of each node
	answers := time.Now().Add(eventPatience)
	for _, id := range slices.Sorted(maps.Keys(m.sources)) {
		s := m.sources[id]
		if s.kept == nil {
			continue
		}
		next, ok, err := m.next(ctx, s, answers)
		if err != nil {
			return err
		}
		if ok {
			waiting = append(waiting, next)
		}
	}
	for len(waiting) > 0 {
		i := earliest(waiting)
		first := waiting[i]
		if err := each(first); err != nil {
			return err
		}
		next, ok, err := m.next(ctx, first.from, time.Now().Add(eventPatience))
		if err != nil {
			return err
		}
		if waiting[i] = next; !ok {
			waiting = slices.Delete(waiting, i, i+1)
		}
	}
	return ctx.Err()
}

func earliest(lines []keptLine) int {
	first := 0
	for i := range lines {
		if lines[i].line.At.Before(lines[first].line.At) {
			first = i
		}
	}
	return first
}

// next is the next line that a node has kept, if there is one by then.
func (m *eventMerge) next(ctx context.Context, s *eventSource, by time.Time) (keptLine, bool, error) {
	why := "it does not answer: what it saw cannot be read now"
	if l, ok := receive(ctx, s.kept, by); ok {
		at, err := place(&l, s.id)
		if err == nil {
			m.heads[s.id] = at
			return keptLine{s, at, l}, l.Kind != api.EventCaughtUp, nil
		}
		why = "its answer cannot be read: " + err.Error()
	}
	if ctx.Err() != nil {
		return keptLine{}, false, ctx.Err()
	}
	s.dropped = true
	s.cancel()
	return keptLine{}, false, m.unasked(s, why)
}

// receive is the next line of c, if one comes in time.
func receive(ctx context.Context, c <-chan api.EventLine, by time.Time) (l api.EventLine, ok bool) {
	select {
	case l, ok = <-c: // also when it is too late: it is here
		return l, ok
	default:
	}
	late := time.NewTimer(time.Until(by))
	defer late.Stop()
	select {
	case l, ok = <-c:
	case <-late.C:
	case <-ctx.Done():
	}
	return l, ok
}
