package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// What a deployment comes to follows from its record and from the copies. The coordinator writes what is
// new of it, and the next plan goes on from there.

// concludeRoll says what the deployment of the job comes to, and what people see of it.
func (p *planner) concludeRoll() {
	if p.job.Deployment == nil {
		return
	}
	u := p.job.Job.Update
	v := mesh.Rollout{Deployment: *p.job.Deployment, Strategy: u.How(), Parallel: u.Parallel()}
	v.Order, v.OrderReason = p.job.Job.UpdateOrder()
	p.plan.Rollout = &v
	switch {
	case p.job.Torn:
		v.Next = "waits for the records of versions before"
		return
	case !p.job.Job.Type.Long():
		return
	case p.job.Stopped, p.job.Paused:
		v.Next = "waits: " + p.endReason()
		return
	case p.rolls == nil:
		return
	}
	p.countRoll(&v)
	if !v.State.Final() {
		p.advance(&v)
	}
	p.nextRoll(&v)
}

// countRoll counts the copies of each group by what they run.
func (p *planner) countRoll(v *mesh.Rollout) {
	at := map[string]int{}
	of := func(group string) *mesh.RolloutGroup {
		i, ok := at[group]
		if !ok {
			i = len(v.Groups)
			at[group], v.Groups = i, append(v.Groups, mesh.RolloutGroup{Group: group})
		}
		return &v.Groups[i]
	}
	for _, t := range p.rolls.turns {
		of(t.seat.Group).Wanted++
		if t.well == 0 {
			of(t.seat.Group).Healthy++
		}
	}
	contents := map[mesh.Seat]string{}
	for _, g := range p.job.Job.Groups() {
		hash := mesh.HashGroup(&p.job.Job, g.Name)
		for _, s := range p.seats(g) {
			contents[s] = g.ContentOf(hash, s.Index)
		}
	}
	for i := range p.allocs {
		a := &p.allocs[i]
		switch f := p.fate(a); {
		case a.Want != mesh.WantRun || f.is != here && (f.is != away || a.Target != ""):
		case a.Content != contents[a.Seat()]:
			of(a.Group).Old++
		default:
			of(a.Group).Placed++
			if p.job.StandingOf(&a.Alloc) != mesh.Primary {
				of(a.Group).Hidden++
			}
		}
	}
}

// advance finds what the deployment has come to since it was recorded.
func (p *planner) advance(v *mesh.Rollout) {
	d, s := &v.Deployment, p.job.Steering
	d.Promoted = p.job.Promoted()
	c := v.Counts()
	if scaled := p.job.Number != d.Version && p.job.At.After(d.Progress); scaled || c.Healthy > d.Healthy {
		d.Healthy, d.Progress = c.Healthy, latest(p.view.Now, p.job.At) // fewer may be wanted now
	}
	for _, t := range p.rolls.turns { // a step that was begun ends while it is paused, too
		if t.well > 0 && t.well != never && t.next != nil && p.bound(t.seat) == "" {
			p.wakeIn(t.well)
		}
	}
	switch {
	case s != nil && s.Failed:
		p.failRoll(d, said("a person has given it up", &mesh.Verdict{Reason: s.Reason}))
		return
	case s != nil && s.Paused:
		d.State, d.Reason = mesh.DeploymentPaused, said("a person has paused it", &mesh.Verdict{Reason: s.Reason})
		return
	case p.allWell() && !d.Promoted && p.job.Job.Update.AutoPromote && p.granted:
		d.State, d.Promoted, d.Progress = mesh.Deploying, true, p.view.Now
		d.Reason = "promoted by itself: what is new is healthy"
		return
	case p.allWell() && !d.Promoted:
		d.State, d.Reason = mesh.AwaitingPromotion, "what is new is healthy, and a person has to promote it"
		return
	case p.allWell() && c.Old == p.rolls.kept() && p.granted:
		d.State, d.Ended, d.Reason = mesh.Deployed, p.view.Now, p.nothing()
		return
	case d.State != mesh.Deploying:
		d.State, d.Reason, d.Progress = mesh.Deploying, "", p.view.Now // it is in order again
	}
	p.deadlines(v)
}

