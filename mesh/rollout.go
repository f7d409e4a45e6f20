package mesh

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Steer is what a person does to a deployment.
type Steer string

// The verbs of steering. To go back to an earlier version is a version of the job, and so another
// deployment.
const (
	SteerPromote Steer = "promote" // its hidden copies take the place of the others
	SteerPause   Steer = "pause"   // no further step
	SteerResume  Steer = "resume"  // after a pause
	SteerFail    Steer = "fail"    // it is given up
)

// Rollout is a deployment as people see it.
type Rollout struct {
	Deployment
	Strategy UpdateStrategy `json:"strategy"`
	Order    UpdateOrder    `json:"order"`
	// OrderReason is why it is that order, if the job leaves no choice.
	OrderReason string         `json:"order_reason,omitempty"`
	Parallel    int            `json:"max_parallel"`
	Groups      []RolloutGroup `json:"groups"` // those that are new, or are no more, too
	Next        string         `json:"next,omitempty"`
	NextAt      time.Time      `json:"next_at,omitzero"` // when that is looked at again, unless news come before
	// HealthyBy is the earliest instant at which it fails for a copy that is not healthy by then,
	// ProgressBy that at which it does unless one more is healthy. Neither is set while it waits for a person.
	HealthyBy  time.Time `json:"healthy_by,omitzero"`
	ProgressBy time.Time `json:"progress_by,omitzero"`
}

// RolloutGroup counts the copies of a group that are meant to run, by what they run.
type RolloutGroup struct {
	Group   string `json:"group"`
	Wanted  int    `json:"wanted"`
	Old     int    `json:"old"`     // of another content than the version's
	Placed  int    `json:"placed"`  // of its content
	Healthy int    `json:"healthy"` // of these, healthy for as long as it takes
	Hidden  int    `json:"hidden"`  // of these, not shown before they are promoted
}

// Counts is the sum of its groups.
func (r *Rollout) Counts() RolloutGroup {
	var sum RolloutGroup
	for _, g := range r.Groups {
		sum.Wanted += g.Wanted
		sum.Old += g.Old
		sum.Placed += g.Placed
		sum.Healthy += g.Healthy
		sum.Hidden += g.Hidden
	}
	return sum
}

// Text is how far it has come, in words: "2 of 3 healthy, 1 placed, 1 old, 1 hidden".
func (r *Rollout) Text() string {
	c := r.Counts()
	text := fmt.Sprintf("%d of %d healthy", c.Healthy, c.Wanted)
	for _, part := range []struct {
		n    int
		what string
	}{{c.Placed - c.Healthy, "not healthy yet"}, {c.Old, "old"}, {c.Hidden, "hidden"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text
}

// Words are how far it has come, why, and what is next.
func (r *Rollout) Words() []string {
	words := []string{r.Text()}
	if r.Reason != "" {
		words = append(words, r.Reason)
	}
	if r.Next != "" {
		words = append(words, "next: "+r.Next)
	}
	return words
}

// UpdateText is how a new version of a job takes the place of the one that runs, in words, or "" if all
// of it is replaced at once.
func (j *Job) UpdateText() string {
	u := j.Update
	if u == nil {
		return ""
	}
	if !j.Type.Long() {
		return "the version is recorded, and the job runs anew"
	}
	order, why := j.UpdateOrder()
	var parts []string
	switch u.How() {
	case Canary:
		first := Counted(u.Canaries(), "copy of each group first", "copies of each group first")
		parts = append(parts, "canary: "+first)
	case BlueGreen:
		parts = append(parts, "blue-green: all new copies beside the old ones")
	case Rolling:
		parts = append(parts, "rolling")
	}
	hidden := ""
	if order == StartFirst {
		hidden = "hidden "
	}
	if u.Hides() && u.AutoPromote {
		parts = append(parts, hidden+"until they are healthy, and promoted then")
	} else if u.Hides() {
		parts = append(parts, hidden+"until a person promotes them")
	}
	if u.How() != BlueGreen {
		parts = append(parts, fmt.Sprintf("%d at a time", u.Parallel()))
	}
	if why != "" {
		why = ", as " + why
	}
	parts = append(parts, fmt.Sprintf("%s%s", order, why))
	if u.AutoRevert {
		parts = append(parts, "reverts when it fails")
	}
	return strings.Join(parts, "; ")
}

// Standing is what a copy is to its job's deployment.
type Standing string

// The standings. Only primary copies are shown to those who look for a service, unless they ask.
const (
	Primary    Standing = "primary"
	CanaryCopy Standing = "canary"    // of a new version, beside the old copies, not promoted yet
	Candidate  Standing = "candidate" // the same of a blue-green deployment
)

// StandingOf is the standing of a copy of the job.
func (j *JobView) StandingOf(a *Alloc) Standing {
	if j.Deployment == nil {
		return Primary
	}
	ours := a.Version >= j.Deployment.Version && j.CameFrom(a.Version, a.Hash)
	for i := range j.Veiled {
		v := &j.Veiled[i]
		if v.Number != a.Version || v.Hash != a.Hash {
			continue
		}
		if ours = slices.Contains(v.Same, a.Group); !ours {
			return Candidate
		}
	}
	switch {
	case !j.Hides() || !ours:
		return Primary
	case j.Job.Update.How() == Canary:
		return CanaryCopy
	}
	return Candidate
}

// Hides says whether what its deployment has placed is not shown yet.
func (j *JobView) Hides() bool {
	d := j.Deployment
	if d == nil || d.Fresh || d.State == Deployed || j.Promoted() || !j.Job.Update.Hides() {
		return false
	}
	order, _ := j.Job.UpdateOrder()
	return order == StartFirst
}

// Promoted says whether what its deployment has placed takes the place of what there was before.
func (j *JobView) Promoted() bool {
	d, s := j.Deployment, j.Steering
	return d == nil || d.Promoted || s != nil && s.Promoted && !d.State.Final()
}

// Begins is the deployment of a version as it begins: before is the last version that was deployed, or
// nil, and idle says that nothing of the job was meant to run.
func (v *JobVersion) Begins(before *JobVersion, idle bool) Deployment {
	d := Deployment{
		Job: JobID(v.Job.Name), Version: v.Number, Hash: v.Hash, State: Deploying, Began: v.At, Progress: v.At,
		Fresh: idle || before == nil,
	}
	if !v.Job.Type.Long() {
		d.State, d.Ended, d.Reason = VersionRecorded, v.At, "version recorded: the job runs anew"
	}
	d.Promoted = d.Fresh || !v.Job.Update.Hides()
	if before != nil {
		d.From, d.Stable = before.Number, before.Hash
		d.Promoted = d.Promoted || SameWork(&before.Job, &v.Job) // it has been seen to run
	}
	return d
}

// RevertOf is the version that goes back to the content of another, as nobody has asked for: whoever
// makes it of a deployment that has failed makes the same.
func (v *JobVersion) RevertOf(to *JobVersion, failed *Deployment) JobVersion {
	n := v.NextRun(&to.Job)
	n.Verb, n.At, n.By = Reverted(to), failed.Ended, failed.Coordinator
	n.Reason = fmt.Sprintf("the deployment of version %d has failed: %s", failed.Version, failed.Reason)
	if len(n.Reason) > ReasonMax {
		n.Reason = fmt.Sprintf("the deployment of version %d has failed", failed.Version)
	}
	return n
}
