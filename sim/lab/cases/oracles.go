package cases

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// What must hold after each case, by the names of the invariants.
const (
	convergeMax = 30 * time.Second // I4: from the last fault
	settleMax   = 60 * time.Second // I6
	steadyFor   = 2 * time.Second  // in which nothing changes any more
)

// always asks the oracles that hold in every case.
func (s *scene) always() {
	s.converged()
	s.settled()
	s.takesWork()
	s.steady()
	if s.ctx.Err() != nil {
		s.fail("time", "the case has not ended in time, so nobody can be asked what is there")
		return
	}
	s.durable()
	s.notResurrected()
	s.never2()
	s.tokensGrow()
	s.healthy()
	if _, err := s.watcher.Gap(); err != nil {
		s.fail("lab", "watch the process table: %v", err)
	}
}

// running are the nodes whose agents run.
func (s *scene) running() []*lab.Node { return s.lab.Running() }

// digests are the sums of what each node has, as text, and whether all agree.
func (s *scene) digests() (same bool, text string) {
	same = true
	var first string
	for _, n := range s.running() {
		d, err := ask(s, n.Client().Digest)
		sum := cmp.Or(d.Digest, fmt.Sprint(err))
		if len(d.Waiting) > 0 {
			sum += fmt.Sprintf(" and keeps aside %v", d.Waiting)
		}
		first = cmp.Or(first, sum)
		same = same && err == nil && sum == first && len(d.Waiting) == 0
		text += fmt.Sprintf("%s %s (%d entries); ", n.Name, sum[:min(len(sum), 100)], d.Entries)
	}
	return same, text
}

// converged is I4: all that run have the same, soon after the last fault.
func (s *scene) converged() {
	left := s.healed + convergeMax - watch.Now()
	if _, ok := s.within(left, "I4 convergence: digests are equal", s.digests); ok {
		s.took("converged", watch.Now()-s.healed)
	}
}

// settled is I6: what people want is what runs, and all say so.
func (s *scene) settled() {
	left := s.healed + settleMax - watch.Now()
	if _, ok := s.within(left, "I6 liveness: what is wanted runs", s.wantedRuns); ok {
		s.took("settled", watch.Now()-s.healed)
	}
}

// wantedRuns compares what each node says with what the process table does.
func (s *scene) wantedRuns() (ok bool, missing string) {
	for _, n := range s.running() {
		jobs, err := ask(s, n.Client().Jobs)
		if err != nil {
			return false, fmt.Sprintf("%s: %v", n.Name, err)
		}
		for _, j := range jobs {
			if text := s.asWanted(n, j); text != "" {
				return false, fmt.Sprintf("%s: %q: %s", n.Name, j.Name, text)
			}
		}
	}
	return true, ""
}

// asWanted is what is wrong with a job, or nothing.
func (s *scene) asWanted(n *lab.Node, j api.JobRow) string {
	live := s.live(j.Name)
	switch j.Status {
	case mesh.JobStopped, mesh.JobCompleted:
		if len(live) > 0 {
			return fmt.Sprintf("is %s, but there runs %s", j.Status, describe(live))
		}
	case mesh.JobRunning:
		if len(live) != j.Count || j.Running != j.Count {
			return fmt.Sprintf("%d of %d run, it says %d: %s; %s", len(live), j.Count, j.Running,
				describe(live), s.reason(n, j.Name))
		}
	case mesh.JobFailed, mesh.JobPending:
		return fmt.Sprintf("is %s: %s", j.Status, s.reason(n, j.Name))
	}
	return ""
}

// reason is why a job is as it is, as a node says.
func (s *scene) reason(n *lab.Node, job string) string {
	j, err := ask(s, func(ctx context.Context) (api.Job, error) { return n.Client().Job(ctx, mesh.JobID(job)) })
	if err != nil {
		return err.Error()
	}
	text := j.Reason
	for _, a := range j.Allocations {
		text += fmt.Sprintf("; [%d] %s on %s %s/%s (%s)", a.Index, a.ID[:8], a.Node, a.Status, a.Want, a.Reason)
	}
	return text
}

// newJobs are enough for each node to coordinate some of them.
const newJobs = 20

// takesWork is the other half of I6: whoever is asked has new work done. The
// jobs are of many slots, so that it takes every coordinator.
func (s *scene) takesWork() {
	s.newWork("after", s.running())
}

// newWork submits jobs to some nodes, and waits until the first of them calls all
// of them completed.
func (s *scene) newWork(name string, nodes []*lab.Node) {
	var jobs []string
	for i := range newJobs {
		job := s.batch(fmt.Sprintf("%s-%d", name, i), 1, 50*time.Millisecond)
		s.must(s.submit(nodes[i%len(nodes)], job))
		jobs = append(jobs, job.Name)
	}
	took, ok := s.within(startMax, "I6 liveness: new work is done", func() (bool, string) {
		rows, err := ask(s, nodes[0].Client().Jobs)
		if err != nil {
			return false, err.Error()
		}
		var missing []string
		for _, row := range rows {
			if slices.Contains(jobs, row.Name) && row.Status != mesh.JobCompleted {
				why := s.reason(nodes[0], row.Name)
				missing = append(missing, fmt.Sprintf("%s is %s: %s", row.Name, row.Status, why))
			}
		}
		for _, job := range jobs {
			if len(s.live(job)) > 0 { // else what follows could take its end for a disturbance
				missing = append(missing, job+" has not left the process table")
			}
		}
		return len(missing) == 0 && len(rows) >= len(jobs), strings.Join(missing, "; ")
	})
	if ok {
		s.took("new work done", took)
	}
}

