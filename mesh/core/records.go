package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mn/crdt"
	"mn/mesh"
)

// records is the replica decoded, for building views. It holds nothing that
// the replica does not.
type records struct {
	versions map[mesh.JobID]map[string]mesh.JobVersion // by key
	tags     map[mesh.JobID]map[string]mesh.Tag        // by name
	granted  map[mesh.AllocID]decision
	degraded map[mesh.AllocID]mesh.DegradedAlloc
	statuses map[mesh.AllocID]map[mesh.NodeID]mesh.Status
	nodes    map[mesh.NodeID]mesh.Node
	members  map[mesh.NodeID]mesh.Member
	tokens   map[string]mesh.Token
	away     map[mesh.NodeID]mesh.Away
	evicted  map[mesh.NodeID]mesh.Evicted
	admin    map[mesh.NodeID]mesh.Administration
	sharing  map[mesh.NodeID]mesh.Sharing
	labels   map[mesh.NodeID]mesh.Labels
	verdicts map[mesh.AllocID]mesh.Verdict
	permits  map[string]map[mesh.AllocID]mesh.Permit // by limit
	// permitted counts them by job.
	permitted map[mesh.JobID]int
	queued    map[mesh.JobID]mesh.Queued
	course    course
	picture   picture
	reads     reads

	dealings dealings
	// followers are the jobs of which some version comes after one.
	followers map[mesh.JobID]map[mesh.JobID]struct{}
	// carriers are the jobs of which some version has files.
	carriers map[mesh.JobID]struct{}
	// preemptible are the jobs of which some version is.
	preemptible map[mesh.JobID]struct{}
}

// decision is a granted Alloc with the stamp that a degraded one refers to.
type decision struct {
	mesh.Alloc
	stamp crdt.Stamp
}

func newRecords() *records {
	return &records{
		versions: map[mesh.JobID]map[string]mesh.JobVersion{},
		tags:     map[mesh.JobID]map[string]mesh.Tag{},
		granted:  map[mesh.AllocID]decision{},
		degraded: map[mesh.AllocID]mesh.DegradedAlloc{},
		statuses: map[mesh.AllocID]map[mesh.NodeID]mesh.Status{},
		nodes:    map[mesh.NodeID]mesh.Node{},
		members:  map[mesh.NodeID]mesh.Member{},
		tokens:   map[string]mesh.Token{},
		away:     map[mesh.NodeID]mesh.Away{},
		evicted:  map[mesh.NodeID]mesh.Evicted{},
		admin:    map[mesh.NodeID]mesh.Administration{},
		sharing:  map[mesh.NodeID]mesh.Sharing{},
		labels:   map[mesh.NodeID]mesh.Labels{},
		verdicts: map[mesh.AllocID]mesh.Verdict{},
		permits:  map[string]map[mesh.AllocID]mesh.Permit{},

		permitted: map[mesh.JobID]int{},
		queued:    map[mesh.JobID]mesh.Queued{},
		course:    newCourse(),
		picture:   newPicture(),
		reads:     reads{},

		dealings:    newDealings(),
		followers:   map[mesh.JobID]map[mesh.JobID]struct{}{},
		preemptible: map[mesh.JobID]struct{}{},
		carriers:    map[mesh.JobID]struct{}{},
	}
}

// touched is what an entry was about.
type touched struct {
	job   mesh.JobID
	alloc mesh.AllocID
	spec  bool // a version of the job
	nodes bool // a member or a node's record
	freed bool // it has ended, where it is about a copy

	evicted mesh.NodeID
	permit  string         // the key of one that is no more
	queued  []mesh.AllocID // that make room, by a record of what waits for it

	occurred string // the event of something that has happened
}

// version takes over a version of a job.
func (r *records) version(key string, v *mesh.JobVersion) touched {
	id := mesh.JobID(v.Job.Name)
	if r.versions[id] == nil {
		r.versions[id] = map[string]mesh.JobVersion{}
	}
	r.versions[id][key] = *v
	r.picture.versioned(id)
	r.course.versioned(v)
	r.dealings.take(&v.Job)
	if v.Job.Payload != nil {
		r.carriers[id] = struct{}{}
	}
	if v.Job.Preemptible {
		r.preemptible[id] = struct{}{}
	}
	for _, before := range v.Job.Before() {
		if r.followers[before] == nil {
			r.followers[before] = map[mesh.JobID]struct{}{}
		}
		r.followers[before][id] = struct{}{}
	}
	return touched{job: id, spec: true}
}

