package core

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"mn/mesh"
)

// picture is the records put together as views show them, job by job. What is
// about a job is put together anew only when somebody looks at it after a record
// of it has changed. Lists handed out are never changed.
type picture struct {
	heads  map[mesh.JobID]*mesh.JobView             // nil: it has no version that stands
	jobs   []mesh.JobView                           // by name; nil: to be made
	ids    map[mesh.JobID]map[mesh.AllocID]struct{} // decisions, by the jobs that they name
	allocs map[mesh.JobID][]mesh.AllocView          // by group, index, generation, id
	stale  map[mesh.JobID]map[mesh.AllocID]struct{} // which of allocs are to be made; nil: all of the job
	used   map[mesh.NodeID]mesh.Usage               // by all that is in allocs and has not ended
	holds  map[mesh.NodeID]mesh.Holding             // of them
	nodes  []mesh.NodeID                            // of the members, sorted; nil: to be made
	// members are those of them that were not evicted, in that order; nil: to be made.
	members []mesh.Member
	// witnesses are the nodes of that role, sorted; nil: to be made.
	witnesses []mesh.NodeID
}

func newPicture() picture {
	return picture{
		heads:  map[mesh.JobID]*mesh.JobView{},
		ids:    map[mesh.JobID]map[mesh.AllocID]struct{}{},
		allocs: map[mesh.JobID][]mesh.AllocView{},
		stale:  map[mesh.JobID]map[mesh.AllocID]struct{}{},
		used:   map[mesh.NodeID]mesh.Usage{},
		holds:  map[mesh.NodeID]mesh.Holding{},
	}
}

// decides notes that a decision about a job is about to be there, or to change.
func (p *picture) decides(job mesh.JobID, id mesh.AllocID) {
	if p.ids[job] == nil {
		p.ids[job] = map[mesh.AllocID]struct{}{}
	}
	p.ids[job][id] = struct{}{}
	p.stir(job, id)
}

// stir notes that one of a job's allocations is to be made anew.
func (p *picture) stir(job mesh.JobID, id mesh.AllocID) {
	ids, stale := p.stale[job]
	switch {
	case !stale:
		p.stale[job] = map[mesh.AllocID]struct{}{id: {}}
	case ids != nil:
		ids[id] = struct{}{}
	}
}

// versioned notes that the versions of a job, or their tags, have changed.
func (p *picture) versioned(id mesh.JobID) {
	delete(p.heads, id)
	p.jobs = nil
	if p.ids[id] != nil {
		p.stale[id] = nil // copies may have been placed for it
	}
}

// stir marks the jobs that the decisions about an allocation name.
func (r *records) stir(id mesh.AllocID) {
	if g, ok := r.granted[id]; ok {
		r.picture.stir(g.Job, id)
	}
	if d, ok := r.degraded[id]; ok {
		r.picture.stir(d.Job, id)
	}
}

// jobs are the jobs with their current versions, by name.
func (r *records) jobs() []mesh.JobView {
	if r.picture.jobs != nil {
		return r.picture.jobs
	}
	jobs := make([]mesh.JobView, 0, len(r.versions))
	for _, id := range slices.Sorted(maps.Keys(r.versions)) {
		if j, ok := r.job(id); ok {
			jobs = append(jobs, j)
		}
	}
	r.picture.jobs = jobs
	return jobs
}

// job is the current version of a job: of those that no other replaces, the
// one that wins. The others are conflicts.
func (r *records) job(id mesh.JobID) (mesh.JobView, bool) {
	head, known := r.picture.heads[id]
	if !known {
		head = r.head(id)
		if r.versions[id] != nil {
			r.picture.heads[id] = head
		}
	}
	if head == nil {
		return mesh.JobView{}, false
	}
	return *head, true
}

// head finds the current version of a job.
func (r *records) head(id mesh.JobID) *mesh.JobView {
	replaced := map[string]bool{}
	for _, v := range r.versions[id] {
		replaced[v.Parent] = true
	}
	var heads []mesh.JobVersion
	for _, key := range slices.Sorted(maps.Keys(r.versions[id])) {
		if v := r.versions[id][key]; !replaced[v.Hash] {
			heads = append(heads, v)
		}
	}
	if len(heads) == 0 {
		return nil
	}
	slices.SortStableFunc(heads, func(a, b mesh.JobVersion) int {
		switch {
		case a.Wins(&b):
			return -1
		case b.Wins(&a):
			return 1
		}
		return 0
	})
	line := heads[0].Trace(func(hash string) (mesh.JobVersion, bool) {
		for _, v := range r.versions[id] {
			if v.Hash == hash {
				return v, true
			}
		}
		return mesh.JobVersion{}, false
	})
	view := &mesh.JobView{JobVersion: heads[0], Conflicts: heads[1:], Line: line, Tags: r.tagsOf(id)}
	if view.Job.Update != nil {
		courses := r.courses(id)
		courses.Fill(view)
	}
	if d, ok := r.course.due[id]; ok {
		view.Due = &d
	}
	view.Scheduled = r.scheduled(id, &view.JobVersion)
	return view
}

// scheduled is since when a job is due as it is: what is due, and whether it is stopped, is the same
// from the version of that time on. A pause changes neither.
func (r *records) scheduled(id mesh.JobID, v *mesh.JobVersion) time.Time {
	if !v.Job.Template() {
		return v.At
	}
	what := v.Job.WhenDue()
	for v.Parent != "" {
		before, ok := r.versions[id][mesh.KeyJob(id, v.Number-1, v.Parent)]
		if !ok || before.Stopped || before.Job.WhenDue() != what {
			break
		}
		v = &before
	}
	return v.At
}

