package reconcile

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// watchdog is how late a supervisor may notice that its time is over.
const watchdog = 2 * time.Second

// rateBound bounds how much faster one machine's boot clock may run than
// another's: a thousandth, ten times what crystals and NTP do.
const rateBound = 1000

// unseenRetry is when to look again at a node that has not been seen since we
// started, while it is not yet held against it.
const unseenRetry = time.Second

// standing is what a copy means for its seat.
type standing int

const (
	ended standing = iota // nothing of it runs
	here                  // its node is in sight
	away                  // its node is out of sight, or only just back: it may run, and bars another
	gone                  // its node is out of sight, and the job chose to go on without it
)

// fate is the standing of a copy, with the reason and the end of its waiting.
type fate struct {
	is   standing
	why  string
	wake time.Duration // 0 if only news can change it
	// review: a person has to say that it does not run any more.
	review bool
}

// fate is where the job's choice for partitions is put into effect.
func (p *planner) fate(a *mesh.AllocView) fate {
	n := p.view.Node(a.Node)
	switch {
	case a.State().Final():
		return fate{is: ended}
	case n != nil && n.Liveness == mesh.Alive && (n.Unread || unsaid(a, n)):
		return fate{is: away, why: fmt.Sprintf("node %s is in sight; waits for what it says", p.nodeName(n.ID))}
	case n != nil && n.Liveness == mesh.Alive:
		return fate{is: here}
	case a.Target != "" && n != nil:
		return p.awaits(n, "its copy waits for it")
	case p.unheard(a) && (p.partition == mesh.Keep || !p.job.Job.Recovery.Mode.Moves()):
		return fate{is: away, why: "waits for the record of its node"}
	}
	if ask := p.leftToPeople(a); ask != "" || p.dead(a) { // said when it was marked
		return p.fateAsked(a, n, ask)
	}
	if !p.job.Job.Recovery.Mode.Moves() && n != nil {
		return p.awaits(n, `recovery mode "`+string(p.job.Job.Recovery.Mode)+`" never moves work`)
	}
	switch p.partition {
	case mesh.Majority:
		return p.fateMajority(a, n)
	case mesh.Keep:
		// A goodbye is gossip, and tasks outlive their agent. A node that means to
		// leave stops its copies first, and says so in their statuses.
		if n != nil {
			return p.awaits(n, `on_partition = "keep" waits until it is known to be dead`)
		}
	case mesh.Eager:
	}
	if n == nil {
		return fate{is: gone, why: p.absent(a)}
	}
	return p.fateAfter(n, p.patience(n), "")
}

// unheard says whether we have a copy's record before that of its node: whoever let the
// node in may have a clock too far ahead of ours.
func (p *planner) unheard(a *mesh.AllocView) bool {
	return p.view.Node(a.Node) == nil && !p.view.Forgot(a.Node)
}

// absent is why a node is not among those that we know.
func (p *planner) absent(a *mesh.AllocView) string {
	if p.unheard(a) {
		return "nothing is known of its node"
	}
	return "its node is no member any more"
}

// unsaid says whether what is known of a copy was said by an agent before the one that its
// node has now: what has become of it since, that one has yet to say.
func unsaid(a *mesh.AllocView, n *mesh.NodeView) bool {
	return a.Status != nil && !a.Status.Agent.IsZero() && a.Status.Agent.Before(n.StartedAt)
}

// patience is how long a node may be out of sight until its copies are replaced.
func (p *planner) patience(n *mesh.NodeView) time.Duration {
	if n.GivenUp {
		return 0
	}
	return p.job.Job.Recovery.Lost()
}

// Rival is why a copy that has not run yet must not start now, or "": another of
// its index may run. Whoever decided about it did not know of that one, or has
// been overtaken.
func Rival(v *mesh.View, job *mesh.JobView, a *mesh.Alloc) string {
	p := newPlanner(v, job, nil, true)
	for _, o := range p.copies[a.Seat()] {
		if o.ID == a.ID {
			continue
		}
		if f := p.fate(o); f.is == here || f.is == away {
			return fmt.Sprintf("the copy %s on %s may run", o.ID, p.nodeName(o.Node))
		}
	}
	return ""
}

// Done is the copy that has completed the work of another's seat, or "". Whoever planned
// the other did not know of that yet.
func Done(v *mesh.View, job *mesh.JobView, a *mesh.Alloc) mesh.AllocID {
	p := newPlanner(v, job, nil, true)
	s := &seat{Seat: a.Seat(), content: a.Content}
	for _, o := range p.copies[a.Seat()] {
		if o.ID != a.ID && p.completed(o, s) {
			return o.ID
		}
	}
	return ""
}