// kept is how many copies are old and stay until the deployment has succeeded.
func (r *rollout) kept() int {
	n := 0
	for _, s := range r.aside {
		if s.of != nil {
			n += len(s.live) + len(s.stale)
		}
	}
	return n
}

// nothing is why the deployment had nothing to replace, or "".
func (p *planner) nothing() string {
	for _, t := range p.rolls.turns {
		if t.replaces || !t.had || slices.ContainsFunc(p.copies[t.seat.Seat], p.ofDeployment) {
			return ""
		}
	}
	before := p.job.Before
	switch {
	case p.rolls.kept() > 0:
		return ""
	case before != nil && p.job.Deployment.Version > before.Number+1: // another was to take its place
		return fmt.Sprintf("nothing is to be replaced: the copies of version %d go on", before.Number)
	}
	return "nothing has changed"
}

// allWell says whether all that may be there of the version by now is healthy. Nodes out of sight keep
// no deployment of a job with a copy on each from that.
func (p *planner) allWell() bool {
	n := map[string]int{}
	for _, t := range p.rolls.turns {
		if p.bound(t.seat) != "" {
			continue
		}
		if n[t.seat.Group] += 0; t.begun && t.well == 0 {
			n[t.seat.Group]++
		} else if t.begun || t.next != nil || p.job.Promoted() {
			return false
		}
	}
	for _, t := range p.rolls.turns { // canaries that have not begun
		if !t.begun && !p.job.Promoted() && n[t.seat.Group] < p.job.Job.Update.Canaries() && p.bound(t.seat) == "" {
			return false
		}
	}
	return true
}

func (p *planner) failRoll(d *mesh.Deployment, why string) {
	if p.granted {
		d.State, d.Ended, d.Reason = mesh.DeploymentFailed, p.view.Now, why
	}
}

// deadlines fails a deployment of which copies are not healthy in time, or have failed for good.
func (p *planner) deadlines(v *mesh.Rollout) {
	u, d := p.job.Job.Update, &v.Deployment
	since := d.Progress // people have had it go on since
	if p.job.Number != d.Version {
		since = latest(since, p.job.At)
	}
	if s := p.job.Steering; s != nil {
		since = latest(since, s.At)
	}
	healthy := v.Counts().Healthy
	var late []*mesh.AllocView
	var slowest time.Time
	for _, t := range p.rolls.turns {
		if t.well == 0 || t.next == nil || p.bound(t.seat) != "" {
			continue
		}
		if why := p.failedForGood(t.next); why != "" {
			p.failRoll(d, why)
			return
		}
		for _, a := range t.next.live {
			from := latest(a.At, d.Began) // it may have been there before
			if s := p.job.Steering; s != nil {
				from = latest(from, s.At)
			}
			by := from.Add(u.HealthyIn())
			if !by.After(p.view.Now) {
				late = append(late, a)
			} else if slowest.IsZero() || by.Before(slowest) {
				slowest = by
			}
		}
	}
	// So many have been healthy before, and are not any more: these are not late.
	if len(late) > d.Healthy-healthy {
		p.failRoll(d, fmt.Sprintf("%v on %s was not healthy within healthy_deadline = %v: %s",
			late[0].Seat(), p.nodeName(late[0].Node), mesh.Duration(u.HealthyIn()), p.unwell(late[0])))
		return
	}
	v.HealthyBy, v.ProgressBy = slowest, since.Add(u.ProgressIn())
	if !v.ProgressBy.After(p.view.Now) {
		p.failRoll(d, fmt.Sprintf("no further copy was healthy within progress_deadline = %v: %s",
			mesh.Duration(u.ProgressIn()), cmp.Or(p.stuck(), v.Text())))
		return
	}
	p.wakeIn(v.ProgressBy.Sub(p.view.Now))
	if !slowest.IsZero() {
		p.wakeIn(slowest.Sub(p.view.Now))
	}
}