// allocs are the effective decisions with their statuses: by job, group, index,
// generation and id.
func (r *records) allocs() []mesh.AllocView {
	r.refresh()
	n := 0
	for _, list := range r.picture.allocs {
		n += len(list)
	}
	all := make([]mesh.AllocView, 0, n)
	for _, job := range slices.Sorted(maps.Keys(r.picture.allocs)) {
		all = append(all, r.picture.allocs[job]...)
	}
	return all
}

// allocsOf are those of one job.
func (r *records) allocsOf(job mesh.JobID) []mesh.AllocView {
	if _, stale := r.picture.stale[job]; stale {
		r.redraw(job)
	}
	return r.picture.allocs[job]
}

// used is what the allocations use of each node that have not ended.
func (r *records) used() map[mesh.NodeID]mesh.Usage {
	r.refresh()
	return r.picture.used
}

func (r *records) refresh() {
	for job := range r.picture.stale {
		r.redraw(job)
	}
}

// redraw puts together the allocations of a job: those that have changed, among the others.
func (r *records) redraw(job mesh.JobID) {
	p := &r.picture
	ids, changed := p.ids[job], p.stale[job]
	some := changed != nil
	if !some {
		changed = ids
	}
	fresh := r.drawn(job, changed)
	list := make([]mesh.AllocView, 0, len(p.allocs[job])+len(fresh))
	for i := range p.allocs[job] {
		a := &p.allocs[job][i]
		if _, is := changed[a.ID]; is || !some {
			p.use(a, mesh.Usage.Without, -1)
			continue
		}
		n := 0
		for ; n < len(fresh) && inTurn(fresh[n], *a) < 0; n++ {
		}
		list = append(append(list, fresh[:n]...), *a)
		fresh = fresh[n:]
	}
	list = append(list, fresh...)
	for i := range list {
		if _, is := changed[list[i].ID]; is || !some {
			p.use(&list[i], mesh.Usage.With, 1)
		}
	}
	p.allocs[job] = list
	if len(ids) == 0 {
		delete(p.ids, job)
		delete(p.allocs, job)
	}
	delete(p.stale, job)
}

// drawn are some allocations of a job as they are now. What is none of the job any more is
// forgotten.
func (r *records) drawn(job mesh.JobID, ids map[mesh.AllocID]struct{}) []mesh.AllocView {
	placed := map[string]*mesh.Job{} // by the hash of the version
	head, known := r.job(job)
	list := make([]mesh.AllocView, 0, len(ids))
	for id := range ids {
		a, ok := r.effective(id)
		if ok && a.Job == job {
			if s, ok := r.statuses[id][a.Node]; ok {
				a.Status = &s
			}
			if v, ok := r.verdicts[id]; ok {
				a.Verdict = &v
			}
			if !a.State().Final() {
				a.Placed = r.placed(&a.Alloc, placed)
			}
			if known {
				a.Standing = head.StandingOf(&a.Alloc)
			}
			list = append(list, a)
		} else if r.granted[id].Job != job && r.degraded[id].Job != job {
			delete(r.picture.ids[job], id) // it was forgotten
		}
	}
	slices.SortFunc(list, inTurn)
	return list
}

// inTurn orders the allocations of a job: by group, index, generation and id.
func inTurn(a, b mesh.AllocView) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Index, b.Index),
		cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.ID, b.ID))
}

// placed is the job as of the version that an allocation was placed for, or nil. What was
// found is kept in known.
func (r *records) placed(a *mesh.Alloc, known map[string]*mesh.Job) *mesh.Job {
	job, ok := known[a.Hash]
	if !ok {
		if v, here := r.versions[a.Job][mesh.KeyJob(a.Job, a.Version, a.Hash)]; here {
			job = &v.Job
		}
		known[a.Hash] = job
	}
	return job
}

// use counts what an allocation uses, or takes it out of the count.
func (p *picture) use(a *mesh.AllocView, op func(mesh.Usage, *mesh.Alloc) mesh.Usage, n int) {
	if a.State().Final() {
		return
	}
	used := op(p.used[a.Node], &a.Alloc)
	p.used[a.Node] = used
	if used.IsZero() {
		delete(p.used, a.Node)
	}
	holds := p.holds[a.Node]
	if a.Target != "" {
		holds.Bound += n
	} else {
		holds.Free += n
	}
	p.holds[a.Node] = holds
	if holds == (mesh.Holding{}) {
		delete(p.holds, a.Node)
	}
}

// memberIDs are the ids of the members, sorted.
func (r *records) memberIDs() []mesh.NodeID {
	if r.picture.nodes == nil {
		r.picture.nodes = slices.Sorted(maps.Keys(r.members))
	}
	return r.picture.nodes
}

// admitted are the members that were not evicted, by id.
func (r *records) admitted() []mesh.Member {
	if r.picture.members == nil {
		for _, id := range r.memberIDs() {
			if _, evicted := r.evicted[id]; !evicted {
				r.picture.members = append(r.picture.members, r.members[id])
			}
		}
	}
	return r.picture.members
}

// witnesses are the nodes that say that they are, sorted.
func (r *records) witnesses() []mesh.NodeID {
	if r.picture.witnesses == nil {
		r.picture.witnesses = []mesh.NodeID{}
		for id, n := range r.nodes {
			if n.Role == mesh.Witness {
				r.picture.witnesses = append(r.picture.witnesses, id)
			}
		}
		slices.Sort(r.picture.witnesses)
	}
	return r.picture.witnesses
}
