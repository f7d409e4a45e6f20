package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mn/health/clock"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
)

// Bounds of reading the events of all nodes.
const (
	eventQueue    = 64              // lines of a node that wait for their turn, and of all for the caller
	eventPatience = 5 * time.Second // for a node's next line of what it has kept
	eventLook     = time.Second     // between two looks for nodes that have come, or are to be asked again
	eventNodesMax = 512             // other nodes that one request asks
)

// Events sends what the nodes in sight have seen: first what they have kept,
// merged by time, then what comes, as it comes. Each node is asked for one
// stream of its own events, in which both parts follow on each other, so that
// nothing is lost or doubled between them. A node that breaks off is asked again
// from where it was.
func (b *backend) Events(ctx context.Context, r api.EventsRequest, send func(api.EventLine) error) error {
	if r.Local {
		return b.ownEvents(ctx, r, send)
	}
	ctx, cancel := context.WithCancel(ctx)
	m := &eventMerge{
		b: b, r: r, send: send, sources: map[mesh.NodeID]*eventSource{},
		cursor: api.Cursor{Floor: r.Since, Nodes: map[mesh.NodeID]api.Position{}},
		heads:  map[mesh.NodeID]api.Position{},
		live:   make(chan sourceLine, eventQueue),
	}
	defer m.wg.Wait()
	defer cancel()
	if !r.After.IsZero() {
		m.cursor.Floor = r.After.Floor
		for id, at := range r.After.Nodes {
			m.cursor.Nodes[id] = at
		}
	}
	if err := m.look(ctx, true); err != nil {
		return err
	}
	if err := m.catchUp(ctx); err != nil || !r.Follow {
		return err
	}
	return m.follow(ctx)
}

// eventMerge makes one stream of the streams of many nodes. Its goroutine owns
// it; those that read a node's stream hand over lines.
type eventMerge struct {
	b       *backend
	r       api.EventsRequest
	send    func(api.EventLine) error
	cursor  api.Cursor                   // where the stream is
	heads   map[mesh.NodeID]api.Position // where nodes are in what they have kept
	view    *mesh.View
	sources map[mesh.NodeID]*eventSource
	live    chan sourceLine
	wg      sync.WaitGroup
}

// eventSource is a node, and the reading of its stream.
type eventSource struct {
	id      mesh.NodeID
	cancel  context.CancelFunc
	kept    chan api.EventLine // what it had, to be merged; nil if it was asked later
	running bool               // there may be lines of it to come
	dropped bool               // they are not wanted: it was too slow
	told    bool               // the caller knows that it cannot be asked
}

// sourceLine is a line of a node's stream; after the last one, end.
type sourceLine struct {
	from *eventSource
	line api.EventLine
	end  bool
}

// look finds who is in sight, and asks those who are not being asked.
func (m *eventMerge) look(ctx context.Context, first bool) error {
	if err := m.b.loop.look(ctx, func(c *core.Core) { m.view = c.View() }); err != nil {
		return err
	}
	m.ask(ctx, m.source(m.b.self.ID), nil, first) // it may not know yet that it is a member
	for i := range m.view.Nodes {
		n := &m.view.Nodes[i]
		s, why := m.source(n.ID), ""
		switch {
		case n.Liveness == mesh.Alive && m.running() < eventNodesMax:
			m.ask(ctx, s, n, first)
		case n.Liveness == mesh.Alive:
			why = fmt.Sprintf("%d others are asked already, and no more can be", eventNodesMax)
		case !n.Evicted:
			why = fmt.Sprintf("it is %s: what it saw cannot be read now", n.Liveness)
		}
		if why == "" || s.running {
			continue
		}
		if err := m.unasked(s, why); err != nil {
			return err
		}
	}
	return nil
}

func (m *eventMerge) source(id mesh.NodeID) *eventSource {
	s := m.sources[id]
	if s == nil {
		s = &eventSource{id: id}
		m.sources[id] = s
	}
	return s
}

// running is how many nodes are being asked.
func (m *eventMerge) running() int {
	n := 0
	for _, s := range m.sources {
		if s.running {
			n++
		}
	}
	return n
}

