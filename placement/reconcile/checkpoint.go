package reconcile

import (
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// What was saved of a task is on its node's disk, and on those of others that were asked to
// keep it. Where nothing can be had of it, as who has it is gone, or what they have is
// spoilt, the next copy waits on its node, and looks for it again and again. It is not
// counted against the job's policies, and begins as soon as there is something to go on
// from. A person may have it begin anew instead.

// resumeMax bounds of how many checkpoints of a task the next copy knows.
const resumeMax = 4

// resume is what the next copy of a seat goes on from: of each task, the latest checkpoint
// that there is, and those before it that are on other nodes, should it not be to be had. A
// new version that runs all of it again begins anew.
func (p *planner) resume(s *seat) []mesh.Checkpoint {
	var list []mesh.Checkpoint
	for i := range s.group.Tasks {
		if t := &s.group.Tasks[i]; t.Checkpoint != nil {
			list = append(list, p.resumeTask(s, t.Name)...)
		}
	}
	return list
}

// Resume is what a copy that was planned goes on from by what is known now: since then more may
// have been saved, or come to others.
func Resume(v *mesh.View, job *mesh.JobView, a *mesh.Alloc) []mesh.Checkpoint {
	p := newPlanner(v, job, nil, true)
	s := &seat{Seat: a.Seat(), content: a.Content, copies: p.copies[a.Seat()]}
	s.group, _ = job.Job.Group(a.Group)
	return p.resume(s)
}

func (p *planner) resumeTask(s *seat, task string) []mesh.Checkpoint {
	var all []*mesh.Checkpoint
	for _, a := range s.copies {
		for _, c := range p.saved(a, task) {
			if p.counts(a, s, c) {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *mesh.Checkpoint) int { return b.Compare(a) })
	var list []mesh.Checkpoint
	on := map[mesh.NodeID]bool{}
	for _, c := range all {
		more := len(list) == 0 || c.Tree == ""
		for _, n := range c.Nodes {
			more = more || !on[n]
			on[n] = true
		}
		if more {
			list = append(list, *c)
		}
		if c.Tree == "" || len(list) == resumeMax {
			break
		}
	}
	return list
}

// counts says whether what was saved of a copy is of the work that is to be done: of the
// version that began it or one since, or later than that if the copy was left to run.
func (p *planner) counts(a *mesh.AllocView, s *seat, c *mesh.Checkpoint) bool {
	of := a.Version >= p.since.Number && p.job.CameFrom(a.Version, a.Hash)
	return a.Content == s.content && (of || c.At.After(p.since.At))
}

// saved are the checkpoints of a task that a copy has made, or was to go on from; after
// those comes the word of a person that it begins anew.
func (p *planner) saved(a *mesh.AllocView, task string) []*mesh.Checkpoint {
	var list []*mesh.Checkpoint
	for i := range a.Resume {
		if c := &a.Resume[i]; c.Task == task {
			list = append(list, c)
		}
	}
	t := taskOf(a.Status, task)
	if t == nil {
		return list
	}
	list = append(list, t.Saved()...)
	v := p.restoreWord(a, t)
	if failed := p.word(a, mesh.ReviewFailed); failed != nil && t.State == mesh.Failed && !t.Unrestored.IsZero() {
		v = failed // it is unsafe, and does not wait
	}
	if v != nil && v.Approve && len(list) > 0 {
		last := slices.MaxFunc(list, (*mesh.Checkpoint).Compare)
		list = append(list, &mesh.Checkpoint{Task: task, Seq: last.Seq + 1, At: v.At})
	}
	return list
}

func taskOf(s *mesh.Status, name string) *mesh.TaskStatus {
	if s != nil {
		for i := range s.Tasks {
			if s.Tasks[i].Name == name {
				return &s.Tasks[i]
			}
		}
	}
	return nil
}

// unrestored is the task of a copy that waits for what was saved of it, or nil. It does so,
// too, while its node looks for that once more.
func unrestored(a *mesh.AllocView) *mesh.TaskStatus {
	if a.State() != mesh.Backoff && a.State() != mesh.Starting {
		return nil
	}
	for _, t := range a.Status.Tasks {
		if !t.Unrestored.IsZero() && !t.State.Final() {
			return &t
		}
	}
	return nil
}

// restoreWord is what a person has said of a task that waits for what was saved of it, since
// it does; nil if nothing.
func (p *planner) restoreWord(a *mesh.AllocView, t *mesh.TaskStatus) *mesh.Verdict {
	v := p.word(a, mesh.ReviewRestore)
	if v == nil || t.Unrestored.IsZero() || !v.At.After(t.Unrestored) {
		return nil
	}
	return v
}

// beginsAnew is a person's word that a copy is not to wait any longer for what was saved
// of it, or nil.
func (p *planner) beginsAnew(a *mesh.AllocView) *mesh.Verdict {
	if t := unrestored(a); t != nil {
		if v := p.restoreWord(a, t); v != nil && v.Approve {
			return v
		}
	}
	return nil
}

// asksAfter is for how long a copy looks for what was saved of it until a person is asked:
// whoever has it may only be slow to come back.
const asksAfter = 20 * time.Second

// asksAnew notes that a copy waits for what was saved of it, unless a person has said that
// it is to wait, and says whether it does.
func (p *planner) asksAnew(a *mesh.AllocView) bool {
	t := unrestored(a)
	if t == nil || p.restoreWord(a, t) != nil {
		return false
	}
	if left := min(asksAfter-p.view.Now.Sub(t.Unrestored), asksAfter); left > 0 {
		p.wakeIn(left)
		return false
	}
	p.review(a, mesh.ReviewRestore, t.Unrestored, fmt.Sprintf("task %q waits: %s", t.Name, t.Reason))
	return true
}

// furthest is the copy whose tasks have come furthest, by their checkpoints: by those of the
// first task in which two differ. Of equals it is the first.
func (p *planner) furthest(s *seat, copies []*mesh.AllocView) *mesh.AllocView {
	latest := func(a *mesh.AllocView, task string) *mesh.Checkpoint {
		if list := p.saved(a, task); len(list) > 0 {
			return slices.MaxFunc(list, (*mesh.Checkpoint).Compare)
		}
		return nil
	}
	best := copies[0]
	for _, a := range copies[1:] {
		for i := range s.group.Tasks {
			mine, other := latest(a, s.group.Tasks[i].Name), latest(best, s.group.Tasks[i].Name)
			if mine.Later(other) {
				best = a
			}
			if mine.Later(other) || other.Later(mine) {
				break
			}
		}
	}
	return best
}
