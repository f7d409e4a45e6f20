// Package reconcile says what should be done next about a job: which copies to
// place, which to stop, and when to look again.
package reconcile

import "mn/mesh"

// Job is the difference between what a job should have running and what it has,
// as a plan. It depends on nothing but its arguments.
//
// Pending are the placements of this job that are on their way; what they use
// is counted in the view already. Granted says whether the caller's right to
// decide was granted by voters: without it the plan is bolder or meeker, as the
// job's on_partition has chosen.
func Job(v *mesh.View, job *mesh.JobView, pending []mesh.Alloc, granted bool) Plan {
	return Plan{Job: job.ID(), Version: job.Number, Granted: granted}
}
