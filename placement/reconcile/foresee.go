package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement"
)

const (
	// foreseeMax bounds how often all jobs are planned for a foresight: a drain of a
	// job takes two rounds for each of its copies, if it moves one at a time.
	foreseeMax = 2000
	// forLong is longer than anything waits that only time ends.
	forLong = 90 * 24 * time.Hour
)

// Lose is the view with nodes lost for so long that nobody waits for them any more but
// those who wait for ever.
func Lose(v *mesh.View, lost []mesh.NodeID) *mesh.View {
	w := *v
	w.Nodes, w.Allocs = slices.Clone(v.Nodes), slices.Clone(v.Allocs)
	for _, id := range lost {
		if n := w.Node(id); n != nil {
			n.Liveness, n.LostFor, n.Unread = mesh.Lost, forLong, false
		}
	}
	gone := func(o mesh.Offer) bool { return slices.Contains(lost, o.Node) }
	w.Offers = slices.DeleteFunc(slices.Clone(v.Offers), gone)
	for i := range w.Allocs {
		if a := &w.Allocs[i]; slices.Contains(lost, a.Node) {
			a.Unrenewed = forLong
		}
	}
	return &w
}

// GiveUp is the view with a node given no time to come back.
func GiveUp(v *mesh.View, id mesh.NodeID) *mesh.View {
	w := *v
	w.Nodes = slices.Clone(v.Nodes)
	if n := w.Node(id); n != nil {
		n.GivenUp = n.Liveness != mesh.Alive
	}
	return &w
}

// Want is the view as if people wanted that of a node.
func Want(v *mesh.View, a mesh.Administration) *mesh.View {
	w := *v
	w.Nodes = slices.Clone(v.Nodes)
	if n := w.Node(a.Node); n != nil {
		n.Admin, n.Eligible = a, a.Mode == mesh.InService
	}
	return &w
}

// Foresee is what would become of each copy that is meant to run on a node which is
// out of sight or to be drained, of those that stop by themselves for want of a majority,
// and of those elsewhere that are stopped for what becomes of others.
//
// Plans for all jobs are carried out on a copy of the view, turn by turn, until none has
// anything to do. What runs counts as well, also what is only placed by then; what is
// stopped in sight ends at once. No other time passes: batch work on a node that is to
// be drained is still there.
func Foresee(v *mesh.View, granted bool) []mesh.Outcome {
	f := foresight{now: *v, granted: granted, plans: make([]Plan, len(v.Jobs))}
	f.now.Nodes, f.now.Allocs, f.now.Permits = slices.Clone(v.Nodes), slices.Clone(v.Allocs), slices.Clone(v.Permits)
	f.now.Offers = slices.Clone(v.Offers)
	f.now.Queue = nil // it is of now; who comes first when room is scarce is not foreseen
	for i := range f.now.Nodes {
		f.now.Nodes[i].Unread = false // what we know is all that there is to go by
	}
	for i := range f.now.Allocs {
		aged(&f.now.Allocs[i])
	}
	for range foreseeMax {
		if !f.round() {
			break
		}
	}
	var out []mesh.Outcome
	for i := range f.now.Jobs {
		p := newPlanner(&f.now, &f.now.Jobs[i], nil, granted)
		for _, a := range v.AllocsOf(f.now.Jobs[i].ID()) {
			if a.Want == mesh.WantRun && !a.State().Final() && p.concerned(&a) {
				out = append(out, p.outcome(&a, &f.plans[i]))
			}
		}
	}
	return out
}

// aged has what runs of a copy run for longer than it takes to count as well.
func aged(a *mesh.AllocView) {
	if a.Status == nil {
		return
	}
	s := *a.Status
	s.Tasks = slices.Clone(s.Tasks)
	for i := range s.Tasks {
		s.Tasks[i].StartedAt = s.Tasks[i].StartedAt.Add(-forLong)
	}
	a.Status = &s
}

// foresight is a view that plans are carried out on.
type foresight struct {
	now     mesh.View
	granted bool
	plans   []Plan // the last, of now.Jobs
}

// round plans each job once, and says whether anything has changed.
func (f *foresight) round() bool {
	changed := false
	for i := range f.now.Jobs {
		p := Job(&f.now, &f.now.Jobs[i], nil, f.granted)
		for _, s := range p.Stop {
			f.stop(p.Job, s)
		}
		for _, pl := range p.Place {
			f.place(&f.now.Jobs[i].Job, pl)
		}
		f.permits(&f.now.Jobs[i].Job, &p)
		changed = changed || len(p.Stop)+len(p.Place)+len(p.Return)+len(p.Claim) > 0
		f.plans[i] = p
	}
	return changed
}

// permits gives back what a plan returns, and out what it takes.
func (f *foresight) permits(job *mesh.Job, p *Plan) {
	f.now.Permits = slices.DeleteFunc(f.now.Permits, func(o mesh.Permit) bool { return slices.Contains(p.Return, o) })
	give := func(id mesh.AllocID) {
		f.now.Permits = append(f.now.Permits, mesh.Permit{Key: job.Limit.Key, Job: p.Job, Alloc: id})
	}
	for _, id := range p.Claim {
		give(id)
	}
	for _, pl := range p.Place {
		if job.Limit != nil {
			give(pl.Alloc.ID)
		}
	}
}

