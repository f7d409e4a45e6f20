package core

import (
	"strings"

	"mn/mesh"
)

// course is what is known of how jobs come along: their deployments, and what makes runs of them.
type course struct {
	steering map[string]mesh.Steering   // by key
	deployed map[string]mesh.Deployment // by key
	occurred map[mesh.OccurrenceID]mesh.Occurrence
	fired    map[mesh.JobID]map[mesh.JobID]mesh.Firing // by job and run
	due      map[mesh.JobID]mesh.Due
	// triggered are the jobs of which some version has a trigger of an event.
	triggered map[string]map[mesh.JobID]struct{}
	runs      map[mesh.JobID]map[mesh.JobID]struct{} // by job
	runOf     map[mesh.JobID]mesh.JobID              // by run
}

func newCourse() course {
	return course{
		steering: map[string]mesh.Steering{},
		deployed: map[string]mesh.Deployment{},
		occurred: map[mesh.OccurrenceID]mesh.Occurrence{},
		fired:    map[mesh.JobID]map[mesh.JobID]mesh.Firing{},
		due:      map[mesh.JobID]mesh.Due{},

		triggered: map[string]map[mesh.JobID]struct{}{},
		runs:      map[mesh.JobID]map[mesh.JobID]struct{}{},
		runOf:     map[mesh.JobID]mesh.JobID{},
	}
}

// versioned notes what a version of a job is triggered by, and what it is a run of.
func (c *course) versioned(v *mesh.JobVersion) {
	id := mesh.JobID(v.Job.Name)
	for i := range v.Job.Triggers {
		enter(c.triggered, v.Job.Triggers[i].Event, id)
	}
	if o := v.Job.Origin; o != nil {
		enter(c.runs, o.Job, id)
		c.runOf[id] = o.Job
	}
}

// unversioned forgets a run of which no version is left.
func (c *course) unversioned(v *mesh.JobVersion) {
	if o := v.Job.Origin; o != nil {
		id := mesh.JobID(v.Job.Name)
		delete(c.runs[o.Job], id)
		delete(c.runOf, id)
	}
}

// apply takes over a record.
func (c *course) apply(r *records, rec any) touched {
	switch v := rec.(type) {
	case *mesh.Steering:
		c.steering[mesh.KeySteering(v.Job, v.Version, v.Hash)] = *v
		r.picture.versioned(v.Job)
		return touched{job: v.Job}
	case *mesh.Deployment:
		c.deployed[mesh.KeyDeployed(v.Job, v.Version, v.Hash)] = *v
		r.picture.versioned(v.Job)
		return touched{job: v.Job}
	case *mesh.Occurrence:
		c.occurred[v.ID] = *v
		return touched{occurred: v.Event}
	case *mesh.Firing:
		if c.fired[v.Job] == nil {
			c.fired[v.Job] = map[mesh.JobID]mesh.Firing{}
		}
		c.fired[v.Job][v.Run] = *v
		return touched{job: v.Job}
	case *mesh.Due:
		c.due[v.Job] = *v
		r.picture.versioned(v.Job)
		return touched{job: v.Job}
	}
	return touched{}
}

// remove forgets the record of a deleted key.
func (c *course) remove(key string) touched {
	rest := strings.TrimPrefix(key, mesh.Kind(key))
	if mesh.Kind(key) == mesh.PrefixOccurred {
		delete(c.occurred, mesh.OccurrenceID(rest))
		return touched{}
	}
	job, run, _ := strings.Cut(rest, "/")
	delete(c.fired[mesh.JobID(job)], mesh.JobID(run))
	return touched{job: mesh.JobID(job)}
}

// deployment is that of the version of a job with that number and hash, and what people want of it.
func (c *course) deployment(id mesh.JobID, number uint64, hash string) (d *mesh.Deployment, s *mesh.Steering) {
	if is, ok := c.deployed[mesh.KeyDeployed(id, number, hash)]; ok {
		d = &is
	}
	if said, ok := c.steering[mesh.KeySteering(id, number, hash)]; ok {
		s = &said
	}
	return d, s
}
