package sim

import (
	"fmt"
	"strings"
	"time"

	"mn/mesh"
)

// noteEvent tells what a core has reported.
func (w *world) noteEvent(h *host, e mesh.Event) {
	text := e.Text
	if e.Job != "" {
		text = fmt.Sprintf("%s %s: %s", e.Job, e.Alloc, text)
	}
	if o := w.byID[e.Peer]; o != nil {
		text = o.name + ": " + text
	}
	if !e.Fence.IsZero() {
		text += fmt.Sprintf(" (fence %v)", e.Fence)
	}
	w.tell(h, string(e.Kind), "%s", text)
}

// countEvent counts what a core has reported, once for all.
func (w *world) countEvent(e *mesh.Event) {
	if n, ok := countedKinds[e.Kind]; ok {
		w.counts.add(n)
		return
	}
	switch {
	case e.Kind == mesh.LeaseLost && strings.Contains(e.Text, "slots"):
		w.counts.add(Expiries)
	case e.Kind == mesh.MajorityChanged && strings.HasPrefix(e.Text, "no majority"):
		w.counts.add(NoMajority)
	case e.Kind == mesh.AllocRefused:
		w.counts.add(Refusals)
	case e.Kind == mesh.ReviewOpened:
		w.counts.add(Reviewed)
	case e.Kind == mesh.TaskAdopted:
		w.counts.add(Adopted)
	case e.Kind == mesh.ClockCompared:
		w.counts.add(ClocksCompared)
	case e.Kind == mesh.ClockRefused:
		w.counts.add(ClocksRefused)
	case e.Kind == mesh.RecordRefused && strings.Contains(e.Text, "empties its copy"):
		w.counts.add(Emptied)
	}
}

// noteAlarm counts gossip's errors about a node that runs.
func (w *world) noteAlarm(_, about *host) {
	if about.up() {
		w.counts.add(FalseAlarms)
	}
}

// noteExit is the end of a task, by itself or told.
func (w *world) noteExit(p *process, code int) {
	w.tell(p.h, "task", "%v ends with code %d", p.copy, code)
	if job := w.people.job(p.copy.job); code == 0 && p.asked == "" && job != nil && !job.Type.Long() {
		w.checker.done[p.copy] = true
		w.noteDone(p.copy.job)
	}
	w.ran(p)
}

// noteLoss is the end of a task with its machine.
func (w *world) noteLoss(p *process) {
	w.tell(p.h, "task", "%v is lost with the machine", p.copy)
	w.ran(p)
	job := w.people.job(p.copy.job)
	if job != nil && job.Recovery.Partition() == mesh.Eager && w.people.untouched(p.copy.job) {
		w.clocks.lost(w.now, p.copy)
	}
}

// ran notes the end of a task.
func (w *world) ran(p *process) {
	if w.checker.lastRan[p.copy] == nil {
		w.checker.lastRan[p.copy] = map[int]time.Duration{}
	}
	w.checker.lastRan[p.copy][p.h.place] = w.now
	w.spans.end(w.now, p.h, Runs, "%v", p.copy)
}