// ask begins to read a node's stream where it was left, unless it is being read.
func (m *eventMerge) ask(ctx context.Context, s *eventSource, n *mesh.NodeView, first bool) {
	if s.running {
		return
	}
	ctx2, cancel := context.WithCancel(ctx)
	s.cancel, s.running, s.dropped, s.kept = cancel, true, false, nil
	if first {
		s.kept = make(chan api.EventLine, eventQueue)
	}
	r := m.r
	r.Local, r.Since, r.After = true, m.cursor.Floor, api.Cursor{}
	if !first || !m.r.After.IsZero() {
		r.Tail = -1
	}
	if at, ok := m.cursor.Nodes[s.id]; ok {
		r.After = api.Cursor{Nodes: map[mesh.NodeID]api.Position{s.id: at}}
	}
	kept := s.kept
	put := func(l api.EventLine) error {
		if kept == nil {
			return hand(ctx2, m.live, sourceLine{from: s, line: l})
		}
		if err := hand(ctx2, kept, l); err != nil {
			return err
		}
		if l.Kind == api.EventCaughtUp {
			close(kept)
			kept = nil
		}
		return nil
	}
	m.wg.Go(func() {
		defer cancel()
		if s.id == m.b.self.ID {
			_ = m.b.ownEvents(ctx2, r, put) // it ends with the caller
		} else {
			client := m.b.peerClient(n)
			defer client.Close()            //nolint:errcheck // only idle connections
			_ = client.Events(ctx2, r, put) // that it broke off is said, whatever the cause
		}
		if kept != nil {
			close(kept)
		}
		_ = hand(ctx, m.live, sourceLine{from: s, end: true}) // nobody looks any more
	})
}

// hand gives v to whoever reads c.
func hand[T any](ctx context.Context, c chan<- T, v T) error {
	select {
	case c <- v:
		return nil
	case <-ctx.Done():
		return errors.New("the reader has gone")
	}
}

// unasked tells the caller, once until it is back, that a node's events are
// missing.
func (m *eventMerge) unasked(s *eventSource, why string) error {
	if s.told {
		return nil
	}
	s.told = true
	return m.send(api.EventLine{
		At: clock.Wall().UTC(), Kind: api.EventUnasked, Node: m.name(s.id), NodeID: s.id,
		Text: why, Cursor: m.cursor.String(),
	})
}

func (m *eventMerge) name(id mesh.NodeID) string {
	if id == "" {
		return ""
	}
	return nodeLabel(m.view, id)
}

// place is where a line of one node's stream says that this is.
func place(l *api.EventLine, id mesh.NodeID) (api.Position, error) {
	c, err := api.ParseCursor(l.Cursor)
	if err != nil {
		return api.Position{}, err
	}
	at, ok := c.Nodes[id]
	if !ok {
		return at, mesh.Faultf(mesh.Internal, "the cursor %q is of another node than %s", l.Cursor, id.Short())
	}
	return at, nil
}

// emit sends a line of a node, with the place where the whole stream is now.
func (m *eventMerge) emit(id mesh.NodeID, at api.Position, l api.EventLine) error {
	m.cursor.Nodes[id] = at
	l.Cursor, l.NodeID, l.Node, l.Peer = m.cursor.String(), id, m.name(id), m.name(l.PeerID)
	return m.send(l)
}

// follow sends what comes, until ctx ends or the caller has gone.
func (m *eventMerge) follow(ctx context.Context) error {
	tick := time.NewTicker(eventLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := m.look(ctx, false); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		case in := <-m.live:
			if err := m.take(in); err != nil {
				return err
			}
		}
	}
}

// take takes a line that has come.
func (m *eventMerge) take(in sourceLine) error {
	s := in.from
	if in.end {
		s.running = false
		return m.unasked(s, "it broke off: what it sees cannot be read now")
	}
	if s.dropped {
		return nil
	}
	at, err := place(&in.line, s.id)
	if err != nil {
		s.dropped = true
		s.cancel()
		return nil //nolint:nilerr // it is asked again, and its end is said
	}
	if in.line.Kind == api.EventCaughtUp {
		s.told = false
		m.cursor.Nodes[s.id] = at
		return nil
	}
	return m.emit(s.id, at, in.line)
}
