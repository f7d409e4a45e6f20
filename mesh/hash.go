package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"mn/crdt"
)

// HashJob names the content of a job version: 16 hex digits that are equal for
// equal contents, on every machine. What is unset counts as its default.
//
// Fields that later releases add to a job must be left out of its encoding when
// they are unset (omitempty), or an upgrade would change every hash.
func HashJob(j *Job, stopped bool) string {
	return hashContent(struct {
		Job     Job  `json:"job"`
		Stopped bool `json:"stopped"`
	}{j.normal(), stopped})
}

// HashGroup names what a copy of the group runs: all that its node acts on, and
// nothing else. Two versions of a job in which it is the same need no new copy.
// Where it may run is part of it, and where it would best is not. The count is not
// either, nor what the group comes after, nor the array or the gang: a copy's own index
// and rank are what [Group.ContentOf] adds.
func HashGroup(j *Job, group string) string {
	n := j.normal()
	g, _ := n.Group(group)
	for i := range g.Tasks {
		t := &g.Tasks[i]
		t.Count, t.Array, t.After, t.AfterRule, t.AfterQuorum, t.Affinities = 1, "", nil, "", 0, nil
	}
	mode := n.Recovery.Mode // decides the defaults of restarts
	if mode.Moves() {
		mode = Auto
	}
	lease := Duration(n.Recovery.Switch())
	return hashContent(struct {
		Type    JobType        `json:"type"`
		Mode    RecoveryMode   `json:"mode"`
		Restart *RestartPolicy `json:"restart"`
		Lease   Duration       `json:"lease"`
		Timeout Duration       `json:"timeout,omitempty"`
		Pool    string         `json:"pool,omitempty"`
		Where   []Constraint   `json:"where,omitempty"`
		Payload *Payload       `json:"payload,omitempty"`
		Tasks   []Task         `json:"tasks"`
	}{n.Type, mode, n.Restart, lease, n.Timeout, n.Pool, n.Constraints, n.Payload, g.Tasks})
}

// normal is a copy of the job with its defaults filled in.
func (j *Job) normal() Job {
	n := *j
	n.Tasks = slices.Clone(j.Tasks)
	n.Defaults()
	return n
}

func hashContent(v any) string {
	b, err := crdt.Encode(v)
	if err != nil {
		panic(fmt.Sprintf("mesh: a job cannot be encoded: %v", err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
