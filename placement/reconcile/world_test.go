package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// world is a mesh of toys: nodes that run what they are told to as long as they
// are up, and that report it as long as they are in sight.
type world struct {
	now    time.Time
	nodes  map[mesh.NodeID]*toyNode
	job    mesh.JobView
	jobs   map[string]*mesh.Job // by the hash of the version
	copies map[mesh.AllocID]*toyCopy
	unsafe bool            // all tasks are marked so
	forced bool            // the next version is
	words  []mesh.Ancestor // the versions that begin anew

	forgotten map[mesh.NodeID]bool
	others    map[mesh.JobID]mesh.JobStatus // jobs
	permits   []mesh.Permit
	offers    []mesh.Offer // by copies of other jobs

	versions map[string]*mesh.JobVersion // by hash
	deployed map[string]mesh.Deployment
	steering map[string]mesh.Steering
}

// toyNode is a node, as it is and as it is seen.
type toyNode struct {
	view mesh.NodeView
	up   bool // it is, whether or not it is in sight
}

// toyCopy is a decision and what its node really does about it.
type toyCopy struct {
	view    mesh.AllocView
	runs    bool
	begunAt time.Time
}

func newWorld() *world {
	return &world{
		now:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		nodes:  map[mesh.NodeID]*toyNode{},
		jobs:   map[string]*mesh.Job{},
		copies: map[mesh.AllocID]*toyCopy{},

		versions: map[string]*mesh.JobVersion{}, deployed: map[string]mesh.Deployment{},
		steering: map[string]mesh.Steering{},

		forgotten: map[mesh.NodeID]bool{}, others: map[mesh.JobID]mesh.JobStatus{},
	}
}

func (w *world) addNode(name string, capacity mesh.Resources) *toyNode {
	n := &toyNode{up: true, view: mesh.NodeView{
		Node: mesh.Node{
			ID: mesh.NodeID(name), Name: name, Address: name + ":7946", Boot: "boot-1", Role: mesh.Worker,
			Drivers: []string{mesh.DefaultDriver}, Capacity: capacity,
		},
		Known: true, AdmittedAt: w.now, Liveness: mesh.Alive, Eligible: true,
	}}
	w.nodes[n.view.ID] = n
	return n
}

// submit makes the next version of the job.
func (w *world) submit(job mesh.Job, stopped bool) {
	for i := range job.Tasks {
		if w.unsafe {
			job.Tasks[i].Safety, job.Gang = &mesh.Safety{Unsafe: true}, false // a gang would run again as a whole
		}
	}
	next := w.job.NextRun(&job)
	next.Forced, w.forced = w.forced, false
	if next.Stopped = stopped; stopped {
		next.Verb = mesh.VerbStop
	}
	w.version(next)
}

// act makes the next version of the job by a verb.
func (w *world) act(verb mesh.Verb, all bool, reason string) {
	next := w.job.Next(verb)
	if next.Reason = reason; all {
		next.Since = 0
	}
	w.version(next)
}

func (w *world) version(next mesh.JobVersion) {
	w.now = w.now.Add(time.Millisecond)
	if next.At.IsZero() {
		next.At = w.now
	}
	next.Hash = fmt.Sprintf("%s-%d", mesh.HashJob(&next.Job, next.Stopped), next.Number)
	line := append([]mesh.Ancestor{w.job.Ancestor()}, w.job.Line...)
	w.job = mesh.JobView{JobVersion: next, Line: line}
	w.jobs[next.Hash], w.versions[next.Hash] = &next.Job, &next
	if next.Anew == 0 || next.Since == 0 {
		w.words = append(w.words, next.Ancestor())
	}
	w.now = w.now.Add(time.Millisecond)
}

// view is the picture of the world.
func (w *world) view() *mesh.View {
	courses := mesh.Courses{Versions: w.versions, Of: w.deployment}
	w.job.Deployment, w.job.Steering, w.job.Before, w.job.Veiled = nil, nil, nil, nil
	courses.Fill(&w.job)
	v := &mesh.View{
		Now: w.now, Jobs: []mesh.JobView{w.job}, Forgotten: slices.Sorted(maps.Keys(w.forgotten)), Outcomes: w.others,
		Permits: w.permits, Offers: w.offered(),
	}
	used := map[mesh.NodeID]mesh.Resources{}
	for _, c := range w.copies {
		c.view.Placed = w.jobs[c.view.Hash]
		v.Allocs = append(v.Allocs, c.view)
		if !c.view.State().Final() {
			used[c.view.Node] = used[c.view.Node].Add(c.view.Resources)
		}
	}
	slices.SortFunc(v.Allocs, func(a, b mesh.AllocView) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Index, b.Index),
			cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.ID, b.ID))
	})
	for _, id := range slices.Sorted(maps.Keys(w.nodes)) {
		n := w.nodes[id].view
		n.Used.Resources = used[id]
		v.Nodes = append(v.Nodes, n)
	}
	return v
}

