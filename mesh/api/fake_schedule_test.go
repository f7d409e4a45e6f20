package api

import (
	"context"

	"mn/mesh"
)

func (f *fake) Firings(_ context.Context, id mesh.JobID) ([]Fired, error) {
	f.asked = append(f.asked, id)
	return []Fired{
		{Firing: mesh.Firing{
			Job: id, Run: "nightly-20261123t0800z", Result: mesh.FiringStarted, Coordinator: "bbbb2222", At: monday,
			Origin: mesh.Origin{Job: id, Cause: mesh.CauseTime, Due: monday.Add(-3600e9)},
		}, Fence: fenceOf(1, 7)},
		{Firing: mesh.Firing{
			Job: id, Run: "nightly-20261123t0900z", Result: mesh.FiringSkipped, Reason: "busy", Coordinator: "gone",
			At: monday, Times: 3, Origin: mesh.Origin{Job: id, Cause: mesh.CauseTime, Due: monday},
		}},
	}, f.fault
}

func (f *fake) RunNow(_ context.Context, r RunNowRequest) (RunMade, error) {
	f.asked = append(f.asked, r)
	return RunMade{Job: r.Job, Run: r.Job + "-abc", Changed: r.ID != "again"}, f.fault
}

func (f *fake) Emit(_ context.Context, o mesh.Occurrence) (Emitted, error) {
	f.asked = append(f.asked, o)
	return Emitted{ID: "id1", Event: o.Event, Changed: o.ID != "again"}, f.fault
}

func (f *fake) Occurrences(context.Context) ([]mesh.Occurrence, error) {
	return []mesh.Occurrence{
		{ID: "old", Event: "uploaded", By: "aaaa1111", At: monday.Add(-3600e9)},
		{ID: "new", Event: "uploaded", By: "bbbb2222", At: monday, Payload: []byte(`{"path":"/d/x"}`)},
	}, f.fault
}
