package crdt

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// MaxAhead is how far a stamp of another node may be ahead of our wall clock.
// It is far above what NTP leaves, and small enough that one wrong clock does
// not own the future.
const MaxAhead = 60 * time.Second

// MaxWall is the largest wall time of a stamp, in milliseconds (the year
// 144683). It leaves room above, so that nothing can be made to wrap.
const MaxWall = 1 << 52

// Clock is a hybrid logical clock: it follows the wall clock, never goes back,
// and is never behind a stamp it has observed. Not safe for concurrent use.
type Clock struct {
	node     string
	maxAhead time.Duration
	last     Stamp
}

// NewClock is the clock of a node; maxAhead is usually [MaxAhead].
func NewClock(node string, maxAhead time.Duration) *Clock {
	return &Clock{node: node, maxAhead: maxAhead}
}

// Now is the stamp of a write at wall: above every stamp made or observed
// before, also after the wall clock was set back.
func (c *Clock) Now(wall time.Time) Stamp {
	c.last = next(c.last, wallMillis(wall))
	c.last.Node = c.node
	return c.last
}

// next is the lowest time that is above s and not before wall.
func next(s Stamp, wall int64) Stamp {
	switch {
	case wall > s.Wall:
		return Stamp{Wall: wall}
	case s.Logical < math.MaxUint32:
		return Stamp{Wall: s.Wall, Logical: s.Logical + 1}
	case s.Wall < math.MaxInt64:
		return Stamp{Wall: s.Wall + 1}
	}
	panic("crdt: the clock has no time left")
}

// Observe makes the clock go on from s, a stamp of another node. A stamp that
// is more than the bound ahead of wall is refused with a [SkewError], and one
// outside of time altogether with a [MalformedError]; both leave the clock as it was.
func (c *Clock) Observe(s Stamp, wall time.Time) error {
	if s.Wall < 0 || s.Wall > MaxWall {
		return &MalformedError{fmt.Sprintf("stamp of node %q has the impossible time %d", s.Node, s.Wall)}
	}
	// Both lie within [0, MaxWall], so neither the difference nor its
	// conversion to nanoseconds may be trusted before it is compared.
	if ahead := s.Wall - wallMillis(wall); ahead > c.maxAhead.Milliseconds() {
		limit := math.MaxInt64 / int64(time.Millisecond)
		return &SkewError{Node: s.Node, Ahead: time.Duration(min(ahead, limit)) * time.Millisecond}
	}
	c.restore(s)
	return nil
}

// restore makes the clock go on from a stamp that was accepted before.
func (c *Clock) restore(s Stamp) {
	if s.Compare(c.last) > 0 {
		c.last = s
	}
}

// wallMillis is wall in the unit of stamps, within their range.
func wallMillis(wall time.Time) int64 {
	return min(max(wall.UnixMilli(), 0), MaxWall)
}

// SkewError refuses a stamp from a clock that is too far ahead of ours.
type SkewError struct {
	Node  string // whose clock it is
	Ahead time.Duration
}

// Error names the node, how far off it is, and what to do.
func (e *SkewError) Error() string {
	return fmt.Sprintf("clock of node %q is %v ahead of ours (%v are allowed): set its clock, "+
		"or ours if every node is named", e.Node, e.Ahead.Round(time.Millisecond), MaxAhead)
}

// IsSkew says whether err comes from a clock that is too far ahead: the entry
// is not wrong, only early.
func IsSkew(err error) bool {
	var skew *SkewError
	return errors.As(err, &skew)
}