// fateMajority waits until the copy's dead-man's switch has stopped it for
// sure: the time it may run unrenewed, by a slow clock, the grace for stopping,
// and the watchdog's period. Gossip may err about the node, and another
// coordinator may have renewed the copy after gossip lost it: so the time also
// counts from when nobody can have renewed it.
//
// Its node goes by the version that the copy was placed for, and may not have heard of
// another. By that one it may have no such switch.
func (p *planner) fateMajority(a *mesh.AllocView, n *mesh.NodeView) fate {
	if !p.granted {
		return p.awaits(n, `on_partition = "majority" waits for a majority of the voters`)
	}
	of := a.Placed
	switch {
	case of == nil:
		return p.awaits(n, fmt.Sprintf("waits for the record of version %d", a.Version))
	case of.Recovery.Partition() != mesh.Majority && !p.view.Forgot(a.Node):
		return p.awaits(n, fmt.Sprintf("its copy, of version %d, does not stop by itself: "+
			"waits until it is known to be dead", a.Version))
	}
	lease := of.Recovery.TaskLease()
	wait := lease + lease/rateBound + killGrace(of, a.Group) + watchdog
	f := fate{is: gone, why: p.absent(a)}
	if n != nil {
		f = p.fateAfter(n, p.patience(n)+wait, "until its copy has surely stopped")
	}
	if left := wait - a.Unrenewed; left > 0 {
		f = fate{
			is: away, wake: max(f.wake, left),
			why: fmt.Sprintf("waits until the copy on %s has surely stopped", p.nodeName(a.Node)),
		}
	}
	return f
}

// fateAfter counts a node out of sight for so long as gone.
func (p *planner) fateAfter(n *mesh.NodeView, limit time.Duration, what string) fate {
	switch {
	case n.Liveness == mesh.Unseen && n.LostFor == 0 && !n.GivenUp:
		f := p.awaits(n, "waits for it to show itself")
		f.wake = max(limit, unseenRetry)
		return f
	case n.LostFor < limit:
		if what == "" {
			what = fmt.Sprintf("for up to %v", mesh.Duration(limit))
		}
		f := p.awaits(n, "waits "+what)
		f.wake = limit - n.LostFor
		return f
	}
	return fate{is: gone, why: fmt.Sprintf("node %s is %s", p.nodeName(n.ID), outOfSight(n.Liveness))}
}

func (p *planner) awaits(n *mesh.NodeView, why string) fate {
	if n == nil {
		return fate{is: away, why: why}
	}
	return fate{is: away, why: fmt.Sprintf("node %s is %s; %s", p.nodeName(n.ID), outOfSight(n.Liveness), why)}
}

// killGrace is the longest that a task of a group may take to stop.
func killGrace(job *mesh.Job, group string) time.Duration {
	grace := mesh.DefaultKillGrace
	if g, ok := job.Group(group); ok {
		for _, t := range g.Tasks {
			grace = max(grace, t.KillGrace.Std())
		}
	}
	return grace
}

// outOfSight is the state of a node that is not alive, in words.
func outOfSight(l mesh.Liveness) string {
	if l == mesh.Left {
		return "gone: it left"
	}
	return string(l)
}

// keepOne keeps one of the copies of a seat that live in sight, by the job's choice. Others
// came about while it was out of sight, or because its node is drained. If there may
// be two, it waits until it is known that one runs.
func (p *planner) keepOne(s *seat) {
	if p.leftAlone() {
		p.tally.live(p, s.live[0])
		return
	}
	staying, leaving := p.split(s)
	if len(leaving) > 0 && len(staying) > 0 {
		p.handOver(s, staying, leaving)
		return
	}
	if p.partition == mesh.Eager && len(staying) > 1 && !slices.ContainsFunc(staying, p.running) {
		// Which of them will is not known: that which stays might be the later. All that
		// leave make room for another anyway.
		p.tally.live(p, s.live[0])
		return
	}
	stays := p.chosen(s, s.live)
	p.stopOthers(s.live, stays)
	p.tally.live(p, stays)
	switch n := p.view.Node(stays.Node); {
	case len(leaving) > 0 && !p.draining(stays.Node):
		p.follow(s, stays)
	case len(leaving) > 0:
		p.drain(s, stays)
	case n.Admin.Mode == mesh.Draining:
		p.drained(stays, mesh.DrainIgnored, "belongs to the node")
	}
}

// stopOthers stops all copies but one.
func (p *planner) stopOthers(copies []*mesh.AllocView, stays *mesh.AllocView) {
	var others []*mesh.AllocView
	for _, a := range copies {
		if a != stays {
			others = append(others, a)
		}
	}
	p.stop(others, "one copy is enough: that on %s stays", p.nodeName(stays.Node))
}

// bury stops the copies of a seat that are gone, if the job never wants two:
// they have stopped by themselves, or so a person says, and must not start again
// when their node is back. For jobs that may have two, the original is welcome back.
func (p *planner) bury(s *seat) {
	if p.partition != mesh.Majority && unsafe(&s.group) == "" {
		return
	}
	for _, a := range s.gone {
		p.stop([]*mesh.AllocView{a}, "%s; another copy takes its place", p.fate(a).why)
	}
}

// running says whether a copy runs as far as we can know: its node is in sight
// and has reported it since it last booted.
func (p *planner) running(a *mesh.AllocView) bool {
	n := p.view.Node(a.Node)
	return a.State() == mesh.Running && n != nil && n.Liveness == mesh.Alive && !n.Unread && a.Status.Boot == n.Boot
}
