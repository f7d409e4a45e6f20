package main

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// serving is a look at a service whose only copy runs, after some restarts.
func serving(restarts int) api.Job {
	at := time.Unix(int64(1000+restarts), 0)
	return api.Job{
		JobRow: api.JobRow{ID: "web", Version: 1, Status: mesh.JobRunning, Count: 1, Running: 1},
		Allocations: []api.Alloc{{
			ID: "a", Task: "web", Status: string(mesh.Running), StartedAt: &at, Restarts: restarts,
		}},
	}
}

// A service runs when no copy has been down or restarted for the settle time.
func TestAServiceHasToLast(t *testing.T) {
	const half = settleTime / 2
	down, few := serving(0), serving(0)
	down.Status, down.Running = mesh.JobPending, 0
	few.Count = 2
	tests := []struct {
		name  string
		looks []api.Job // the first at once, each other half a settle time later
		want  time.Duration
		some  bool // the job bounds how many copies run at once
	}{
		{"it lasts", []api.Job{serving(0)}, settleTime, false},
		{"seen again", []api.Job{serving(0), serving(0)}, settleTime, false},
		{"restarted unseen", []api.Job{serving(0), serving(1)}, half + settleTime, false},
		{"down for a while", []api.Job{serving(0), down, down, down, serving(0)}, 4*half + settleTime, false},
		{"a copy is missing", []api.Job{few, few, few, serving(0)}, 3*half + settleTime, false},
		{"a copy waits its turn", []api.Job{few, few, few}, settleTime, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks := make(chan api.Job, len(tt.looks))
				looks <- tt.looks[0]
				for i, j := range tt.looks[1:] {
					time.AfterFunc(time.Duration(i+1)*half, func() { looks <- j })
				}
				p := &progress{
					command: &command{terminal: &terminal{out: io.Discard, err: io.Discard}},
					version: 1, long: true, bounded: tt.some, told: map[string]string{},
				}
				from := time.Now()
				over, err := p.follow(looks, nil)
				if took := time.Since(from); !over || err != nil || took != tt.want {
					t.Errorf("got %v, %v after %v, want the end after %v", over, err, took, tt.want)
				}
			})
		})
	}
}
