package mesh

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/crdt"
)

// Verb is what a person did to a job. Each that changes something makes a
// version of the job.
type Verb string

// The verbs. A revert is followed by the number of the version that it took the
// content of: "revert 3", and a scale by what there is how often: "scale web 3".
const (
	VerbRun    Verb = "run"    // with this content, all of it
	VerbStop   Verb = "stop"   // for good
	VerbCancel Verb = "cancel" // for good: batch work is given up
	VerbPause  Verb = "pause"  // for now
	VerbResume Verb = "resume" // what a pause has stopped
	VerbRetry  Verb = "retry"  // what has failed
	VerbRevert Verb = "revert" // to the content of an earlier version
	VerbScale  Verb = "scale"  // to another number of copies
)

// ReasonMax bounds the reason that a person may give, in bytes.
const ReasonMax = 500

// Ancestor is a version that another one came from.
type Ancestor struct {
	Number uint64
	Hash   string
	At     time.Time
}

// Ancestor is v as those see it that come from it.
func (v *JobVersion) Ancestor() Ancestor { return Ancestor{v.Number, v.Hash, v.At} }

// Date says that the version is made now. What a person has seen of the job's copies is
// earlier than what they do about it, also if the clock is ahead of ours where it
// happened, as far as clocks may be.
func (v *JobVersion) Date(now time.Time, copies []AllocView) {
	v.At = now.UTC()
	after := func(at time.Time) {
		if at.After(v.At) && at.Sub(now) <= crdt.MaxAhead {
			v.At = at.UTC()
		}
	}
	for i := range copies {
		a := &copies[i]
		if a.State().Final() || a.State() == Backoff && v.Verb == VerbRetry {
			after(a.Status.At)
		}
		if a.Verdict != nil {
			after(a.Verdict.At)
		}
	}
}

// Next is the version that a person makes of v with a verb that leaves the
// content as it is. Whoever takes it fills in its hash, when and by whom.
//
// Pausing and resuming keep what has completed, and what the policies have
// counted. A retry keeps what has completed. A stop does nothing with either, and
// passes both on, for a retry of what was stopped. That the version was forced goes for
// what is made of it, too.
func (v *JobVersion) Next(verb Verb) JobVersion {
	n := JobVersion{
		Job: v.Job, Number: v.Number + 1, Parent: v.Hash, Verb: verb,
		Stopped: verb == VerbStop || verb == VerbCancel, Paused: verb == VerbPause,
	}
	n.Since, n.Anew, n.Forced = v.since(), v.anew(), v.Forced
	if verb == VerbRetry {
		n.Anew = 0
	}
	return n
}

// NextRun is the version that a person makes of v by running job: all of it runs
// anew, unless v is only paused and job is what it was. Of the zero version it is
// the first.
func (v *JobVersion) NextRun(job *Job) JobVersion {
	n := v.Next(VerbRun)
	n.Job, n.Forced = *job, false
	if !v.Paused || HashJob(&v.Job, false) != HashJob(job, false) {
		n.Since, n.Anew = 0, 0
	}
	return n
}

// NextScale is the version that a person makes of v by scaling it to job: it goes on
// where it was, also if it is paused. A gang begins anew, as every copy of it is told
// how many there are.
func (v *JobVersion) NextScale(job *Job, verb Verb) JobVersion {
	n := v.Next(verb)
	n.Job, n.Paused = *job, v.Paused
	if job.Gang {
		n.Since, n.Anew = 0, 0
	}
	return n
}

// Root is the number of the version that its content came with, but for how many copies it wants.
func (v *JobVersion) Root() uint64 { return v.since() }

func (v *JobVersion) since() uint64 {
	if v.Since == 0 {
		return v.Number
	}
	return v.Since
}

func (v *JobVersion) anew() uint64 {
	if v.Anew == 0 {
		return v.Number
	}
	return v.Anew
}

