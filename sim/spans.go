package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// Span is something that lasts: a state of a node, or a task on it.
type Span struct {
	Node string        `json:"node"` // "" for the world
	What What          `json:"what"`
	Text string        `json:"text"`
	From mesh.Duration `json:"from"`
	To   mesh.Duration `json:"to"`
}

// What says what lasts.
type What string

// What lasts.
const (
	Down   What = "down"  // no agent runs
	Faulty What = "fault" // a fault has hit the node
	Runs   What = "task"  // a task runs
)

// spans are what lasts, and since when.
type spans struct {
	keep bool
	done []Span
	open map[spanKey]time.Duration
}

type spanKey struct {
	node string
	what What
	text string
}

// spanOf is the key of a span of a host, or of the world if h is nil.
func spanOf(h *host, what What, text string) spanKey {
	k := spanKey{what: what, text: text}
	if h != nil {
		k.node = h.name
	}
	return k
}

func newSpans(keep bool) *spans { return &spans{keep: keep, open: map[spanKey]time.Duration{}} }

func (s *spans) begin(now time.Duration, h *host, what What, format string, args ...any) {
	if !s.keep {
		return
	}
	k := spanOf(h, what, fmt.Sprintf(format, args...))
	if _, on := s.open[k]; !on {
		s.open[k] = now
	}
}

func (s *spans) end(now time.Duration, h *host, what What, format string, args ...any) {
	if !s.keep {
		return
	}
	k := spanOf(h, what, fmt.Sprintf(format, args...))
	if from, on := s.open[k]; on {
		delete(s.open, k)
		s.done = append(s.done, Span{k.node, k.what, k.text, mesh.Duration(from), mesh.Duration(now)})
	}
}

// all are the spans in order; what goes on ends now.
func (s *spans) all(now time.Duration) []Span {
	all := slices.Clone(s.done)
	for k, from := range s.open {
		all = append(all, Span{k.node, k.what, k.text, mesh.Duration(from), mesh.Duration(now)})
	}
	slices.SortFunc(all, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Node, b.Node),
			cmp.Compare(a.What, b.What), cmp.Compare(a.Text, b.Text))
	})
	return all
}