// earlier is the earlier of two instants.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// latest is the later of two instants.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// failedForGood is why a seat gets no further copy of the version, or "".
func (p *planner) failedForGood(s *seat) string {
	if p.job.Job.Gang {
		if p.tally.failed > 0 {
			return p.tally.cause
		}
		return ""
	}
	failed := p.unanswered(s)
	if failed == nil || failed.Content != s.content || s.of != nil {
		return ""
	}
	why := p.exhausted(s, failed, p.moves(s, failed.Status.At))
	if why == "" {
		return ""
	}
	return fmt.Sprintf("%v failed on %s: %s; %s", s.Seat, p.nodeName(failed.Node), cause(failed), why)
}

// nextRoll says what is next, and has a deployment that has failed reverted.
func (p *planner) nextRoll(v *mesh.Rollout) {
	d, id := p.job.Deployment, p.job.ID()
	before := p.job.Before
	reverts := p.job.Job.Update.AutoRevert && before != nil && !mesh.SameWork(&before.Job, &p.job.Job)
	switch v.State {
	case mesh.DeploymentPaused:
		v.Next = "a person resumes it: mn deployment resume " + string(id)
	case mesh.AwaitingPromotion:
		v.Next = "a person promotes it: mn deployment promote " + string(id)
	case mesh.DeploymentFailed:
		v.Next = fmt.Sprintf("what runs stays; mn deployment rollback %s goes back", id)
		if p.rolls.order == mesh.StartFirst && v.Counts().Old > 0 {
			v.Next = fmt.Sprintf("new copies beside old ones stop, others stay; "+
				"mn deployment rollback %s goes back", id)
		}
		if before == nil {
			v.Next = "there is no version to go back to"
		}
		if reverts {
			v.Next = fmt.Sprintf("goes back to version %d", before.Number)
		}
		if reverts && d.State == mesh.DeploymentFailed && d.Coordinator != "" && p.granted {
			next := p.job.RevertOf(before, d)
			p.plan.Revert = &next
		}
	case mesh.Deploying:
		v.Next = cmp.Or(p.rolls.holds, p.nextStep(v))
		at := p.view.Now.Add(p.plan.Wake)
		fails := v.ProgressBy // and nothing is next
		if !v.HealthyBy.IsZero() {
			fails = earlier(fails, v.HealthyBy)
		}
		if p.plan.Wake > 0 && at.Before(fails) {
			v.NextAt = at
		}
	case mesh.Deployed, mesh.VersionRecorded:
	}
}

// stuck is why copies of the version are not placed although their turn has come, or "".
func (p *planner) stuck() string {
	if p.rolls.holds != "" {
		return p.rolls.holds
	}
	for _, t := range p.rolls.turns {
		if t.next == nil || t.lives || p.bound(t.seat) != "" {
			continue
		}
		for i := range p.plan.Blocked {
			if bl := &p.plan.Blocked[i]; bl.Group == t.seat.Group {
				return "there is no room: " + bl.Why()
			}
		}
		if len(t.next.stale) > 0 || t.next.busy != "" {
			continue // that comes to an end by itself
		}
		for _, w := range p.plan.Waiting {
			if w.Seat == t.seat.Seat || w.Copies > 1 && w.Group == t.seat.Group && w.Target == "" {
				return w.Reason
			}
		}
	}
	return ""
}

// nextStep is what a deployment waits for, in words.
func (p *planner) nextStep(v *mesh.Rollout) string {
	between, left := 0, 0
	for _, t := range p.rolls.turns {
		switch {
		case t.well == 0 && t.begun, p.bound(t.seat) != "":
		case t.next != nil:
			between++
		default:
			left++
		}
	}
	if between == 0 && v.Promoted {
		return "what is left of the version before stops"
	}
	text := mesh.Counted(between, "copy is", "copies are") + " to be healthy"
	if why := p.stuck(); why != "" {
		text += " (" + why + ")"
	}
	if !v.Promoted {
		return text + ", and then promoted"
	}
	if left > 0 {
		text += "; then " + mesh.Counted(min(left, v.Parallel), "further one is", "further ones are") + " replaced"
	}
	return text
}
