package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"mn/mesh"
)

// A job may come after others: none of its copies is placed before the rule holds for
// what has become of those. What has begun goes on, whatever they do later; a new
// version, or a retry, begins anew, unless it leaves copies as they are: then the job has
// begun. A rule that cannot come true any more keeps the job
// waiting: a person may still retry what has failed.

// tried counts what others have come to.
type tried struct{ all, over, succeeded, failed, hope int }

// passage says whether a rule about what comes before lets something begin.
func (n tried) passage(rule mesh.AfterRule, quorum int) passage {
	switch ended := n.over == n.all; rule {
	case mesh.AllDone:
		return pass(ended, false)
	case mesh.OneSuccess:
		return pass(n.succeeded > 0, n.hope == 0)
	case mesh.OneDone:
		return pass(n.over > 0, false)
	case mesh.OneFailed:
		return pass(n.failed > 0, ended)
	case mesh.NoneFailed:
		return pass(ended && n.failed == 0 && n.succeeded > 0, n.failed > 0 || ended)
	case mesh.QuorumSuccess:
		return pass(n.succeeded >= quorum, n.succeeded+n.hope < quorum)
	case mesh.AllSuccess:
		return pass(n.succeeded == n.all, n.succeeded+n.hope < n.all)
	}
	return pass(n.all == 0, false)
}

// goesOn says whether a copy of a seat goes on from before the version that begins anew, or
// has ended by itself since. One that was stopped does if it was to go on elsewhere.
func (p *planner) goesOn(s *seat) bool {
	return slices.ContainsFunc(s.copies, func(a *mesh.AllocView) bool {
		goes := a.Want == mesh.WantRun && !p.worn(a) || a.Leaves || strings.HasPrefix(a.Reason, gangStops)
		return goes && a.Content == s.content && (!a.State().Final() || p.speaks(a, s, p.anew))
	})
}

// underWay says whether a version that begins anew has left the job as it was, or a part of
// it: a gang only as a whole.
func (p *planner) underWay() bool {
	if !p.job.Job.Gang {
		return slices.ContainsFunc(p.seatsAll, p.goesOn)
	}
	return !slices.ContainsFunc(p.seatsAll, func(s *seat) bool { return s.done == nil && !p.goesOn(s) })
}

// hasBegun says whether the job has begun, as of the version that begins anew.
func (p *planner) hasBegun() bool {
	ofLine := func(a mesh.AllocView) bool {
		return a.Version >= p.anew.Number && p.job.CameFrom(a.Version, a.Hash)
	}
	return slices.ContainsFunc(p.allocs, ofLine) || p.underWay()
}

// preceded is why the job may not begin yet for those that it comes after, or "".
func (p *planner) preceded() string {
	j := &p.job.Job
	if len(j.After) == 0 || p.hasBegun() {
		return ""
	}
	ids := j.Before()
	n, states := tried{all: len(ids)}, []string(nil)
	for _, id := range ids {
		status, known := p.view.Outcomes[id]
		switch {
		case !known:
			n.hope++
			states = append(states, fmt.Sprintf("%q, which is not there", id))
			continue
		case status == mesh.JobCompleted:
			n.over, n.succeeded = n.over+1, n.succeeded+1
			continue
		case status == mesh.JobFailed, status == mesh.JobCancelled, status == mesh.JobStopped:
			n.over, n.failed = n.over+1, n.failed+1
		default:
			n.hope++
		}
		is := "is"
		if status == mesh.JobFailed {
			is = "has"
		}
		states = append(states, fmt.Sprintf("%q, which %s %s", id, is, status))
	}
	rule := j.AfterRule
	if rule == "" {
		rule = mesh.AllSuccess
	}
	does := "waits for"
	switch n.passage(rule, j.AfterQuorum) {
	case open:
		return ""
	case vain:
		does = "cannot begin after"
	case shut:
	}
	text := does + " job " + few(states)
	if rule != mesh.AllSuccess {
		text += fmt.Sprintf(" (%s)", rule)
	}
	return text
}

// few are the first of some names, and how many more there are.
func few(names []string) string {
	const most = 5
	text := strings.Join(names[:min(len(names), most)], ", ")
	if n := len(names) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
