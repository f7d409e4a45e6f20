package lease

import (
	"fmt"
	"strings"

	"mn/mesh"
)

// String is the change for people: "taken 0-255 at 1.1".
func (c Change) String() string {
	text := string(c.Kind)
	if !c.Slots.Empty() {
		text += " " + c.Slots.String()
	}
	if !c.Fence.IsZero() {
		text += " at " + c.Fence.String()
	}
	if c.Peer != "" {
		text += " from " + c.Peer.Short()
	}
	if c.Text != "" {
		text += ": " + c.Text
	}
	return text
}

// String is the message for people: "e1 prepare 3: 0-255".
func (m Message) String() string {
	return fmt.Sprintf("e%d %s", m.Epoch, m.body())
}

func (m Message) body() string {
	switch {
	case m.Prepare != nil:
		return fmt.Sprintf("prepare %d: %v", m.Prepare.Ballot, m.Prepare.Slots)
	case m.Promise != nil:
		return m.Promise.String()
	case m.Propose != nil:
		return "propose" + groupsText(m.Propose.Groups)
	case m.Accept != nil:
		return "accept" + groupsText(m.Accept.Groups) + m.Accept.Higher.text()
	case m.Release != nil:
		return "release" + groupsText(m.Release.Groups)
	case m.Seek != nil:
		return fmt.Sprintf("seek %d", m.Seek.Ballot)
	case m.Vow != nil:
		return fmt.Sprintf("vow %d", m.Vow.Ballot) + higherText(m.Vow.Higher) + entryText(m.Vow.Entry)
	case m.Elect != nil:
		return fmt.Sprintf("elect %d", m.Elect.Ballot) + entryText(&m.Elect.Entry)
	case m.Vote != nil:
		return fmt.Sprintf("vote %d", m.Vote.Ballot) + higherText(m.Vote.Higher)
	case m.Chain != nil:
		text := "chain"
		for _, r := range m.Chain.Entries {
			text += entryText(&r)
		}
		return text
	case m.Stale != nil:
		return fmt.Sprintf("stale run %d", m.Stale.Count)
	}
	return "here"
}

// String is the promise for people, with what was refused and why.
func (m promise) String() string {
	text := fmt.Sprintf("promise %d: %v", m.Ballot, m.Slots) + m.Higher.text()
	for _, b := range m.Busy {
		text += fmt.Sprintf("; %v busy", b.Slots)
		if b.Holder != mesh.NodeID("") {
			text += " with " + b.Holder.Short()
		}
	}
	return text
}

func (g *group) text() string {
	if g == nil {
		return ""
	}
	return fmt.Sprintf("; %v outbid by %d", g.Slots, g.Ballot)
}

func groupsText(groups []group) string {
	var parts []string
	for _, g := range groups {
		parts = append(parts, fmt.Sprintf(" %d: %v", g.Ballot, g.Slots))
	}
	return strings.Join(parts, ";")
}

func higherText(ballot uint64) string {
	if ballot == 0 {
		return ""
	}
	return fmt.Sprintf("; outbid by %d", ballot)
}

func entryText(r *Roster) string {
	if r == nil {
		return ""
	}
	return " (" + r.String() + ")"
}
