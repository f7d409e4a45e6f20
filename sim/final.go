package sim

import (
	"fmt"
	"slices"
	"strings"

	"mn/mesh"
	"mn/placement/reconcile"
)

// pending says what is not yet as it must be when nothing goes wrong any more,
// or "". The run waits until nothing is, and then demands that it stays so:
//
//	everyone is up and sees everyone
//	all have the same data, and the same roster, most of whose voters are up
//	each slot has one coordinator, the one that ranks first
//	each job runs exactly the copies that are wanted, or there is a reason
//	each node sends others to exactly the services that are well, and copies are where what they need is
func (w *world) pending() string { return w.pendingFrom(0) }

// pendingFrom makes the checks from one on, and notes which one failed.
func (w *world) pendingFrom(first int) string {
	w.doubt = nil
	members := w.members()
	checks := []func([]*host) string{
		w.everyoneIsUp, restoredAreOut, w.everyoneSeesEveryone, w.sameRoster, w.oneCoordinator,
		w.sameData, w.inService, w.wantedCopies, w.permitsAreHeld, w.catalogsAreTrue, w.servicesFollowed,
	}
	for i, check := range checks {
		if i > 0 && i < first { // the first is what the others rest on
			continue
		}
		if why := check(members); why != "" {
			w.failed = i
			return why
		}
	}
	return ""
}

// well says whether pending has nothing to say, for those who ask after each
// event: it looks first at what was in the way last, and goes on from there. Only
// if nothing is in the way any more it looks at all.
func (w *world) well() bool {
	if w.doubt != nil && w.doubt() {
		return false
	}
	return w.pendingFrom(w.failed) == "" && w.pending() == ""
}

func (w *world) everyoneIsUp(members []*host) string {
	for _, h := range members {
		if !h.up() {
			return h.name + " is not up"
		}
	}
	if len(members) == 0 {
		return "there is no member"
	}
	return ""
}

// restoredAreOut: nobody goes on with a disk that has forgotten what others know.
func restoredAreOut(members []*host) string {
	for _, h := range members {
		if h.exposed && h.barred {
			return h.name + " runs on a disk that went back in time, and nobody has noticed"
		}
	}
	return ""
}

func (w *world) everyoneSeesEveryone(members []*host) string {
	for i, h := range members {
		for j, o := range members {
			if !h.agent.core.Sees(o.self.ID) {
				w.doubt = blind(members, i, j)
				return fmt.Sprintf("%s does not see %s", h.name, o.name)
			}
		}
	}
	return ""
}

// blind says whether some member, from one pair on, does not see another. It goes
// on where it was, so that a mesh that forms is not gone through again and again.
func blind(members []*host, i, j int) func() bool {
	return func() bool {
		for ; i < len(members); i, j = i+1, 0 {
			for h := members[i]; j < len(members); j++ {
				if h.agent == nil || !h.agent.core.Sees(members[j].self.ID) {
					return true
				}
			}
		}
		return false
	}
}

// differ says whether two members alone still fail a check.
func (w *world) differ(a, b *host, check func([]*host) string) func() bool {
	return func() bool { return a.agent == nil || b.agent == nil || check([]*host{a, b}) != "" }
}

func (w *world) sameRoster(members []*host) string {
	first := members[0].agent.core.Roster()
	alive := 0
	for _, v := range first.Voters {
		if o := w.byID[v.ID]; o != nil && o.up() && !o.barred {
			alive++
		}
	}
	if alive < first.Quorum() {
		return fmt.Sprintf("only %d of the %d voters of epoch %d are there", alive, len(first.Voters), first.Epoch)
	}
	for _, h := range members[1:] {
		if r := h.agent.core.Roster(); !h.barred && (r.Epoch != first.Epoch || voters(r) != voters(first)) {
			w.doubt = w.differ(members[0], h, w.sameRoster)
			return fmt.Sprintf("%s has roster epoch %d, %s has %d", h.name, r.Epoch, members[0].name, first.Epoch)
		}
	}
	return ""
}

func (w *world) oneCoordinator(members []*host) string {
	var holders [mesh.Slots]*host
	for _, h := range members {
		for s := range h.agent.core.Holdings(h.now()) {
			if holders[s] != nil {
				return fmt.Sprintf("slot %d has two coordinators", s)
			}
			holders[s] = h
		}
	}
	for s, h := range holders {
		if h == nil {
			w.doubt = func() bool { return !w.checker.holders[s].holds(mesh.Slot(s)) }
			return fmt.Sprintf("slot %d has no coordinator", s)
		}
	}
	return ""
}

func (w *world) sameData(members []*host) string {
	first, _, _ := members[0].agent.core.Digest()
	for _, h := range members {
		sum, _, waiting := h.agent.core.Digest()
		if sum != first {
			w.doubt = w.differ(members[0], h, w.sameData)
			return fmt.Sprintf("%s and %s differ in their data", members[0].name, h.name)
		}
		if len(waiting) > 0 {
			return fmt.Sprintf("%s keeps %d entries aside: %s", h.name, len(waiting), waiting[0])
		}
	}
	return ""
}

