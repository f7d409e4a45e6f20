package daemon

import (
	"log/slog"
	"slices"
	"testing"

	"mn/crdt"
	"mn/crdt/store"
	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

// diary notes what is performed, in order.
type diary struct {
	runner.Driver
	lines    []string
	answered func() bool
}

func (d *diary) note(what string) {
	if d.answered() {
		what += " after the answer"
	}
	d.lines = append(d.lines, what)
}

func (d *diary) Commit(crdt.Batch, []store.Fact) error { d.note("keep"); return nil }
func (d *diary) Send(mesh.NodeID, []byte)              { d.note("send") }
func (d *diary) Remove(mesh.AllocID)                   { d.note("order") }

func TestNothingIsSaidOrDoneBeforeItIsDurable(t *testing.T) {
	replies := make(chan core.Reply, 1)
	d := &diary{answered: func() bool { return len(replies) > 0 }}
	l := newLoop(nil, clocks, &performer{
		store: d, net: d, driver: d, log: slog.New(slog.DiscardHandler), events: newHistory(defaultHistory(), clocks().Wall),
	})
	l.calls[1] = replies
	ok := l.do(t.Context(), core.Ready{
		Keep:   crdt.Batch{Remove: []string{"x"}},
		Send:   []core.Envelope{{To: "n2", Msg: core.Message{Ack: &core.Ack{ID: 1}}}},
		Orders: []runner.Order{{Verb: runner.DoRemove, Alloc: "a"}},
		Reply:  []core.Reply{{ID: 1}},
	})
	if want := []string{"keep", "send", "order"}; !ok || !slices.Equal(d.lines, want) {
		t.Errorf("performed %v, want %v", d.lines, want)
	}
	if len(replies) != 1 {
		t.Error("the call has no answer")
	}
}