// steady is the rest of I4 and I6: once it is so, it stays so.
func (s *scene) steady() {
	s.within(convergeMax, "I4 convergence: digests are equal after new work", s.digests)
	since := watch.Now()
	s.pass(steadyFor)
	// The end of a task's log is kept anew now and then: what is on its way just now arrives.
	s.within(convergeMax, "I4 convergence: digests that were equal are so again", s.digests)
	s.undisturbed(since, nil)
}

// durable is I3: what was acknowledged is there, on all.
func (s *scene) durable() {
	byJob := s.ledger.kept()
	acked, refused := s.ledger.counts()
	s.measure("acked", "%d", acked)
	if refused > 0 {
		s.measure("refused", "%d", refused)
	}
	for id, acks := range byJob {
		for _, n := range s.running() {
			history, err := ask(s, func(ctx context.Context) ([]api.JobVersion, error) {
				return n.Client().History(ctx, id)
			})
			if err != nil {
				s.fail("I3 durability", "%s does not know %q, of which %d versions were acknowledged: %v",
					n.Name, id, len(acks), err)
				continue
			}
			for _, a := range acks {
				there := slices.ContainsFunc(history, func(v api.JobVersion) bool {
					return v.Number == a.version && v.Hash == a.hash
				})
				if !there {
					s.fail("I3 durability", "%s lacks version %d of %q, which %s has acknowledged",
						n.Name, a.version, id, a.node)
				}
			}
		}
	}
}

// notResurrected is I5: what was stopped stays so.
func (s *scene) notResurrected() {
	for _, id := range s.ledger.stopped() {
		if live := s.live(string(id)); len(live) > 0 {
			s.fail("I5 resurrection", "%q was stopped, and there runs %s", id, describe(live))
		}
		for _, n := range s.running() {
			if j := s.job(n, string(id)); j.Status != mesh.JobStopped {
				s.fail("I5 resurrection", "%q was stopped, and is %s to %s", id, j.Status, n.Name)
			}
		}
	}
}

// never2 is I1: no index of an exclusive job ever ran twice at once, but while
// a host was frozen.
func (s *scene) never2() {
	var lives []watch.Life
	for _, l := range s.watcher.Lives(s.dir) {
		if s.exclusive[l.Job] {
			lives = append(lives, l)
		}
	}
	for _, o := range watch.Overlaps(lives) {
		excused := slices.ContainsFunc(s.allowed, func(w window) bool { return o.From >= w.from && o.To <= w.to })
		if !excused {
			s.fail("I1 exclusivity", "%v", o)
		}
	}
	s.measure("exclusive runs", "%d", len(lives))
}

// tokensGrow is I2: whoever the tasks write to has never seen a lower fence
// after a higher one.
func (s *scene) tokensGrow() {
	tokens, err := s.sink.Tokens()
	s.must(err)
	tokens = slices.DeleteFunc(tokens, func(t watch.Token) bool { return !s.exclusive[t.Job] })
	for _, pair := range watch.Backward(tokens) {
		if !slices.ContainsFunc(s.allowed, func(w window) bool { return pair[1].At >= w.from && pair[1].At <= w.to }) {
			s.fail("I2 tokens", "%+v came after %+v", pair[1], pair[0])
		}
	}
	s.measure("tokens", "%d", len(tokens))
}

// honest is I12: soon after nodes went out of sight, a node calls them so, and
// says of no copy on them that it runs.
func (s *scene) honest(asked *lab.Node, gone ...*lab.Node) {
	names := names(gone)
	s.within(noticeMax, fmt.Sprintf("I12 honesty: %s says that %s is out of sight", asked.Name,
		strings.Join(names, ", ")), func() (bool, string) {
		var nodes []api.Node
		if err := s.mnJSON(asked, &nodes, "node", "ls"); err != nil {
			return false, err.Error()
		}
		for _, n := range nodes {
			if among(n.Name, names) && n.Status == mesh.Alive {
				return false, n.Name + " is alive, it says"
			}
		}
		var allocs []api.Alloc
		if err := s.mnJSON(asked, &allocs, "alloc", "ls"); err != nil {
			return false, err.Error()
		}
		for _, a := range allocs {
			if among(a.Node, names) && a.Status == string(mesh.Running) {
				return false, fmt.Sprintf("%s[%d] on %s runs, it says", a.Job, a.Index, a.Node)
			}
		}
		return true, ""
	})
}

// mnJSON runs a command of mn and reads what it says. A command that has not
// ended in time is a failure of its own.
func (s *scene) mnJSON(n *lab.Node, out any, args ...string) error {
	ctx, cancel := context.WithTimeout(s.ctx, answerMax)
	defer cancel()
	text, err := n.Mn(ctx, append(args, "--json")...)
	if ctx.Err() != nil {
		s.fail("I12 honesty", "mn %s on %s did not end within %v", strings.Join(args, " "), n.Name, answerMax)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), out)
}
