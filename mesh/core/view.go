package core

import (
	"iter"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/placement"
	"mn/placement/lease"
	"mn/placement/reconcile"
)

// View is this node's picture of the mesh now. It is shared: nobody may change it.
func (c *Core) View() *mesh.View {
	if c.view != nil && c.viewedAt == c.now {
		return c.view
	}
	v := &mesh.View{
		Self: c.self, Now: c.now.Wall, Nodes: c.nodes(), Jobs: c.records.jobs(), Allocs: c.records.allocs(),
		Forgotten: c.forgottenIDs(), Permits: c.records.permitsFor(nil), Queue: c.queue(),
	}
	for i := range v.Jobs {
		c.outcomes(v, &v.Jobs[i].Job)
	}
	c.offers(v, slices.Collect(maps.Keys(c.records.dealings.needs)))
	c.count(v.Allocs)
	v.Failing = c.failing()
	c.view, c.viewedAt = v, c.now
	return v
}

// scene is the part of the view that a plan for a job rests on: all nodes, this job
// alone, and what has become of those that it comes after.
func (c *Core) scene(job *mesh.JobView) *mesh.View {
	v := c.stage(job)
	c.outcomes(v, &job.Job)
	return v
}

// ViewFor is the View in which a job can be planned that is perhaps not submitted yet, and
// whether what is planned has a majority of the voters behind it.
func (c *Core) ViewFor(job *mesh.Job) (view *mesh.View, granted bool) {
	v := *c.View()
	v.Outcomes = maps.Clone(v.Outcomes)
	c.outcomes(&v, job)
	c.offers(&v, slices.AppendSeq(job.NeededNames(), maps.Keys(c.records.dealings.needs)))
	return &v, !c.lead.degraded
}

// Foresee says in a view of a job as if a version of it had been submitted how that comes to run.
func (c *Core) Foresee(next *mesh.JobView) {
	courses := c.records.courses(next.ID())
	courses.Versions[next.Hash] = &next.JobVersion
	next.Deployment, next.Steering, next.Before, next.Veiled, next.Torn = nil, nil, nil, nil, false
	courses.Fill(next)
}

// Alone says whether this node decides about a slot without a majority of the voters.
func (c *Core) Alone(s mesh.Slot) bool {
	_, granted, ok := c.right(s)
	return ok && !granted
}

// Degraded says whether no majority of the voters is in sight.
func (c *Core) Degraded() bool { return c.lead.degraded }

// outcomes adds to a view what has become of the jobs that one comes after, as far as
// there are such. What those come after does not matter for that: they may go in a circle.
func (c *Core) outcomes(v *mesh.View, job *mesh.Job) {
	if id := mesh.JobID(job.Name); job.Template() {
		if v.Runs == nil {
			v.Runs = map[mesh.JobID][]mesh.RunView{}
		}
		v.Runs[id] = c.runs(id)
	}
	for _, id := range job.Before() {
		before, ok := c.records.job(id)
		if _, known := v.Outcomes[id]; known || !ok {
			continue
		}
		if v.Outcomes == nil {
			v.Outcomes = map[mesh.JobID]mesh.JobStatus{}
		}
		v.Outcomes[id] = reconcile.Job(c.stage(&before), &before, nil, true).Status
	}
}

// stage is the scene of a job that comes after no other.
func (c *Core) stage(job *mesh.JobView) *mesh.View {
	v := &mesh.View{
		Self: c.self, Now: c.now.Wall, Nodes: c.nodes(), Jobs: []mesh.JobView{*job},
		Allocs: slices.Clone(c.records.allocsOf(job.ID())), Forgotten: c.forgottenIDs(),
		Permits: c.records.permitsFor(job), Queue: c.queue(),
	}
	c.offers(v, c.needed(&job.Job))
	c.count(v.Allocs)
	return v
}

