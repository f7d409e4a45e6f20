package core

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestRoomThatBecomesFreeIsTaken: what fits nowhere is tried again when a copy of another
// job has ended, and not only once in a while.
func TestRoomThatBecomesFreeIsTaken(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	jobs := map[string]*mesh.Job{"first": service("first", 3), "second": service("second", 3)}
	for _, name := range []string{"first", "second"} {
		jobs[name].Tasks[0].Resources.Memory = 6 * mesh.GiB
		l.ask(l.nodes[0], Submit{Job: jobs[name]})
		l.after(2 * time.Second)
	}
	status := func() mesh.JobStatus { s, _ := l.status("second"); return s }
	if status() != mesh.JobPending || l.total() != 3 {
		t.Fatalf("%v run, and the second job is %s; want no room for it", l.running(), status())
	}
	l.ask(l.nodes[1], Act{Job: "first", Verb: mesh.VerbStop})
	if took, ok := l.until(2*time.Second, func() bool { return status() == mesh.JobRunning }); !ok || took > time.Second {
		t.Errorf("the second job is %s after %v\n%s", status(), took, l.events())
	}
}