// deployment is what is recorded of the deployment of a version.
func (w *world) deployment(v *mesh.JobVersion) (d *mesh.Deployment, s *mesh.Steering) {
	if is, ok := w.deployed[v.Hash]; ok {
		d = &is
	}
	if said, ok := w.steering[v.Hash]; ok {
		s = &said
	}
	return d, s
}

// steer is a person's word about the deployment.
func (w *world) steer(verb mesh.Steer, reason string) {
	w.now = w.now.Add(time.Millisecond)
	d := w.view().Jobs[0].Deployment
	s := w.steering[d.Hash]
	switch s.Reason, s.At = reason, w.now; verb {
	case mesh.SteerPromote:
		s.Promoted = true
	case mesh.SteerPause, mesh.SteerResume:
		s.Paused = verb == mesh.SteerPause
	case mesh.SteerFail:
		s.Failed = true
	}
	w.steering[d.Hash] = s
	w.now = w.now.Add(time.Millisecond)
}

// rolls takes over what a plan says of the deployment.
func (w *world) rolls(p *Plan) {
	if p.Rollout == nil || !p.Granted {
		return
	}
	d := p.Rollout.Deployment
	d.Coordinator = "toy"
	w.deployed[d.Hash] = d
	if p.Revert != nil {
		w.version(*p.Revert)
	}
}

func (w *world) plan(granted bool) Plan {
	v := w.view()
	return Job(v, &v.Jobs[0], nil, granted)
}

// apply carries a plan out.
func (w *world) apply(p Plan) {
	for _, s := range p.Stop {
		c := w.copies[s.Alloc]
		c.view.Want, c.view.Reason, c.view.Leaves, c.view.Yields = mesh.WantStop, s.Reason, s.Leaves, s.Yields
	}
	w.permits = slices.DeleteFunc(w.permits, func(o mesh.Permit) bool { return slices.Contains(p.Return, o) })
	for _, id := range p.Claim {
		w.permit(id)
	}
	for _, pl := range p.Place {
		a := pl.Alloc
		w.permit(a.ID)
		a.Node, a.At = pl.Choice.Candidates[0].Node, w.now
		w.copies[a.ID] = &toyCopy{view: mesh.AllocView{Alloc: a}}
	}
	for _, id := range p.Forget {
		delete(w.copies, id)
	}
	w.rolls(&p)
}

// permit gives a copy of the job the permit that it needs, if it has none.
func (w *world) permit(id mesh.AllocID) {
	l := w.job.Job.Limit
	has := func(o mesh.Permit) bool { return o.Alloc == id && o.Key == l.Key }
	if l != nil && !slices.ContainsFunc(w.permits, has) {
		w.permits = append(w.permits, mesh.Permit{Key: l.Key, Job: w.job.ID(), Alloc: id})
	}
}

// othersHold has so many copies of another job have permits under a limit.
func (w *world) othersHold(limit string, job mesh.JobID, n int) {
	w.permits = slices.DeleteFunc(w.permits, func(o mesh.Permit) bool { return o.Job == job })
	for i := range n {
		w.permits = append(w.permits, mesh.Permit{Key: limit, Job: job, Alloc: mesh.AllocID(fmt.Sprintf("%s-%d", job, i))})
	}
}

// settle lets the nodes in sight do and report what is decided.
func (w *world) settle() {
	w.now = w.now.Add(time.Millisecond)
	for _, c := range w.copies {
		n := w.nodes[c.view.Node]
		if n == nil || n.view.Liveness != mesh.Alive || c.view.State().Final() {
			continue
		}
		ran := c.runs
		c.runs = c.view.Want == mesh.WantRun
		switch {
		case c.runs && !ran && w.once(c):
			w.report(c, mesh.Failed)
		case c.runs && c.view.State() == mesh.Running && c.view.Status.Boot == n.view.Boot:
		case c.runs:
			w.report(c, mesh.Running)
		default:
			w.report(c, mesh.Stopped)
		}
	}
}

// once says whether a node does not start a copy again.
func (w *world) once(c *toyCopy) bool {
	g, _ := w.job.Job.Group(c.view.Group)
	return began(&c.view, &g)
}

// report has a copy's node say what has become of it.
func (w *world) report(c *toyCopy, state mesh.AllocState) {
	if c.runs = state == mesh.Running; c.runs && c.begunAt.IsZero() {
		c.begunAt = w.now
	}
	before := c.view.Status
	c.view.Status = &mesh.Status{
		Alloc: c.view.ID, Job: c.view.Job, Node: c.view.Node,
		Boot: w.nodes[c.view.Node].view.Boot, State: state, At: w.now,
	}
	switch state {
	case mesh.Running:
		c.view.Status.Tasks = []mesh.TaskStatus{{Name: c.view.Group, State: state, StartedAt: w.now}}
	case mesh.Backoff:
		c.view.Status.Tasks = []mesh.TaskStatus{{Name: c.view.Group, State: state, FinishedAt: w.now}}
	case mesh.TimedOut: // by the job's timeout, so none of its tasks has
		c.view.Status.Outcome, c.view.Status.Reason = state, "timed out after 10m"
	case mesh.Failed:
		c.view.Status.Tasks = []mesh.TaskStatus{
			{State: state, Lifecycle: mesh.Poststop, Reason: "could not clean up"}, // decides nothing
			{Name: c.view.Group, State: state, StartedAt: w.now, Reason: "exit code 1"},
		}
	case mesh.Stopped, mesh.Starting:
		if before != nil {
			c.view.Status.Tasks = slices.Clone(before.Tasks)
			for i := range c.view.Status.Tasks {
				c.view.Status.Tasks[i].State = state
			}
		}
	}
	for i := range c.view.Status.Tasks {
		t := &c.view.Status.Tasks[i]
		if b := taskOf(before, t.Name); b != nil {
			if t.Checkpoint, t.Kept = b.Checkpoint, b.Kept; state != mesh.Running {
				t.Unrestored = b.Unrestored
			}
			if t.StartedAt.IsZero() { // who has begun once has begun
				t.StartedAt = b.StartedAt
			}
		}
	}
}