// Content names all that a version asks for, but not why and by whom: two that
// differ in it are not the same.
func (v *JobVersion) Content() string {
	content := HashJob(&v.Job, v.Stopped)
	cancelled := v.Verb == VerbCancel
	if !v.Paused && !cancelled && !v.Forced && v.Since == 0 && v.Anew == 0 {
		return content
	}
	return hashContent(struct {
		Content   string `json:"content"`
		Paused    bool   `json:"paused"`
		Cancelled bool   `json:"cancelled"`
		Since     uint64 `json:"since"`
		Anew      uint64 `json:"anew"`
		Forced    bool   `json:"forced,omitempty"`
	}{content, v.Paused, cancelled, v.Since, v.Anew, v.Forced})
}

// Did is what a person did to make the version, also of one that does not say.
func (v *JobVersion) Did() Verb {
	switch {
	case v.Verb != "":
		return v.Verb
	case v.Stopped:
		return VerbStop
	}
	return VerbRun
}

// Trace is the line of the version, from those that are known: the versions
// that it came from, back to the earlier of its Since and Anew.
func (v *JobVersion) Trace(byHash func(hash string) (JobVersion, bool)) []Ancestor {
	var line []Ancestor
	first := min(v.since(), v.anew())
	for at := *v; at.Number > first; {
		parent, known := byHash(at.Parent)
		if !known || parent.Number >= at.Number {
			return line
		}
		line = append(line, parent.Ancestor())
		at = parent
	}
	return line
}

// SinceWhen is the version from which on completed work counts, and whether its
// record is here.
func (j *JobView) SinceWhen() (Ancestor, bool) { return j.ancestor(j.since()) }

// AnewWhen is the version from which on failures and moves count, and whether
// its record is here.
func (j *JobView) AnewWhen() (Ancestor, bool) { return j.ancestor(j.anew()) }

func (j *JobView) ancestor(number uint64) (Ancestor, bool) {
	if number == j.Number {
		return j.Ancestor(), true
	}
	i := slices.IndexFunc(j.Line, func(a Ancestor) bool { return a.Number == number })
	if i < 0 {
		return Ancestor{}, false
	}
	return j.Line[i], true
}

// CameFrom says whether a version is the current one or of its line: a
// concurrent one of the same number is not.
func (j *JobView) CameFrom(number uint64, hash string) bool {
	a, ok := j.ancestor(number)
	return ok && a.Hash == hash
}

// FindVersion is the version of a job that a person means: by a tag, as the current
// one, by its number or, as concurrent versions have the same one, by its hash or the
// beginning of it. Of several of a number it is the one that the current one came from.
func FindVersion(history []JobVersion, job *JobView, ref string) (*JobVersion, error) {
	current := &job.JobVersion
	switch v, isTag := tagged(history, job.Tags, ref); {
	case v != nil:
		return v, nil
	case isTag:
		return nil, Faultf(Unavailable, "the version of job %q that is tagged %q is not here yet", job.ID(), ref).
			Hint("ask again, or another node")
	case ref == CurrentRef:
		return current, nil
	}
	ref = strings.ToLower(ref)
	number, err := strconv.ParseUint(ref, 10, 64)
	var found []*JobVersion
	for i := range history {
		v := &history[i]
		if err == nil && v.Number == number || len(ref) >= 4 && strings.HasPrefix(v.Hash, ref) {
			found = append(found, v)
		}
	}
	f := Faultf(NotFound, "job %q has no version %q", current.Job.Name, ref)
	if len(found) > 1 {
		f = Faultf(Invalid, "%q is the number or the beginning of the hash of several versions", ref)
		mine := lineage(history, current)
		found = slices.DeleteFunc(found, func(v *JobVersion) bool { return !mine[v.Hash] })
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, f.Hint("mn job history %s", current.Job.Name)
}

// lineage is the hashes of a version and of all that it came from.
func lineage(history []JobVersion, of *JobVersion) map[string]bool {
	parents := map[string]string{}
	for _, v := range history {
		parents[v.Hash] = v.Parent
	}
	mine := map[string]bool{}
	for hash := of.Hash; hash != "" && !mine[hash]; hash = parents[hash] {
		mine[hash] = true
	}
	return mine
}

// ScaledTo is the verb of wanting so many copies of a group.
func ScaledTo(group string, count int) Verb {
	return Verb(fmt.Sprintf("%s %s %d", VerbScale, group, count))
}

// Reverted is the verb of going back to a version.
func Reverted(to *JobVersion) Verb { return Verb(fmt.Sprintf("%s %d", VerbRevert, to.Number)) }
