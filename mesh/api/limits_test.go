package api

import (
	"slices"
	"testing"

	"mn/mesh"
)

// TestLimitsAreListedByJob: of jobs that name them, and of those that still have permits.
func TestLimitsAreListedByJob(t *testing.T) {
	f := newFake()
	if rows := (picture{f.snap}).limits(); rows == nil || len(rows) != 0 {
		t.Errorf("got %v, want an empty list", rows)
	}
	for i, limit := range map[mesh.JobID]int{"sum": 2, "web": 3} {
		f.snap.View.Job(i).Job.Limit = &mesh.SharedLimit{Key: "storage", Max: limit}
	}
	for i := range f.snap.View.Jobs {
		if f.snap.View.Jobs[i].ID() == "web" {
			f.snap.Outlooks[i].Limited = 4
		} else {
			f.snap.Outlooks[i].Status = mesh.JobCompleted
		}
	}
	f.snap.View.Permits = []mesh.Permit{
		{Key: "licence", Job: "web", Alloc: "web00001"}, // a version before named it
		{Key: "storage", Job: "web", Alloc: "web00002"},
		{Key: "storage", Job: "web", Alloc: "web00003"},
	}
	want := []Limit{
		{Key: "licence", Job: "web", Held: 1},
		{Key: "storage", Job: "web", Max: 3, Held: 2, Waiting: 4},
	}
	if rows := (picture{f.snap}).limits(); !slices.Equal(rows, want) {
		t.Errorf("got %+v, want %+v", rows, want)
	}
}