// judgeAll is up to how many hosts any of them can judge what is left to do: it has
// compared data with all others soon. In a larger mesh only who decides about a job
// sees to it that it has, with those on whom the job's copies are.
const judgeAll = 64

// judge is the agent whose word on a job counts.
func (w *world) judge(job *mesh.JobView) *agent {
	if len(w.hosts) > judgeAll {
		if h := w.checker.holders[mesh.SlotOf(job.ID())]; h.holds(mesh.SlotOf(job.ID())) {
			return h.agent
		}
	}
	return w.members()[0].agent
}

// wantedCopies compares what is thought that runs with what runs.
func (w *world) wantedCopies(members []*host) string {
	v := members[0].agent.core.View()
	for i := range v.Jobs {
		job := &v.Jobs[i]
		by := w.judge(job)
		plan, _, _ := by.core.Outlook(job)
		why := w.planIsDone(job, &plan)
		if why == "" {
			why = w.viewIsTrue(v, job)
		}
		if why == "" {
			why = w.everyNode(job)
		}
		if why != "" {
			w.doubt = w.unmoved(members[0], by)
			return fmt.Sprintf("job %s: %s", job.ID(), why)
		}
	}
	why := w.noStrays(v)
	if why != "" {
		w.doubt = w.unmoved(members[0], members[0].agent)
	}
	return why
}

// unmoved says whether nothing has happened since that could change what one host
// sees and what an agent makes of it.
func (w *world) unmoved(first *host, by *agent) func() bool {
	a, changes := first.agent, w.changes
	steps, others := a.steps, by.steps
	return func() bool { return first.agent == a && a.steps == steps && by.steps == others && w.changes == changes }
}

// planIsDone says what is left to do about a job. That it waits, or fits
// nowhere, is no such thing if there is a good reason.
func (w *world) planIsDone(job *mesh.JobView, plan *reconcile.Plan) string {
	if why := w.goesOnSoon(plan.Reviews); why != "" {
		return why
	}
	if why, is := w.ofTicks(job); is {
		return why
	}
	switch {
	case len(plan.Stop)+len(plan.Place) > 0:
		return "there is something to do: " + strings.ReplaceAll(plan.String(), "\n", "; ")
	case w.waitsForLost(plan):
		return ""
	case w.goesOn(&job.Job, plan.Status):
		return fmt.Sprintf("it has not come to its end, and is %s: %s", plan.Status, plan.Text)
	case w.rollsOn(job, plan.Rollout):
		return "its deployment is under way: " + strings.Join(plan.Rollout.Words(), "; ")
	case plan.Status == mesh.JobRunning || plan.Status == mesh.JobCompleted || job.Stopped || job.Paused:
		return ""
	case len(plan.Reviews) > 0:
		return "" // people have not said anything yet
	case (plan.Status == mesh.JobFailed || plan.Status == mesh.JobPaused) && w.someMayFail(job):
		return ""
	}
	for _, b := range plan.Blocked {
		g, _ := job.Job.Group(b.Group)
		room := w.roomFor(&g)
		if h := w.byID[b.Target]; h != nil {
			room = h.roomFor(&g)
		}
		if room {
			return fmt.Sprintf("it is blocked though there is room: %s", b.Choice.Summary())
		}
	}
	for _, wait := range plan.Waiting {
		if !w.mayWait(job, wait.Reason) && !w.mayLack(job, wait.Reason) {
			return "it waits: " + wait.Reason
		}
	}
	if len(plan.Blocked)+len(plan.Waiting) > 0 || w.someMayFail(job) {
		return ""
	}
	return fmt.Sprintf("it is %s: %s", plan.Status, plan.Text)
}

func (t *Tasks) fails() bool { return t.Crash > 0 || t.Fail > 0 }

// mayWait says whether a reason to wait is one that lasts: a keep job waits for
// a machine that is gone for good, until a person vouches for its end.
func (w *world) mayWait(job *mesh.JobView, reason string) bool {
	return w.isOfLost(reason) || w.someMayFail(job) && strings.Contains(reason, " after ")
}

// someMayFail says whether copies of a job may fail for good, or those of an earlier version that go on as long as
// that one is not deployed.
func (w *world) someMayFail(job *mesh.JobView) bool {
	if w.mayFail(&job.Job) || !besides(job) {
		return w.mayFail(&job.Job)
	}
	v := w.judge(job).core.View()
	return slices.ContainsFunc(v.AllocsOf(job.ID()), func(a mesh.AllocView) bool {
		return a.Want == mesh.WantRun && a.Placed != nil && w.mayFail(a.Placed)
	})
}

// lacksHosts says whether a machine is gone for good, and with it what it knew.
func (w *world) lacksHosts() bool {
	return slices.ContainsFunc(w.hosts, func(h *host) bool { return h.gone && !h.vouched || h.barred || h.evicted })
}

