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
	if n.Pool == DefaultPool {
		n.Pool = ""
	}
	n.Constraints = usual(n.Constraints)
	for i := range n.Tasks {
		t := &n.Tasks[i]
		t.Constraints = usual(t.Constraints)
		t.Ports, t.Devices = slices.Clone(t.Ports), slices.Clone(t.Devices)
		for i := range t.Ports {
			unset(&t.Ports[i].Protocol, ProtocolTCP)
		}
		t.Templates = slices.Clone(t.Templates)
		for i := range t.Templates {
			unset(&t.Templates[i].Mode, templateMode)
			unset(&t.Templates[i].OnChange, ChangeRestart)
			unset(&t.Templates[i].Signal, DefaultOnSignal)
		}
		for i := range t.Devices {
			unset(&t.Devices[i].Kind, GPU)
			unset(&t.Devices[i].Count, 1)
			unset(&t.Devices[i].MemoryRule, AtLeast)
			unset(&t.Devices[i].APIRule, AtLeast)
		}
	}
	return n
}

// usual is constraints in which what would be meant anyway is not said.
func usual(all []Constraint) []Constraint {
	all = slices.Clone(all)
	for i := range all {
		unset(&all[i].Operator, Equal)
	}
	return all
}

// unset takes away what would be meant anyway.
func unset[T comparable](of *T, usual T) {
	var zero T
	if *of == usual {
		*of = zero
	}
}

func hashContent(v any) string {
	b, err := crdt.Encode(v)
	if err != nil {
		panic(fmt.Sprintf("mesh: a job cannot be encoded: %v", err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