// unversioned forgets a version of a run.
func (r *records) unversioned(id mesh.JobID, key string) touched {
	v, known := r.versions[id][key]
	delete(r.versions[id], key)
	r.picture.versioned(id)
	if !known || len(r.versions[id]) > 0 {
		return touched{job: id}
	}
	delete(r.versions, id)
	delete(r.carriers, id)
	delete(r.preemptible, id)
	r.dealings.drop(&v.Job)
	r.course.unversioned(&v)
	for _, before := range v.Job.Before() {
		delete(r.followers[before], id)
	}
	return touched{job: id}
}

// apply takes over an entry that has passed valid, or its deletion.
func (r *records) apply(e crdt.Entry) touched {
	if e.Deleted {
		return r.remove(e.Key)
	}
	rec, known := r.reads.take(&e)
	if !known {
		var err error
		if rec, err = decode(e); err != nil {
			panic(fmt.Sprintf("core: a record that was valid is not: %v", err))
		}
	}
	switch v := rec.(type) {
	case *mesh.JobVersion:
		return r.version(e.Key, v)
	case *mesh.Tag:
		if r.tags[v.Job] == nil {
			r.tags[v.Job] = map[string]mesh.Tag{}
		}
		r.tags[v.Job][v.Name] = *v
		r.picture.versioned(v.Job)
	case *mesh.Alloc:
		r.stir(v.ID)
		r.picture.decides(v.Job, v.ID)
		r.granted[v.ID] = decision{*v, e.Stamp}
		return touched{job: v.Job, alloc: v.ID}
	case *mesh.DegradedAlloc:
		r.stir(v.ID)
		r.picture.decides(v.Job, v.ID)
		r.degraded[v.ID] = *v
		return touched{job: v.Job, alloc: v.ID}
	case *mesh.Status:
		if r.statuses[v.Alloc] == nil {
			r.statuses[v.Alloc] = map[mesh.NodeID]mesh.Status{}
		}
		before := r.statuses[v.Alloc][v.Node]
		r.statuses[v.Alloc][v.Node] = *v
		r.stir(v.Alloc)
		if onlyLeft(&before, v) {
			return touched{} // nobody decides by that
		}
		return touched{job: v.Job, freed: v.State.Final()}
	case *mesh.Node:
		return r.described(v)
	case *mesh.Member:
		r.members[v.ID] = *v
		r.picture.nodes, r.picture.members = nil, nil
		return touched{nodes: true}
	case *mesh.Token:
		r.tokens[v.ID] = *v
	case *mesh.Away:
		r.away[v.Node] = *v
	case *mesh.Administration, *mesh.Sharing, *mesh.Labels:
		return r.wanted(v)
	case *mesh.Verdict:
		r.verdicts[v.Alloc] = *v
		r.stir(v.Alloc)
		return touched{job: v.Job}
	case *mesh.Permit:
		return r.permit(v)
	case *mesh.Queued:
		r.queued[v.Job] = *v
		return touched{job: v.Job, freed: true, queued: v.Preempts} // it may be out of date when it comes
	case *mesh.Evicted:
		r.evicted[v.Node], r.picture.members = *v, nil
		return touched{nodes: true, evicted: v.Node}
	}
	return r.course.apply(r, rec)
}

// wanted takes over what people want of a node.
func (r *records) wanted(rec any) touched {
	switch v := rec.(type) {
	case *mesh.Administration:
		r.admin[v.Node] = *v
	case *mesh.Sharing:
		r.sharing[v.Node] = *v
	case *mesh.Labels:
		r.labels[v.Node] = *v
	}
	return touched{nodes: true}
}

// described takes over what a node says of itself.
func (r *records) described(v *mesh.Node) touched {
	old := r.nodes[v.ID]
	if v.Role == mesh.Witness || old.Role == mesh.Witness {
		r.picture.witnesses = nil
	}
	r.nodes[v.ID] = *v
	if brought := *v; old.ID != "" {
		if brought.Fetched = old.Fetched; sameNode(old, brought) {
			return touched{} // it only makes the node a little better for what is yet to be placed
		}
	}
	if sameNode(ownUse(old), ownUse(*v)) {
		return touched{freed: true} // others use less of it, or more
	}
	return touched{nodes: true}
}