// count fills in for how long nobody can have put off the dead-man's switches:
// since our own last renewal, and since we took the slot, as another may have
// renewed them until then.
func (c *Core) count(allocs []mesh.AllocView) {
	var job mesh.JobID
	var held time.Duration
	for i := range allocs {
		if a := &allocs[i]; i == 0 || a.Job != job {
			job, held = a.Job, c.lead.heldSince[mesh.SlotOf(a.Job)]
		}
		allocs[i].Unrenewed = c.now.Boot - max(c.lead.renewed[allocs[i].ID], held)
	}
}

// NodeName is what a node is called, also one that was forgotten and is in no picture any
// more; the beginning of its id if nobody has said.
func (c *Core) NodeName(id mesh.NodeID) string { return c.name(id) }

// nodes are all that were let in and not forgotten, with what is in use on them: by allocations
// that want to run or still run there, and by reservations on their way.
func (c *Core) nodes() []mesh.NodeView {
	if c.nodeViews != nil && c.nodesAt == c.now {
		return c.nodeViews
	}
	used := c.records.used()
	if len(c.lead.placing) > 0 {
		used = maps.Clone(used)
		for _, id := range slices.Sorted(maps.Keys(c.lead.placing)) {
			a := &c.lead.placing[id].alloc
			used[a.Node] = placement.Take(&mesh.NodeView{Node: c.records.node(a.Node), Used: used[a.Node]}, a)
		}
	}
	nodes := make([]mesh.NodeView, 0, len(c.records.members))
	for _, id := range c.records.memberIDs() {
		if c.forgotten(id) {
			continue
		}
		nodes = append(nodes, mesh.NodeView{})
		n := &nodes[len(nodes)-1]
		_, n.Evicted = c.records.evicted[id]
		n.Admin, n.Used, n.Holds = c.records.admin[id], used[id], c.records.picture.holds[id]
		n.Eligible = c.admitted(id) && n.Admin.Mode == mesh.InService
		_, n.Known = c.records.nodes[id]
		n.Node = c.records.node(id)
		n.Eligible = n.Eligible && n.Quarantined == ""
		n.Voter = c.party.Roster().Seat(id) >= 0
		n.ID, n.AdmittedAt = id, c.records.members[id].AdmittedAt
		if n.Name == "" {
			n.Name = c.records.members[id].Name
		}
		c.liveness(n)
	}
	c.nodeViews, c.nodesAt = nodes, c.now
	return nodes
}

// stir has views made anew: something that they show has changed.
func (c *Core) stir() { c.view, c.nodeViews, c.queued = nil, nil, nil }

// liveness fills in what gossip says of a node, for how long, and whether people give
// it time. A peer not seen since our start counts as lost only when the grace for
// joining is over.
func (c *Core) liveness(n *mesh.NodeView) {
	p := c.peers[n.ID]
	switch {
	case n.ID == c.self:
		n.Liveness = mesh.Alive
	case p == nil:
		n.Liveness = mesh.Unseen
		n.LostFor = max(0, c.now.Boot-c.started-c.cfg.JoinGrace)
	default:
		n.Liveness = p.liveness
		n.Unread = n.Liveness == mesh.Alive && (!p.fresh || c.sync.ahead[n.ID])
		if n.Liveness != mesh.Alive {
			n.LostFor = c.now.Boot - p.since
		}
	}
	absent := n.LostFor
	if n.Liveness == mesh.Unseen {
		absent = c.now.Boot - c.started
	}
	since := c.now.Wall.Add(-absent)
	n.GivenUp = n.Liveness != mesh.Alive && !n.Admin.GivenUp.IsZero() && !n.Admin.GivenUp.Before(since)
}

// Sees says whether a node is a member in sight, as the view has it.
func (c *Core) Sees(id mesh.NodeID) bool {
	if _, member := c.records.members[id]; !member || id == c.self {
		return member
	}
	p := c.peers[id]
	return p != nil && p.liveness == mesh.Alive
}

