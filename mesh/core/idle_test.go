package core

import (
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// work has hosts say how busy their GPUs are, every 15 s for a while.
func (l *lab) work(span time.Duration, busy map[string]int) {
	for range span / (15 * time.Second) {
		for _, h := range l.nodes {
			if percent, known := busy[h.name]; known {
				l.post(h, time.Second, Worked{runner.Load{Busy: map[string]int{"GPU-" + h.name: percent}}})
			}
		}
		l.after(15 * time.Second)
	}
}

// TestAJobThatLeavesItsDevicesIdle is paused or stopped as its file says once none of its
// copies has a use for them, and not before; a paused one goes on if a person wants it.
func TestAJobThatLeavesItsDevicesIdle(t *testing.T) {
	for action, want := range map[mesh.IdleAction]mesh.JobStatus{
		"": mesh.JobRunning, mesh.IdlePause: mesh.JobPaused, mesh.IdleStop: mesh.JobStopped,
	} {
		l := newLab(t, 3)
		l.equip()
		l.after(15 * time.Second)
		job := gpuJob(2)
		job.Tasks[0].Idle = &mesh.IdlePolicy{For: mesh.Duration(time.Minute), Action: action}
		l.ask(l.nodes[0], Submit{Job: job})
		if _, ok := l.until(20*time.Second, func() bool { return l.total() == 2 }); !ok {
			t.Fatalf("runs on %v\n%s", l.running(), l.events())
		}
		names := map[string]int{}
		lazy := ""
		for name := range l.running() {
			lazy, names[name] = name, 2
		}
		names[lazy] = 50
		l.work(3*time.Minute, names)
		status := func() mesh.JobStatus {
			job, _ := l.nodes[2].core.records.job("train")
			plan, _, _ := l.nodes[2].core.Outlook(&job)
			return plan.Status
		}
		if got := status(); got != mesh.JobRunning {
			t.Fatalf("action %q: %v while a copy has a use for its GPU\n%s", action, got, l.events())
		}
		names[lazy] = 0
		l.work(90*time.Second, names)
		if got := status(); got != want {
			t.Errorf("action %q: %v, want %v\n%s", action, got, want, l.events())
		}
		if told := strings.Count(l.events(), "has used its devices for less than 5 % of the time for 1m"); told < 2 {
			t.Errorf("action %q: told %d times", action, told)
		}
		if action != mesh.IdlePause {
			continue
		}
		l.ask(l.nodes[1], Act{Job: "train", Verb: mesh.VerbResume})
		if _, ok := l.until(20*time.Second, func() bool { return l.total() == 2 }); !ok {
			t.Fatalf("resumed, it runs on %v\n%s", l.running(), l.events())
		}
		l.work(45*time.Second, names)
		if got := status(); got != mesh.JobRunning {
			t.Errorf("resumed, it is %v before its time\n%s", got, l.events())
		}
	}
}

// TestAnIdleCopyOutOfSight may have found a use for its devices meanwhile: nothing is done.
func TestAnIdleCopyOutOfSight(t *testing.T) {
	l := newLab(t, 3)
	l.equip()
	l.after(15 * time.Second)
	job := gpuJob(2)
	job.Recovery.OnPartition = mesh.Keep
	job.Tasks[0].Idle = &mesh.IdlePolicy{For: mesh.Duration(time.Minute), Action: mesh.IdleStop}
	l.ask(l.nodes[0], Submit{Job: job})
	if _, ok := l.until(20*time.Second, func() bool { return l.total() == 2 }); !ok {
		t.Fatalf("runs on %v\n%s", l.running(), l.events())
	}
	var runs []string
	for name := range l.running() {
		runs = append(runs, name)
	}
	l.work(75*time.Second, map[string]int{runs[0]: 0, runs[1]: 90}) // the first is idle
	for _, h := range l.nodes {
		if h.name == runs[0] {
			l.split(h)
		}
	}
	l.work(3*time.Minute, map[string]int{runs[0]: 90, runs[1]: 0})
	// It is back in sight, and has not been heard yet.
	for _, h := range l.nodes {
		if h.name == runs[1] {
			for _, o := range l.nodes {
				if o.name == runs[0] {
					h.core.Step(l.clock(), Seen{o.self.ID, mesh.Alive})
				}
			}
			h.core.Step(l.clock(), Worked{runner.Load{Busy: map[string]int{"GPU-" + h.name: 0}}})
		}
	}
	for _, h := range l.nodes {
		if job, _ := h.core.records.job("train"); job.Stopped {
			t.Errorf("for %s the job is stopped\n%s", h.name, l.events())
		}
	}
}
