package core

import (
	"slices"
	"testing"

	"mn/runner"
)

// TestEndsOfTasksDoNotWaitBehindMessages: a step takes a part of what came while the agent
// could do nothing, and looks at the time after it.
func TestEndsOfTasksDoNotWaitBehindMessages(t *testing.T) {
	var waiting []Event
	for i := range 3 * batchMax {
		waiting = append(waiting, Asked{ID: uint64(i)})
	}
	if batch, rest := Batch(waiting[:batchMax]); len(batch) != batchMax || len(rest) != 0 {
		t.Fatalf("got %d and %d more, want all", len(batch), len(rest))
	}
	waiting[batchMax+7] = Observed{runner.Observation{Attempt: 1}}
	waiting[2*batchMax+7] = Observed{runner.Observation{Attempt: 2}}
	var attempts []int
	var ids []uint64
	for first := true; len(waiting) > 0; first = false {
		var batch []Event
		batch, waiting = Batch(waiting)
		for _, ev := range batch {
			switch ev := ev.(type) {
			case Observed:
				if attempts = append(attempts, ev.Observation.Attempt); !first {
					t.Errorf("attempt %d waited for a later step", ev.Observation.Attempt)
				}
			case Asked:
				ids = append(ids, ev.ID)
			}
		}
	}
	if !slices.Equal(attempts, []int{1, 2}) || len(ids) != 3*batchMax-2 || !slices.IsSorted(ids) {
		t.Errorf("got attempts %v and %d questions, want all in their order", attempts, len(ids))
	}
}
