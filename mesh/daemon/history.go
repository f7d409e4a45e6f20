package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// eventTextMax is how many bytes of an event's text are kept.
const eventTextMax = 4 << 10

// historyLimits bound what a node keeps of its own events.
type historyLimits struct {
	events  int   // in memory
	bytes   int   // of them, roughly
	segment int64 // bytes of each of the two files
}

// defaultHistory keeps in memory what a file can hold.
func defaultHistory() historyLimits {
	return historyLimits{events: 4096, bytes: 2 << 20, segment: 2 << 20}
}

// pastEvent is an event with its place.
type pastEvent struct {
	at     api.Position
	event  mesh.Event
	before api.Position // of the first of a run: the last of the run before, if that ended in order
}

// cost is roughly how many bytes an event takes.
func (p *pastEvent) cost() int { return 200 + len(p.event.Text) }

// history is the last events of this node, and who follows them.
//
// Whoever asks is answered from memory. A goroutine copies what comes to the
// disk, at its own pace, so that the core waits for no write of it: what is
// pushed out of memory before it was written, as when the disk refuses, is
// missing after a restart of the agent, and nowhere else. An agent that ends in
// order leaves a mark behind its last event, so that it is known what came before
// the first of the next one; without that mark something may be missing.
type history struct {
	limits  historyLimits
	journal *journal // nil: in memory only
	stop    chan struct{}
	written chan struct{} // closed when nothing more is written

	mu    sync.Mutex
	past  []pastEvent // the oldest first; what is in it is not changed any more
	bytes int
	head  api.Position
	prior api.Position  // the last of the run before, if that ended in order
	more  chan struct{} // closed when one comes
}

// newHistory is a history that begins now, in memory only.
func newHistory(l historyLimits, now time.Time) *history {
	return &history{limits: l, head: api.Position{Run: uint64(max(now.UnixMilli(), 1))}, more: make(chan struct{})}
}

// openHistory goes on with the history that dir has. There is always one: what
// cannot be read or written is only not there after a restart.
func openHistory(dir string, l historyLimits, now time.Time, log *slog.Logger) *history {
	h := newHistory(l, now)
	h.journal = newJournal(dir, l.segment, log)
	past, last, ended := h.journal.load()
	for _, p := range past {
		h.keep(p)
	}
	h.head.Run = max(h.head.Run, last.Run+1)
	if ended {
		h.prior = last
	}
	h.stop, h.written = make(chan struct{}), make(chan struct{})
	go h.write(h.head)
	return h
}

// close writes what is not written yet, and that this is the end.
func (h *history) close() error {
	if h.journal != nil {
		close(h.stop)
		<-h.written
	}
	return nil
}

// write copies what comes to the disk.
func (h *history) write(at api.Position) {
	defer close(h.written)
	for {
		past, head, more := h.after(at)
		h.journal.write(past)
		at = head
		select {
		case <-more:
		case <-h.stop:
			past, head, _ = h.after(at)
			h.journal.write(past)
			h.journal.end(head)
			return
		}
	}
}

// add takes what has happened.
func (h *history) add(events []mesh.Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if len(e.Text) > eventTextMax {
			e.Text = strings.ToValidUTF8(e.Text[:eventTextMax], "") + "…"
		}
		h.head.Number++
		p := pastEvent{at: h.head, event: e}
		if h.head.Number == 1 {
			p.before = h.prior
		}
		h.keep(p)
	}
	close(h.more)
	h.more = make(chan struct{})
}

// keep puts one behind the others, and lets go of the oldest.
func (h *history) keep(p pastEvent) {
	h.past = append(h.past, p)
	h.bytes += p.cost()
	for len(h.past) > h.limits.events || h.bytes > h.limits.bytes && len(h.past) > 1 {
		h.bytes -= h.past[0].cost()
		h.past = h.past[1:]
	}
}

// after are the kept events after a place, the place of the last, and a channel
// that is closed when there are more.
func (h *history) after(at api.Position) ([]pastEvent, api.Position, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := len(h.past)
	for from > 0 && h.past[from-1].at.Compare(at) > 0 {
		from--
	}
	head := h.head
	if head.Number == 0 && h.prior != (api.Position{}) {
		head = h.prior // nothing was lost since
	}
	return h.past[from:len(h.past):len(h.past)], head, h.more
}