// remove forgets the record of a deleted key. Keys of kinds that are never
// deleted need no case.
func (r *records) remove(key string) touched {
	rest := strings.TrimPrefix(key, mesh.Kind(key)) // of a key without a slash, all
	id, node, _ := strings.Cut(rest, "/")           // or a job, and a tag; or a limit, and a copy
	r.stir(mesh.AllocID(id))
	switch mesh.Kind(key) {
	case mesh.PrefixAlloc:
		t := touched{job: r.granted[mesh.AllocID(rest)].Job, alloc: mesh.AllocID(rest)}
		delete(r.granted, mesh.AllocID(rest))
		return t
	case mesh.PrefixDegraded:
		t := touched{job: r.degraded[mesh.AllocID(rest)].Job, alloc: mesh.AllocID(rest)}
		delete(r.degraded, mesh.AllocID(rest))
		return t
	case mesh.PrefixJob:
		return r.unversioned(mesh.JobID(id), key)
	case mesh.PrefixTag:
		delete(r.tags[mesh.JobID(id)], node)
		r.picture.versioned(mesh.JobID(id))
	case mesh.PrefixAway:
		delete(r.away, mesh.NodeID(rest))
	case mesh.PrefixPermit:
		r.unpermit(id, mesh.AllocID(node))
		return touched{freed: true, permit: key}
	case mesh.PrefixQueued:
		delete(r.queued, mesh.JobID(rest))
		return touched{freed: true}
	case mesh.PrefixReview:
		delete(r.verdicts, mesh.AllocID(rest))
	case mesh.PrefixOccurred, mesh.PrefixFired:
		return r.course.remove(key)
	case mesh.PrefixStatus:
		by := r.statuses[mesh.AllocID(id)]
		t := touched{job: by[mesh.NodeID(node)].Job}
		delete(by, mesh.NodeID(node))
		if len(by) == 0 {
			delete(r.statuses, mesh.AllocID(id))
		}
		return t
	}
	return touched{}
}

// decode reads the record of an entry, by the kind of its key.
func decode(e crdt.Entry) (any, error) {
	var rec any
	switch mesh.Kind(e.Key) {
	case mesh.PrefixJob:
		rec = &mesh.JobVersion{}
	case mesh.PrefixTag:
		rec = &mesh.Tag{}
	case mesh.PrefixAlloc:
		rec = &mesh.Alloc{}
	case mesh.PrefixDegraded:
		rec = &mesh.DegradedAlloc{}
	case mesh.PrefixStatus:
		rec = &mesh.Status{}
	case mesh.PrefixNode:
		rec = &mesh.Node{}
	case mesh.PrefixAway:
		rec = &mesh.Away{}
	case mesh.PrefixAdmin:
		rec = &mesh.Administration{}
	case mesh.PrefixSharing:
		rec = &mesh.Sharing{}
	case mesh.PrefixLabels:
		rec = &mesh.Labels{}
	case mesh.PrefixReview:
		rec = &mesh.Verdict{}
	case mesh.PrefixPermit:
		rec = &mesh.Permit{}
	case mesh.PrefixQueued:
		rec = &mesh.Queued{}
	case mesh.PrefixEvicted:
		rec = &mesh.Evicted{}
	case mesh.PrefixMember:
		rec = &mesh.Member{}
	case mesh.PrefixToken:
		rec = &mesh.Token{}
	case mesh.PrefixSteering:
		rec = &mesh.Steering{}
	case mesh.PrefixDeployed:
		rec = &mesh.Deployment{}
	case mesh.PrefixOccurred:
		rec = &mesh.Occurrence{}
	case mesh.PrefixFired:
		rec = &mesh.Firing{}
	case mesh.PrefixDue:
		rec = &mesh.Due{}
	default:
		return nil, nil // of a newer release: kept and passed on, not understood
	}
	if err := crdt.Decode(e.Value, rec); err != nil {
		return nil, fmt.Errorf("decode record %q: %w", e.Key, err)
	}
	return rec, nil
}

// reads are records that were decoded when their entries were looked at, for
// those that are taken over in the same step.
type reads map[crdt.Dot]read

// read is the record of an entry with that value.
type read struct {
	value []byte
	rec   any
}

// take is the record of an entry, if it was read; it is nobody else's then. What
// it was made from is the same memory, not just another write of that name.
func (r reads) take(e *crdt.Entry) (rec any, ok bool) {
	one, ok := r[e.Dot]
	if !ok || len(one.value) != len(e.Value) || len(e.Value) == 0 || &one.value[0] != &e.Value[0] {
		return nil, false
	}
	delete(r, e.Dot)
	return one.rec, true
}

// history is every version of a job, oldest first.
func (r *records) history(id mesh.JobID) []mesh.JobVersion {
	versions := slices.Collect(maps.Values(r.versions[id]))
	slices.SortFunc(versions, func(a, b mesh.JobVersion) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Hash, b.Hash))
	})
	return versions
}

// effective is the decision that stands for an allocation: the degraded one if
// it was based on the granted one that we have, else the granted one.
func (r *records) effective(id mesh.AllocID) (mesh.AllocView, bool) {
	g, isGranted := r.granted[id]
	d, isDegraded := r.degraded[id]
	switch {
	case isDegraded && d.Base == g.stamp:
		return mesh.AllocView{Alloc: d.Alloc, Degraded: true}, true
	case isGranted:
		return mesh.AllocView{Alloc: g.Alloc}, true
	}
	return mesh.AllocView{}, false
}
