package lease

import (
	"fmt"
	"time"
)

// Everything rests on clocks whose rates differ by no more than a bound. A clock
// can be worse: a broken crystal, a virtual machine that was stopped. So holders
// compare the clocks of the voters with their own. An answer was given at some
// instant between its question and its arrival; two answers apart, that bounds
// how fast the voter's clock has gone meanwhile, however late messages were. What
// was proven against a clock stands until the contrary is.
//
// A voter whose clock is provably too fast forgets its grants too early: it is not
// counted. A holder whose own clock is too slow finds all others too fast, and so
// holds nothing. A voter that finds most of the others too slow is itself too
// fast, and grants nothing. What two clocks do before they could be compared for a
// while is not found out.

// The times of a comparison.
const (
	paceSpan = 30 * time.Second // after which another begins
	paceGrid = time.Millisecond // what clocks may be off in a single reading
)

// pace is what this node knows of the rate of a voter's clock against its own.
type pace struct {
	run   uint64        // nonce of the voter's run; 0: nothing is known
	sent  time.Duration // the first question, on our clock
	got   time.Duration // its answer, on our clock
	clock time.Duration // what the voter's clock showed meanwhile
	is    gait
}

// gait is how a clock goes, compared with ours.
type gait int8

const (
	fair gait = iota
	fast
	slow
)

// measure compares a voter's clock with ours once more.
func (p *Party) measure(seat int, run uint64, m *accept) {
	c := &p.paces[seat]
	if m.Clock == 0 || p.roster.Voters[seat].ID == p.self {
		return
	}
	first := pace{run: run, sent: m.Sent, got: p.now, clock: m.Clock}
	switch {
	case c.run != run:
		*c = first // what was wrong may have been mended with the restart
		return
	case m.Sent < c.got:
		return // an answer of before
	}
	was, gone := c.is, m.Clock-c.clock
	most, least := p.now-c.sent, m.Sent-c.got
	apart := (1 + p.cfg.Rate) / (1 - p.cfg.Rate) // the most that two good clocks are
	switch {
	case float64(gone-paceGrid) > float64(most)*apart:
		c.is = fast
	case float64(gone+paceGrid)*apart < float64(least):
		c.is = slow
	case float64(gone-paceGrid) <= float64(least)*apart && float64(gone+paceGrid)*apart >= float64(most):
		c.is = fair
	}
	span := paceSpan
	if c.is != was {
		p.paced(seat, gone, most)
	}
	if c.is != fair { // it takes so long to show that it is, for how late answers are
		span = max(span, time.Duration(float64(most-least)/p.cfg.Rate))
	}
	if least >= span || c.is != was && c.is != fair { // what was wrong once would show for ever
		first.is = c.is
		*c = first
	}
}

// paced tells that a voter's clock is not what it was thought to be.
func (p *Party) paced(seat int, gone, most time.Duration) {
	text := "its clock goes as ours does, as far as leases care"
	switch p.paces[seat].is {
	case fast:
		text = fmt.Sprintf("its clock has gone %v where ours has at most %v: its grants do not count here", gone, most)
	case slow:
		text = fmt.Sprintf("its clock has gone %v where ours has up to %v: one of the two is wrong", gone, most)
	case fair:
	}
	p.out.Changes = append(p.out.Changes, Change{Kind: Paced, Peer: p.roster.Voters[seat].ID, Text: text})
}

// Outpaced says whether this node can hold nothing, because too few voters are
// left whose clocks are not too fast for its own.
func (p *Party) Outpaced() bool {
	count := 0
	for _, c := range p.paces[:len(p.roster.Voters)] {
		if c.is != fast {
			count++
		}
	}
	return count < p.quorum
}

// hasty says whether this node's own clock is too fast to grant anything: most
// others, and two of them at least, are too slow for it.
func (p *Party) hasty() bool {
	slower, known := 0, 0
	for _, c := range p.paces[:len(p.roster.Voters)] {
		if c.run == 0 {
			continue
		}
		known++
		if c.is == slow {
			slower++
		}
	}
	return slower >= 2 && 2*slower > known
}
