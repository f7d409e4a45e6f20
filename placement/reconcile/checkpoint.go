package reconcile

import "mn/mesh"

// resume is what the next copy of a seat goes on from: the latest checkpoint of each task
// that there is. A new version that runs all of it again begins anew.
func (p *planner) resume(s *seat) []mesh.Checkpoint {
	var list []mesh.Checkpoint
	for i := range s.group.Tasks {
		t := &s.group.Tasks[i]
		if t.Checkpoint == nil {
			continue
		}
		var latest *mesh.Checkpoint
		for _, a := range s.copies {
			if c := saved(a, t.Name); c.Later(latest) && p.counts(a, s, c) {
				latest = c
			}
		}
		if latest != nil {
			list = append(list, *latest)
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

// saved is the latest checkpoint of a task that a copy has made, or was to go on from;
// nil if there is none.
func saved(a *mesh.AllocView, task string) *mesh.Checkpoint {
	var latest *mesh.Checkpoint
	for i := range a.Resume {
		if c := &a.Resume[i]; c.Task == task && c.Later(latest) {
			latest = c
		}
	}
	if a.Status == nil {
		return latest
	}
	for i := range a.Status.Tasks {
		if t := &a.Status.Tasks[i]; t.Name == task && t.Checkpoint.Later(latest) {
			latest = t.Checkpoint
		}
	}
	return latest
}

// furthest is the copy whose tasks have come furthest, by their checkpoints: by those of the
// first task in which two differ. Of equals it is the first.
func furthest(s *seat, copies []*mesh.AllocView) *mesh.AllocView {
	best := copies[0]
	for _, a := range copies[1:] {
		for i := range s.group.Tasks {
			mine, other := saved(a, s.group.Tasks[i].Name), saved(best, s.group.Tasks[i].Name)
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