// History is every version of a job, oldest first.
func (c *Core) History(id mesh.JobID) []mesh.JobVersion { return c.records.history(id) }

// Alloc is the decision that stands for an allocation.
func (c *Core) Alloc(id mesh.AllocID) (mesh.AllocView, bool) { return c.records.effective(id) }

// Tokens are the join tokens, by id.
func (c *Core) Tokens() []mesh.Token {
	var tokens []mesh.Token
	for _, id := range slices.Sorted(maps.Keys(c.records.tokens)) {
		tokens = append(tokens, c.records.tokens[id])
	}
	return tokens
}

// Members are the admitted nodes, by id.
func (c *Core) Members() []mesh.Member { return slices.Clone(c.records.admitted()) }

// Roster is the voters as this node knows them.
func (c *Core) Roster() lease.Roster { return c.party.Roster() }

// Chain is the rosters that a joining node adopts.
func (c *Core) Chain() []lease.Roster { return c.party.Chain() }

// Outlook is what becomes of a job as this node sees it, and who decides about
// it: the node that ranks first for its slot among those in sight.
func (c *Core) Outlook(job *mesh.JobView) (plan reconcile.Plan, coordinator mesh.NodeID, fence crdt.Fence) {
	v := c.scene(job)
	if _, _, leads := c.right(mesh.SlotOf(job.ID())); !leads {
		v = trusting(v)
	}
	plan = reconcile.Job(v, job, c.pending(job.ID()), !c.lead.degraded)
	coordinator = c.lead.leaders.Of(mesh.SlotOf(job.ID()))
	for _, a := range c.records.allocsOf(job.ID()) {
		if a.Fence.Compare(fence) > 0 {
			fence = a.Fence
		}
	}
	if e, ok := c.replica.Get(mesh.KeyDue(job.ID())); ok && e.Fence.Compare(fence) > 0 {
		fence = e.Fence
	}
	return plan, coordinator, fence
}

// Plan is what this node would do about a job, if it were to decide.
func (c *Core) Plan(job *mesh.JobView) reconcile.Plan {
	return reconcile.Job(c.View(), job, c.pending(job.ID()), !c.lead.degraded)
}

// trusting is a view for a job that others decide about. They wait for what a node
// says that has come back into sight; we, who compare data with it when its turn
// comes, believe what we have.
func trusting(v *mesh.View) *mesh.View {
	if !slices.ContainsFunc(v.Nodes, func(n mesh.NodeView) bool { return n.Unread }) {
		return v
	}
	w := *v
	w.Nodes = slices.Clone(v.Nodes)
	for i := range w.Nodes {
		w.Nodes[i].Unread = false
	}
	return &w
}

// Digest is the keyed digest of this node's copy of the data, the number of
// its entries, and what was refused or put aside, with the reason.
func (c *Core) Digest() (sum crdt.Digest, entries int, waiting []string) {
	for _, r := range c.replica.Aside() {
		waiting = append(waiting, r.Entry.Key+": "+r.Err.Error())
	}
	for _, q := range c.replica.Quarantine() {
		waiting = append(waiting, q.Entry.Key+": "+q.Reason)
	}
	return c.replica.Digest(), c.replica.Len(), waiting
}

// Held is the fence under which this node holds a slot at now, with voters
// behind it.
func (c *Core) Held(now Now, s mesh.Slot) (crdt.Fence, bool) { return c.party.Held(now.Boot, s) }

// Copy is which writes this node's copy of the data has seen, and its digest:
// copies that have seen the same are equal, but for one that is loose ([crdt.Replica.Loose]).
func (c *Core) Copy() (seen crdt.Seen, digest crdt.Digest, loose bool) {
	return c.replica.Seen(), c.replica.Digest(), c.replica.Loose()
}

// Holdings yields the slots that this node holds at now, with voters behind it,
// each with its fence.
func (c *Core) Holdings(now Now) iter.Seq2[mesh.Slot, crdt.Fence] { return c.party.Holdings(now.Boot) }
