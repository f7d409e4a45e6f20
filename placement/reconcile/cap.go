package reconcile

import (
	"fmt"
	"time"

	"mn/mesh"
)

// A job's max_running, and the limit of a group's array, bound how many copies
// there are at a time. What may run counts: a copy holds its place from when it
// is asked for until it has ended, also while it stops, and also out of sight
// until the job goes on without it. A copy that ends is news, and its place is
// given away in the plan that follows; a lower bound stops nothing.

// places are the copies that hold one.
type places struct {
	all   int
	group map[string]int
	wake  time.Duration // when one out of sight may give up its own; 0 if only news can tell
}

// count finds who holds a place already.
func (p *planner) count() {
	p.places.group = map[string]int{}
	for i := range p.allocs {
		a := &p.allocs[i]
		f := p.fate(a)
		if f.is == here || f.is == away {
			p.places.take(a.Group)
		}
		if f.wake > 0 && (p.places.wake == 0 || f.wake < p.places.wake) {
			p.places.wake = f.wake
		}
	}
	for _, a := range p.pending {
		p.places.take(a.Group)
	}
}

func (h *places) take(group string) {
	h.all++
	h.group[group]++
}

// full is why no place is left for a copy of a group, or "".
func (p *planner) full(g mesh.Group) string {
	all, of := p.places.all, p.places.group[g.Name]
	switch limit := p.job.Job.MaxRunning; {
	case limit > 0 && all >= limit:
		return fmt.Sprintf("max_running = %d: %s", limit, running(all))
	case g.Array.AtOnce > 0 && of >= g.Array.AtOnce:
		return fmt.Sprintf(`array = "…%%%d": %s`, g.Array.AtOnce, running(of))
	}
	return ""
}

// left is how many more copies of a group may run, as far as bounds go.
func (p *planner) left(g mesh.Group) int {
	left := mesh.CopiesMax
	if limit := p.job.Job.MaxRunning; limit > 0 {
		left = min(left, limit-p.places.all)
	}
	if g.Array.AtOnce > 0 {
		left = min(left, g.Array.AtOnce-p.places.group[g.Name])
	}
	if l := p.job.Job.Limit; l != nil {
		left = min(left, l.Max-p.shared.taken-p.shared.others)
	}
	return left
}

func running(n int) string { return mesh.Counted(n, "copy runs", "copies run") }
