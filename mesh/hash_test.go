package mesh

import (
	"testing"
	"time"
)

// TestHashesNeverChange pins them: nodes of different releases must agree, and
// an upgrade must not replace every copy.
func TestHashesNeverChange(t *testing.T) {
	j := good()
	if got, want := HashJob(j, false)+" "+HashGroup(j, "g"), "e72e7a1c4b833929 169f8117d199b68a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHashJobIsOfTheContent(t *testing.T) {
	j, same := good(), good()
	same.Defaults()
	if HashJob(j, false) != HashJob(same, false) {
		t.Error("a default counts as another content")
	}
	if j.Tasks[0].Count != 0 {
		t.Error("hashing has changed the job")
	}
	if HashJob(j, false) == HashJob(j, true) {
		t.Error("stopping a job is not another content")
	}
}

// TestHashGroupIsOfWhatANodeActsOn: a change that a copy's node does not act on
// must not restart the copy, and one that it acts on must.
func TestHashGroupIsOfWhatANodeActsOn(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Job)
		changes bool
	}{
		{"nothing", func(*Job) {}, false},
		{"count", func(j *Job) { j.Tasks[0].Count, j.Tasks[1].Count = 7, 7 }, false},
		{"array", func(j *Job) { j.Tasks[0].Array, j.Tasks[1].Array = "0-9%3", "0-9%3" }, false},
		{"max_running", func(j *Job) { j.MaxRunning = 3 }, false},
		{"after", func(j *Job) {
			for i := range j.Tasks {
				j.Tasks[i].After, j.Tasks[i].AfterRule, j.Tasks[i].AfterQuorum = []string{"x"}, QuorumSuccess, 1
			}
		}, false},
		{"gang", func(j *Job) { j.Gang = true }, false}, // see TestGangChangesEachCopy
		{"priority", func(j *Job) { j.Priority = 9 }, false},
		{"strategy", func(j *Job) { j.Strategy = Spread }, false},
		{"another group", func(j *Job) { j.Tasks = append(j.Tasks, Task{Name: "new"}) }, false},
		{"reschedule", func(j *Job) { j.Reschedule = &ReschedulePolicy{} }, false},
		{"a mode like the other", func(j *Job) { j.Recovery.Mode = ClusterRecover }, false},
		{"a lease that has no use", func(j *Job) { j.Recovery.Lease = Duration(time.Minute) }, false},
		{"which of two copies stays", func(j *Job) { j.Recovery.Reconcile = BestScore }, false},
		{"keep", func(j *Job) { j.Recovery.OnPartition = Keep }, false},
		{"majority", func(j *Job) { j.Recovery.OnPartition = Majority }, true},
		{"mode", func(j *Job) { j.Recovery.Mode = LocalRestart }, true},
		{"type", func(j *Job) { j.Type = Batch }, true},
		{"restart", func(j *Job) { j.Restart = &RestartPolicy{Mode: RestartDelay} }, true},
		{"command", func(j *Job) { j.Tasks[1].Command = []string{"new"} }, true},
		{"env", func(j *Job) { j.Tasks[1].Env = map[string]string{"A": "1"} }, true},
		{"resources", func(j *Job) { j.Tasks[1].Resources.Memory = GiB }, true},
		{"lifecycle", func(j *Job) { j.Tasks[1].Lifecycle = Sidecar }, true},
		{"timeout", func(j *Job) { j.Timeout = Duration(time.Hour) }, true},
		{"a task's timeout", func(j *Job) { j.Tasks[1].Timeout = Duration(time.Hour) }, true},
		{"exit codes", func(j *Job) { j.Tasks[1].SuccessExitCodes = []int{3} }, true},
		{"one task more", func(j *Job) { j.Tasks = append(j.Tasks, Task{Name: "new", Group: "g"}) }, true},
	}
	before := HashGroup(good(), "g")
	for _, tt := range tests {
		j := good()
		tt.change(j)
		if got := HashGroup(j, "g") != before; got != tt.changes {
			t.Errorf("%s: changes it: %v, want %v", tt.name, got, tt.changes)
		}
	}
}