// isOfLost says whether a copy waits for a machine that is gone for good.
func (w *world) isOfLost(reason string) bool {
	return w.lacksHosts() && (strings.Contains(reason, `on_partition = "keep" waits until it is known to be dead`) ||
		strings.Contains(reason, "never moves work") || strings.Contains(reason, "its copy waits for it"))
}

// waitsForLost says whether a plan comes to nothing as it waits for such a machine.
func (w *world) waitsForLost(plan *reconcile.Plan) bool {
	return plan.Status == mesh.JobPausing && w.lacksHosts() ||
		slices.ContainsFunc(plan.Waiting, func(wait reconcile.Waiting) bool { return w.isOfLost(wait.Reason) })
}

// roomFor says whether some node has room for so much.
func (w *world) roomFor(g *mesh.Group) bool {
	return slices.ContainsFunc(w.members(), func(h *host) bool {
		return h.self.Role != mesh.Witness && h.roomFor(g)
	})
}

func (h *host) roomFor(g *mesh.Group) bool {
	var used mesh.Resources
	for _, p := range h.tasks {
		used = used.Add(p.spec.Resources)
	}
	return h.self.Capacity.Sub(used).Lacks(g.Resources) == "" && h.equippedFor(g) && h.serves(g)
}

// viewIsTrue says how what is said to run of a job differs from what runs.
func (w *world) viewIsTrue(v *mesh.View, job *mesh.JobView) string {
	seats := map[mesh.Seat]mesh.AllocID{}
	for _, a := range v.AllocsOf(job.ID()) {
		if a.State() != mesh.Running || a.Want != mesh.WantRun {
			continue
		}
		h := w.byID[a.Node]
		if n := v.Node(a.Node); n != nil && n.Liveness == mesh.Alive && (h == nil || h.gone) {
			return fmt.Sprintf("%s is said to run on %s, which is gone and still in sight", a.ID, n.Name)
		}
		if h == nil || h.gone {
			continue // nobody can know; such copies are waited for
		}
		seat := a.Seat()
		if other, taken := seats[seat]; taken && !besides(job) {
			return fmt.Sprintf("%v is said to run as %s and as %s", seat, other, a.ID)
		}
		seats[seat] = a.ID
		for _, t := range a.Status.Tasks {
			if t.State == mesh.Running && h.tasks[string(a.ID)+"/"+t.Name] == nil {
				return fmt.Sprintf("task %s of %s is said to run on %s, and does not", t.Name, a.ID, h.name)
			}
		}
	}
	return ""
}

// rollsOn says whether a deployment has to come further by itself. One that people have yet to promote may
// be healthy for a while and not for another, again and again, with a program that fails: it waits for them.
func (w *world) rollsOn(job *mesh.JobView, r *mesh.Rollout) bool {
	if r == nil || r.State != mesh.Deploying || job.Stopped || job.Paused {
		return false
	}
	return r.Promoted || !w.mayFail(&job.Job)
}

// besides says whether there may be two copies of a seat, as their version waits for people.
func besides(job *mesh.JobView) bool {
	return job.Deployment != nil && job.Deployment.State != mesh.Deployed
}

// everyNode looks for a machine without its copy of a job that wants one on each.
func (w *world) everyNode(job *mesh.JobView) string {
	if job.Job.Type != mesh.System || job.Stopped || w.someMayFail(job) {
		return ""
	}
	for _, h := range w.members() {
		has := slices.ContainsFunc(sortedKeys(h.tasks), func(key string) bool {
			return h.tasks[key].copy.job == job.ID()
		})
		if g := job.Job.Groups()[0]; h.self.Role != mesh.Witness && !has && h.roomFor(&g) {
			return h.name + " has room for its copy, and none"
		}
	}
	return ""
}

// noStrays looks for tasks that run and that nobody knows of.
func (w *world) noStrays(v *mesh.View) string {
	for _, h := range w.members() {
		for _, key := range sortedKeys(h.tasks) {
			p := h.tasks[key]
			known := slices.ContainsFunc(v.AllocsOf(p.copy.job), func(a mesh.AllocView) bool {
				return a.ID == p.spec.Alloc && a.Node == h.self.ID && a.Want == mesh.WantRun && !a.State().Final()
			})
			if !known {
				return fmt.Sprintf("task %v runs on %s, and nobody wants it", p.copy, h.name)
			}
		}
	}
	return ""
}

// checkEnd makes the checks that are about the whole run: what was acknowledged
// is there, and what was deleted is not.
func (w *world) checkEnd() {
	w.people.checkKept()
	w.checkSkipped()
	w.checkRuns()
	w.checkOneGang()
	for _, h := range w.members() {
		for _, key := range sortedKeys(h.disk.entries) {
			e := h.disk.entries[key]
			if tomb, buried := w.checker.buried[key]; buried && !e.Deleted && e.Compare(&tomb) < 0 {
				w.breach("nothing-comes-back", "%s has %q at the end, which was deleted", h.name, key)
			}
		}
	}
}
