package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"mn/mesh"
	"mn/mesh/core"
)

// linesMax bounds the timeline that is kept; the digest goes on.
const linesMax = 500_000

// Line is one line of a run's story.
type Line struct {
	At   mesh.Duration `json:"at"`
	Node string        `json:"node"` // "" for the world
	Kind string        `json:"kind"` // a kind of event, "fault", "people", "task", "message", ...
	Text string        `json:"text"`
}

// String is the line for people.
func (l Line) String() string { return fmt.Sprintf("%12v %-6s %-16s %s", l.At, l.Node, l.Kind, l.Text) }

// trace is the story of a run, and its digest. Whatever differs between two
// runs changes the digest, for all messages and all events are in it.
type trace struct {
	sum      hash.Hash
	lines    []Line
	keep     bool
	messages bool
}

func newTrace(o Options) *trace {
	return &trace{sum: sha256.New(), keep: o.Timeline, messages: o.Messages}
}

func (t *trace) bytes(b []byte) { t.sum.Write(b) }

func (t *trace) digest() string { return hex.EncodeToString(t.sum.Sum(nil)[:12]) }

// add tells a line.
func (t *trace) add(l Line) {
	fmt.Fprintf(t.sum, "%d %s %s %s\n", l.At, l.Node, l.Kind, l.Text)
	t.put(l)
}

func (t *trace) put(l Line) {
	if t.keep && len(t.lines) < linesMax {
		t.lines = append(t.lines, l)
	}
}

// tell adds a line to the story; h is nil where it is about no host.
func (w *world) tell(h *host, kind, format string, args ...any) {
	w.trace.add(w.line(h, kind, format, args...))
}

// story adds a line that only those read who want to see every message.
func (w *world) story(h *host, kind, format string, args ...any) {
	if w.trace.keep && w.trace.messages {
		w.trace.put(w.line(h, kind, format, args...))
	}
}

func (w *world) line(h *host, kind, format string, args ...any) Line {
	l := Line{At: mesh.Duration(w.now), Kind: kind, Text: fmt.Sprintf(format, args...)}
	if h != nil {
		l.Node = h.name
	}
	return l
}

// The classes of messages.
const (
	classGossip  class = "gossip"  // membership
	classLease   class = "lease"   // leases and roster
	classSync    class = "sync"    // comparisons of data
	classPush    class = "push"    // new data
	classReserve class = "reserve" // room for copies
	classConfirm class = "confirm" // decisions that a majority must keep
	classRenew   class = "renew"   // dead-man's switches
	classPermit  class = "permit"  // permits under shared limits
)

func classOf(m *core.Message) class {
	switch {
	case m.Lease != nil:
		return classLease
	case m.Push != nil, m.Ack != nil:
		return classPush
	case m.Reserve != nil, m.Reserved != nil, m.Release != nil:
		return classReserve
	case m.Confirm != nil, m.Confirmed != nil:
		return classConfirm
	case m.Renew != nil, m.Renewed != nil:
		return classRenew
	case m.AskPermit != nil, m.Permitted != nil, m.ReturnPermits != nil:
		return classPermit
	}
	return classSync
}

// describe is a message in a few words.
func describe(m *core.Message) string {
	switch {
	case m.Lease != nil:
		return "lease " + m.Lease.String()
	case m.Push != nil:
		text := fmt.Sprintf("push of %d", len(m.Push.Entries))
		for i := range m.Push.Entries[:min(3, len(m.Push.Entries))] {
			text += " " + m.Push.Entries[i].Key
		}
		return text
	case m.Ack != nil:
		return fmt.Sprintf("ack %d", m.Ack.ID)
	case m.Sync != nil:
		return "compare"
	case m.Answer != nil:
		return fmt.Sprintf("answer with %d", len(m.Answer.Entries))
	case m.Reserve != nil:
		return fmt.Sprintf("reserve %s at %v", m.Reserve.Alloc.ID, m.Reserve.Alloc.Fence)
	case m.Reserved != nil:
		return fmt.Sprintf("reserved %s %s", m.Reserved.Alloc, m.Reserved.Refusal)
	case m.Release != nil:
		return fmt.Sprintf("release %s", m.Release.Alloc)
	case m.Confirm != nil:
		text := "confirm"
		for i := range m.Confirm.Entries {
			text += " " + m.Confirm.Entries[i].Key
		}
		return text
	case m.Confirmed != nil:
		return fmt.Sprintf("confirmed %v", m.Confirmed.Dots)
	case m.Renew != nil:
		return fmt.Sprintf("renew %v?%s", m.Renew.Allocs, onBehalf(m.Renew.For))
	case m.Renewed != nil:
		return fmt.Sprintf("renewed %v%s", m.Renewed.Allocs, onBehalf(m.Renewed.For))
	case m.AskPermit != nil:
		return fmt.Sprintf("ask for permits under %s: %v", m.AskPermit.Limit.Key, m.AskPermit.Allocs)
	case m.Permitted != nil:
		return fmt.Sprintf("permits given %v, refused %v", m.Permitted.Given, m.Permitted.Refused)
	case m.ReturnPermits != nil:
		return fmt.Sprintf("return %d permits under %s", len(m.ReturnPermits.Permits), m.ReturnPermits.Limit)
	}
	return "stale"
}

// onBehalf says for whom a message is, if not for who sends or gets it.
func onBehalf(id mesh.NodeID) string {
	if id == "" {
		return ""
	}
	return " for " + string(id)
}
