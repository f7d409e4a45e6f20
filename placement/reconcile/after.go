package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"mn/mesh"
)

// The groups of a batch job may come after others. Nothing is kept of how far a
// job has come: what became of a group follows from its copies, so groups are
// planned in an order in which those before are known, and a group is kept back
// in the one place where copies are placed. A new version begins at the
// beginning; what it does not change and runs goes on, unless its group has to
// wait now.

// outcome is what has become of the seats of a group.
type outcome struct{ seats, done, failed, skipped int }

func (o outcome) over() bool      { return o.seats > 0 && o.done+o.failed+o.skipped == o.seats }
func (o outcome) succeeded() bool { return o.seats > 0 && o.done == o.seats }

// passage says whether the copies of a group may be placed.
type passage int

const (
	open passage = iota
	shut         // not yet
	vain         // its rule cannot come true any more
)

// inOrder are the groups with each behind all that it comes after, else as they
// are. What is left of a circle, which validation refuses, comes last and waits.
func inOrder(groups []mesh.Group) []mesh.Group {
	var out []mesh.Group
	left := slices.Clone(groups)
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(g mesh.Group) bool {
			return !slices.ContainsFunc(left, func(o mesh.Group) bool { return slices.Contains(g.After, o.Name) })
		})
		if i < 0 {
			return append(out, left...)
		}
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}

// passage finds whether a group may begin, from what has become of those that it
// comes after.
func (p *planner) passage(g mesh.Group) passage {
	n := tried{all: len(g.After)}
	for _, name := range g.After {
		o := p.outcomes[name]
		if o.over() {
			n.over++
		}
		if o.succeeded() {
			n.succeeded++
		}
		if o.failed > 0 {
			n.failed++
		}
		if !o.over() && o.failed == 0 { // with a failure, or skipped, it will not succeed
			n.hope++
		}
	}
	return n.passage(g.AfterRule, g.AfterQuorum)
}

func pass(may, cannot bool) passage {
	switch {
	case may:
		return open
	case cannot:
		return vain
	}
	return shut
}

// fillInTurn decides what becomes of each seat, group by group: what comes after a
// group rests on what has become of it.
func (p *planner) fillInTurn() {
	seats := p.seatsAll
	for _, g := range p.groups {
		p.passages[g.Name] = p.passage(g)
		n, before := 0, p.tally
		for ; n < len(seats) && seats[n].Group == g.Name; n++ {
			p.recall(seats[n])
			p.fill(seats[n])
		}
		p.outcomes[g.Name] = outcome{
			seats: n, done: p.tally.done - before.done,
			failed: p.tally.failed - before.failed, skipped: p.tally.skipped - before.skipped,
		}
		p.progress(g)
		seats = seats[n:]
	}
}

// progress notes how far a group has come, and why it is skipped if it is.
func (p *planner) progress(g mesh.Group) {
	o := p.outcomes[g.Name]
	now := Progress{Group: g.Name, Done: o.done, Skipped: o.skipped}
	if o.skipped > 0 {
		var why []string
		for _, name := range g.After {
			why = append(why, fmt.Sprintf("%q %s", name, p.outcomes[name].is()))
		}
		rule := string(g.AfterRule)
		if g.AfterRule == mesh.QuorumSuccess {
			rule = fmt.Sprintf("%s of %d", rule, g.AfterQuorum)
		}
		now.Why = fmt.Sprintf("after_rule %s cannot come true: %s", rule, strings.Join(why, ", "))
	}
	p.plan.Groups = append(p.plan.Groups, now)
}

// is what a group that comes after one is told of it.
func (o outcome) is() string {
	switch {
	case o.succeeded():
		return "has completed"
	case o.failed > 0:
		return "has failed"
	case o.over():
		return "is skipped"
	}
	return "has not ended"
}

// recall has the copies of a seat stop that are too early.
func (p *planner) recall(s *seat) {
	var inTime []*mesh.AllocView
	for _, a := range s.live {
		if p.early(a) {
			s.stale = append(s.stale, a)
		} else {
			inTime = append(inTime, a)
		}
	}
	s.live = inTime
}

// keptBack counts a seat whose group may not begin, and says whether that is so. As
// long as it is not known what has completed, nothing is placed anyway.
func (p *planner) keptBack(s *seat) bool {
	if p.gap {
		return false
	}
	switch p.passages[s.Group] {
	case shut:
		p.queue(s, "waits for "+p.awaited(s.group))
	case vain:
		p.tally.skipped++
	case open:
		return false
	}
	return true
}

// awaited are the groups that one waits for, in words.
func (p *planner) awaited(g mesh.Group) string {
	var names []string
	for _, name := range g.After {
		if !p.outcomes[name].over() {
			names = append(names, fmt.Sprintf("%q", name))
		}
	}
	text := few(names)
	if g.AfterRule != mesh.AllSuccess {
		text += fmt.Sprintf(" (%s)", g.AfterRule)
	}
	return text
}

// early says whether a copy of another version runs while its group has to wait
// in this one, or one has not begun whose group is skipped: who placed it knew of
// a failure that others have not heard of, and have answered otherwise since.
func (p *planner) early(a *mesh.AllocView) bool {
	switch passage := p.passages[a.Group]; {
	case passage == open || p.gap:
		return false
	case a.Version != p.job.Number || a.Hash != p.job.Hash:
		return true
	default:
		return passage == vain && !begunAtAll(a)
	}
}

// ordered says whether any group of the job comes after another.
func (p *planner) ordered() bool {
	return slices.ContainsFunc(p.groups, func(g mesh.Group) bool { return len(g.After) > 0 })
}

// handled says whether each failed group has one directly after it whose rule
// looks at failures, and which has completed.
func (p *planner) handled() bool {
	for name, o := range p.outcomes {
		if o.failed > 0 && !slices.ContainsFunc(p.groups, func(g mesh.Group) bool {
			return g.AfterRule.Handles() && slices.Contains(g.After, name) && p.outcomes[g.Name].succeeded()
		}) {
			return false
		}
	}
	return true
}