// stop ends a copy, if its node is in sight.
func (f *foresight) stop(job mesh.JobID, s Stop) {
	allocs := f.now.AllocsOf(job)
	a := &allocs[slices.IndexFunc(allocs, func(a mesh.AllocView) bool { return a.ID == s.Alloc })]
	a.Want, a.Reason, a.Leaves, a.Yields = mesh.WantStop, s.Reason, s.Leaves, s.Yields
	if n := f.now.Node(a.Node); n != nil && n.Liveness == mesh.Alive {
		f.now.Offers = slices.DeleteFunc(f.now.Offers, func(o mesh.Offer) bool { return o.Alloc == a.ID })
		n.Used = n.Used.Without(&a.Alloc)
		a.Status = &mesh.Status{Alloc: a.ID, Job: a.Job, Node: a.Node, Boot: n.Boot, State: mesh.Stopped, At: f.now.Now}
	}
}

// place has a copy run on the best node for it, as if it had for long.
func (f *foresight) place(job *mesh.Job, pl Placement) {
	n := f.now.Node(pl.Choice.Candidates[0].Node)
	n.Used = placement.Take(n, &pl.Alloc)
	a := mesh.AllocView{Alloc: pl.Alloc, Placed: job}
	a.Node, a.At = n.ID, f.now.Now
	a.Status = &mesh.Status{Alloc: a.ID, Job: a.Job, Node: n.ID, Boot: n.Boot, State: mesh.Running, At: f.now.Now}
	g, _ := job.Group(a.Group)
	for _, t := range g.Tasks {
		a.Status.Tasks = append(a.Status.Tasks,
			mesh.TaskStatus{Name: t.Name, State: mesh.Running, StartedAt: f.now.Now.Add(-forLong)})
	}
	for _, o := range a.Offers() {
		o.Usable = true
		f.now.Offers = append(f.now.Offers, o)
	}
	at, _ := slices.BinarySearchFunc(f.now.Allocs, &a, func(b mesh.AllocView, a *mesh.AllocView) int {
		return cmp.Or(cmp.Compare(b.Job, a.Job), cmp.Compare(b.Group, a.Group), cmp.Compare(b.Index, a.Index),
			cmp.Compare(b.Generation, a.Generation), cmp.Compare(b.ID, a.ID))
	})
	f.now.Allocs = slices.Insert(f.now.Allocs, at, a)
}

// concerned says whether something becomes of a copy: for where it is, or as it is
// stopped by now.
func (p *planner) concerned(a *mesh.AllocView) bool {
	stopped := func(is *mesh.AllocView) bool { return is.ID == a.ID && is.Want == mesh.WantStop }
	if slices.ContainsFunc(p.copies[a.Seat()], stopped) {
		return true
	}
	n := p.view.Node(a.Node)
	return n != nil && (n.Liveness != mesh.Alive || n.Admin.Mode == mesh.Draining || p.unrenewed(a))
}

// unrenewed says whether a copy in sight stops by itself, as nobody may renew it.
func (p *planner) unrenewed(a *mesh.AllocView) bool {
	return p.job.Job.Recovery.Switch() > 0 && (p.partition == mesh.Eager || a.Target == "") && !p.granted
}

// outcome is what has become of a copy, where no plan has anything left to do.
func (p *planner) outcome(was *mesh.AllocView, last *Plan) mesh.Outcome {
	o := mesh.Outcome{Alloc: was.ID, Job: was.Job, Seat: was.Seat(), Node: was.Node}
	is := was
	for _, a := range p.copies[was.Seat()] {
		switch {
		case a.ID == was.ID:
			is = a
		case a.Generation > was.Generation && a.Want == mesh.WantRun && !a.State().Final():
			o.Becomes, o.To, o.Reason = mesh.Moves, a.Node, a.Reason
			return o
		}
	}
	fate := p.fate(is)
	room := func(b Blocked) bool { return b.Group == was.Group && b.Target == was.Target }
	switch i := slices.IndexFunc(last.Blocked, room); {
	case i >= 0 && (is.Want == mesh.WantStop || fate.is == gone):
		o.Becomes, o.Reason = mesh.NoRoom, last.Blocked[i].Choice.Summary()
	case is.Want == mesh.WantStop:
		o.Becomes, o.Reason = mesh.Ends, is.Reason
	default:
		o.Becomes, o.Reason = p.remains(is, fate, last)
	}
	return o
}

// remains is why a copy has not been replaced, though there is room.
func (p *planner) remains(a *mesh.AllocView, f fate, last *Plan) (mesh.Becoming, string) {
	for _, d := range last.Drain {
		if d.Alloc == a.ID {
			return drainBecomes[d.Action], d.Reason
		}
	}
	switch {
	case f.is == here && p.unrenewed(a):
		if d := p.job.Job.Recovery.StopAfter; d > 0 {
			return mesh.Ends, fmt.Sprintf("cut off from a majority of the voters, it stops after %v", d)
		}
		lease := mesh.Duration(p.job.Job.Recovery.TaskLease())
		return mesh.Ends, fmt.Sprintf(
			"without a majority of the voters nobody renews it: it stops within its lease of %v", lease)
	case f.is == away && f.review:
		return mesh.ForReview, f.why
	case f.is == here:
		return mesh.Stays, "nothing has it go"
	case f.is == away:
		return mesh.Waits, f.why
	}
	for _, w := range last.Waiting {
		if w.Group == a.Group {
			return mesh.Waits, w.Reason
		}
	}
	return mesh.Waits, last.Text
}

// drainBecomes is what a drain does about a copy in the end.
var drainBecomes = map[mesh.DrainAction]mesh.Becoming{
	mesh.DrainIgnored: mesh.Stays,
	mesh.DrainWaiting: mesh.Waits,
	mesh.DrainMigrate: mesh.Waits, // for what is on its way already
	mesh.DrainBlocked: mesh.NoRoom,
	mesh.DrainReview:  mesh.ForReview,
}