// saves has a copy save its work, and nodes have that.
func (w *world) saves(c *toyCopy, number uint64, on []string) {
	saved := &mesh.Checkpoint{Task: c.view.Group, Seq: number, Tree: fmt.Sprint("tree-", number), At: w.now}
	for _, n := range on {
		saved.Nodes = append(saved.Nodes, mesh.NodeID(n))
	}
	w.report(c, c.view.State())
	t := &c.view.Status.Tasks[0]
	if t.Checkpoint != nil && len(t.Checkpoint.Nodes) > 1 {
		t.Kept = t.Checkpoint
	}
	if t.Checkpoint = saved; len(on) > 1 {
		t.Kept = nil
	}
}

// verdict is a person's word about a copy that waits for one.
func (w *world) verdict(r mesh.Review, approve bool) {
	w.now = w.now.Add(time.Millisecond)
	w.copies[r.Alloc].view.Verdict = &mesh.Verdict{Alloc: r.Alloc, Kind: r.Kind, Approve: approve, At: w.now}
}

// advance lets time pass. Copies of majority jobs that nobody can renew stop.
func (w *world) advance(d time.Duration) {
	w.now = w.now.Add(d)
	for _, n := range w.nodes {
		if n.view.Liveness != mesh.Alive {
			n.view.LostFor += d
		}
	}
	for _, c := range w.copies {
		r := w.jobs[c.view.Hash].Recovery
		if n := w.nodes[c.view.Node]; n != nil && n.view.Liveness == mesh.Alive {
			c.view.Unrenewed = 0
			continue
		}
		c.view.Unrenewed += d
		if r.Partition() == mesh.Majority && c.view.Unrenewed >= r.TaskLease()+mesh.DefaultKillGrace {
			c.runs = false
		}
	}
}

// sight changes what gossip says of a node. A node that is back in sight
// reports its copies: those of an earlier boot are starting again.
func (w *world) sight(n *toyNode, l mesh.Liveness, since time.Duration) {
	n.view.Liveness, n.view.LostFor = l, since
	if l != mesh.Alive {
		return
	}
	n.up, n.view.LostFor, n.view.GivenUp = true, 0, false
	for _, c := range w.copies {
		s := c.view.Status
		if c.view.Node != n.view.ID || s == nil || s.State.Final() {
			continue
		}
		switch {
		case !c.runs && w.once(c):
			w.report(c, mesh.Failed)
		case s.State == mesh.Running && !c.runs && s.Boot == n.view.Boot:
			w.report(c, mesh.Stopped) // its switch has stopped it
		case s.State == mesh.Running && !c.runs:
			w.report(c, mesh.Starting)
		}
	}
}

// administer says what people want of a node.
func (w *world) administer(n *toyNode, mode mesh.AdminMode, deadline time.Duration, system bool) {
	n.view.Eligible = mode == mesh.InService
	n.view.Admin = mesh.Administration{
		Node: n.view.ID, Mode: mode, Deadline: w.now.Add(deadline), System: system, At: w.now,
	}
}

// kill is a power cut: the node and what ran on it are dead.
func (w *world) kill(n *toyNode) {
	n.up = false
	w.sight(n, mesh.Lost, 0)
	n.view.Boot += "+"
	for _, c := range w.copies {
		if c.view.Node == n.view.ID {
			c.runs = false
		}
	}
}

// running counts the copies of each seat that really run.
func (w *world) running() map[mesh.Seat]int {
	count := map[mesh.Seat]int{}
	for _, c := range w.copies {
		if c.runs {
			count[c.view.Seat()]++
		}
	}
	return count
}

// picture is a plan with readable names for the ids.
func (w *world) picture(p Plan) string {
	var pairs []string
	name := func(a *mesh.Alloc) {
		pairs = append(pairs, string(a.ID), fmt.Sprintf("%v.%d", a.Seat(), a.Generation))
	}
	for _, c := range w.copies {
		name(&c.view.Alloc)
	}
	for i := range p.Place {
		name(&p.Place[i].Alloc)
	}
	return strings.NewReplacer(pairs...).Replace(p.String())
}