// reader goes through the history for one who asks. Whatever is missing between
// two events that it reads, it says.
type reader struct {
	h     *history
	r     api.EventsRequest
	floor time.Time
	at    api.Position
	begun bool // at is where the reader was: what comes must follow on it
	lost  bool // nobody was ever at the place where the reader is to go on
}

func newReader(h *history, self mesh.NodeID, r api.EventsRequest) *reader {
	out := &reader{h: h, r: r, floor: r.Since}
	if r.After.IsZero() {
		return out
	}
	out.floor = r.After.Floor
	if at, ok := r.After.Nodes[self]; ok {
		out.at, out.begun, out.floor = at, true, time.Time{}
	}
	return out
}

// next are the lines up to now, and a channel that is closed when there are more.
func (r *reader) next() ([]placedLine, <-chan struct{}) {
	past, head, more := r.h.after(r.at)
	if r.begun && r.at.Compare(head) > 0 {
		// The disk was lost, or went back: what is here is not what was seen.
		r.at, r.begun, r.lost = api.Position{}, false, true
		past, head, more = r.h.after(r.at)
	}
	var lines []placedLine
	for i := range past {
		p := &past[i]
		why := r.gap(p)
		r.at, r.begun, r.lost = p.at, true, false
		if p.event.At.Before(r.floor) {
			continue
		}
		if why != "" {
			before := api.Position{Run: p.at.Run, Number: p.at.Number - 1}
			gap := api.EventLine{At: p.event.At.UTC(), Kind: api.EventGap, Text: why}
			lines = append(lines, placedLine{before, gap})
		}
		if r.r.Selects(&p.event) {
			lines = append(lines, placedLine{p.at, lineOf(&p.event)})
		}
	}
	if !r.begun && !r.lost {
		r.at, r.begun = head, true
	}
	return lines, more
}

// gap says what is missing before an event, if so.
func (r *reader) gap(p *pastEvent) string {
	known := p.before != (api.Position{})
	follows := known && r.at == p.before || r.at.Run == p.at.Run && r.at.Number+1 == p.at.Number
	switch {
	case r.lost:
		return "this node has not the history that the cursor is of: what it has follows, and may have been seen"
	case !r.begun || follows:
		return ""
	case r.at.Run != p.at.Run:
		return "its agent was started anew, and what it saw last may be missing here"
	}
	return "events are missing here: there were more than are kept, or they could not be written"
}

// placedLine is a line and the node's position after it.
type placedLine struct {
	at   api.Position
	line api.EventLine
}

func lineOf(e *mesh.Event) api.EventLine {
	l := api.EventLine{
		At: e.At.UTC(), Kind: e.Kind, NodeID: e.Node, Job: e.Job, Alloc: e.Alloc, PeerID: e.Peer, Text: e.Text,
	}
	if !e.Fence.IsZero() {
		l.Fence = e.Fence.String()
	}
	return l
}

// tail are the lines from the n-th last event on, or all if n is below 0.
func tail(lines []placedLine, n int) []placedLine {
	if n < 0 {
		return lines
	}
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].line.Notice() {
			continue
		}
		if n == 0 {
			return lines[i+1:]
		}
		n--
	}
	return lines
}

// ownEvents sends what this node has seen: what it has kept, that this is all
// so far, and if it is asked to, what comes.
func (d *daemon) ownEvents(ctx context.Context, r api.EventsRequest, send func(api.EventLine) error) error {
	put := func(l placedLine) error {
		l.line.NodeID = d.self.ID
		l.line.Cursor = api.Cursor{Nodes: map[mesh.NodeID]api.Position{d.self.ID: l.at}}.String()
		return send(l.line)
	}
	in := newReader(d.history, d.self.ID, r)
	lines, more := in.next()
	if r.After.IsZero() {
		lines = tail(lines, r.Tail)
	}
	lines = append(lines, placedLine{in.at, api.EventLine{Kind: api.EventCaughtUp}})
	for {
		for _, l := range lines {
			if err := put(l); err != nil {
				return err
			}
		}
		if !r.Follow {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
		lines, more = in.next()
	}
}
