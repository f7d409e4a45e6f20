package api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// EventsTailMax is how many events a request can ask for by their number.
const EventsTailMax = 10_000

// Lines of a stream of events that are no events, by their kind.
const (
	// EventGap: events of a node between two lines are gone, or may be.
	EventGap mesh.EventKind = "gap"
	// EventUnasked: a node cannot be asked now, so that its events are missing.
	EventUnasked mesh.EventKind = "unasked"
	// EventCaughtUp is in the streams between peers only: what follows is new.
	EventCaughtUp mesh.EventKind = "caught_up"
)

// EventsRequest says which events. Empty fields select everything.
type EventsRequest struct {
	Job   mesh.JobID `json:"job,omitempty"`
	Node  string     `json:"node,omitempty"`  // that saw them or that they are about: as in nodeRef
	Kinds Kinds      `json:"kinds,omitempty"` // of these kinds
	Since time.Time  `json:"since,omitzero"`  // not before this, by the clocks of the nodes that saw them
	// After goes on where the line with that cursor was; Since and Tail do not
	// count then.
	After  Cursor `json:"after,omitzero"`
	Tail   int    `json:"tail,omitempty"`   // the last of them; 0 for none, -1 for all kept
	Follow bool   `json:"follow,omitempty"` // go on with what happens
	Local  bool   `json:"local,omitempty"`  // only what the node that is asked has seen
}

// Selects says whether an event is one of those that r asks for, its place in
// the stream aside. Node is an id here.
func (r *EventsRequest) Selects(e *mesh.Event) bool {
	node := mesh.NodeID(r.Node)
	return (r.Job == "" || e.Job == r.Job) && (node == "" || e.Node == node || e.Peer == node) &&
		(len(r.Kinds) == 0 || slices.ContainsFunc(r.Kinds, func(k string) bool { return kindIs(e.Kind, k) }))
}

// kindIs says whether a kind is k, or begins with the word k.
func kindIs(kind mesh.EventKind, k string) bool {
	return string(kind) == k || strings.HasPrefix(string(kind), k+"_")
}

// Kinds are kinds of events, or first words of kinds: "task" is all that begin
// with "task_". As text they are separated by commas.
type Kinds []string

// MarshalText writes the kinds with commas between them.
func (k Kinds) MarshalText() ([]byte, error) { return []byte(strings.Join(k, ",")), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Kinds) UnmarshalText(text []byte) error {
	*k = strings.Split(string(text), ",")
	return nil
}

// EventLine is a line of a stream of events: an event, or with one of the kinds
// above, a notice about the stream itself.
type EventLine struct {
	At     time.Time      `json:"at"`
	Kind   mesh.EventKind `json:"kind"`
	Node   string         `json:"node"` // that saw or decided it
	NodeID mesh.NodeID    `json:"node_id"`
	Job    mesh.JobID     `json:"job"`
	Alloc  mesh.AllocID   `json:"alloc"`
	Peer   string         `json:"peer"` // the node that it is about
	PeerID mesh.NodeID    `json:"peer_id"`
	Fence  string         `json:"fence"`  // of the decision; "" if it was none
	Text   string         `json:"text"`   // what and why, in words
	Cursor string         `json:"cursor"` // where the stream is after this line: see [Cursor]
}

// Notice says whether the line is about the stream, and no event.
func (l *EventLine) Notice() bool {
	return l.Kind == EventGap || l.Kind == EventUnasked || l.Kind == EventCaughtUp
}

// routeEvents checks what is asked before the backend looks for it. Between
// peers nothing is left to check, and the one that is asked may not know the
// job or node yet.
func (s *Server) routeEvents(b Backend) {
	serveStream(s, streamEvents, func(ctx context.Context, r EventsRequest, send func(EventLine) error) error {
		if r.Local {
			return b.Events(ctx, r, send)
		}
		if r.Tail < -1 || r.Tail > EventsTailMax {
			return mesh.Faultf(mesh.Invalid, "tail %d is not between -1 and %d", r.Tail, EventsTailMax).
				Hint("-1 is for all events that are kept")
		}
		for _, k := range r.Kinds {
			is := func(known mesh.EventKind) bool { return kindIs(known, k) }
			if k != string(EventGap) && !slices.ContainsFunc(mesh.EventKinds, is) {
				return noKind(k)
			}
		}
		snap, err := b.Snapshot(ctx)
		if err != nil {
			return err
		}
		p := picture{snap}
		if err := p.mayFollow(r.After); err != nil {
			return err
		}
		if r.Job != "" && snap.View.Job(r.Job) == nil {
			return p.noJob(r.Job)
		}
		if r.Node != "" {
			n, err := p.findNode(r.Node)
			if err != nil {
				return err
			}
			r.Node = string(n.ID)
		}
		return b.Events(ctx, r, send)
	})
}

// mayFollow refuses a cursor that is of no node of this mesh, or of a time to come: it reads
// like one, and is none that was ever given.
func (p picture) mayFollow(c Cursor) error {
	wrong := func(format string, args ...any) error {
		return mesh.Faultf(mesh.Invalid, "cursor %q is none that mn gave: "+format,
			append([]any{shorten(c.String())}, args...)...).Hint("give one as it is in a line of: mn events --json")
	}
	first := time.UnixMilli(cursorFirst)
	switch {
	case c.Floor.IsZero():
	case c.Floor.Before(first) && !p.View.Now.Before(first): // else no clock here has been set
		return wrong("there was no mesh at its time")
	case c.Floor.Sub(p.View.Now) > cursorAhead:
		return wrong("its time is yet to come")
	}
	for _, id := range slices.Sorted(maps.Keys(c.Nodes)) {
		if p.View.Node(id) == nil && !p.View.Forgot(id) {
			return wrong("there is no node %q", id)
		}
	}
	return nil
}

func noKind(k string) error {
	words := map[string]bool{string(EventGap): true}
	for _, known := range mesh.EventKinds {
		word, _, _ := strings.Cut(string(known), "_")
		words[word] = true
	}
	f := mesh.Faultf(mesh.Invalid, "no event is of kind %q", k)
	if near := nearest(k, mesh.EventKinds, func(k mesh.EventKind) string { return string(k) }); near != "" {
		return f.Hint("there is the kind %q", near)
	}
	return f.Hint("all of a sort: %s", strings.Join(slices.Sorted(maps.Keys(words)), ", "))
}
