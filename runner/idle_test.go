package runner

import (
	"testing"
	"time"

	"mn/mesh"
)

// TestATaskThatLeavesItsDevicesIdle is told of once it has for as long as its policy says,
// and not before: all of its devices, at every look, and no night in which the machine slept.
func TestATaskThatLeavesItsDevicesIdle(t *testing.T) {
	job := &mesh.Job{Name: "train", Type: mesh.Service, Tasks: []mesh.Task{
		{Name: "t", Group: "g", Idle: &mesh.IdlePolicy{GPUBelow: 10, For: mesh.Duration(time.Minute)}},
		{Name: "any", Group: "g"},
	}}
	given := func(task string, ids ...string) mesh.DeviceGrant {
		g := mesh.DeviceGrant{Task: task}
		for _, id := range ids {
			g.Given = append(g.Given, mesh.GivenDevice{ID: id})
		}
		return g
	}
	a := mesh.Alloc{ID: "a", Job: "train", Group: "g", Grants: &mesh.Grants{
		Devices: []mesh.DeviceGrant{given("t", "g0"), given("any", "g9"), given("t", "g1")},
	}}
	c := NewCopy(a, job.Groups()[0], job, Facts{Node: "n", Root: "/allocs"})
	begun := Now{Boot: time.Hour, Wall: time.Unix(1e9, 0)}
	at := func(after time.Duration) Now { return Now{begun.Boot + after, begun.Wall.Add(after)} }
	attempt := 0
	deed := func(kind Kind, after time.Duration) {
		if kind == Started {
			attempt++
		}
		for _, task := range []string{"t", "any"} {
			o := Observation{Alloc: "a", Task: task, Attempt: attempt, Kind: kind, StartedAt: begun.Wall, At: at(after).Wall}
			c.Step(at(after), Observed{o})
		}
	}
	c.Step(begun, Run{})
	const s = time.Second
	for _, look := range []struct {
		after    time.Duration
		busy     map[string]int
		deed     Kind   // before it
		says     string // an event
		idleFrom time.Duration
	}{
		{0, map[string]int{"g0": 0, "g1": 0}, "", "", 0}, // it does not run yet
		{10 * s, map[string]int{"g0": 0, "g1": 9, "g9": 90}, Started, "", 0},
		{40 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0},
		{69 * s, map[string]int{"g0": 0, "g1": 10}, "", "", 0}, // busy
		{75 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0},
		{134 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0},
		{135 * s, map[string]int{"g0": 0, "g1": 0}, "", `task "t": has used its devices for less than 10 % of the time for 1m`, 75 * s},
		{150 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 75 * s}, // said once
		{165 * s, map[string]int{"g0": 100, "g1": 0}, "", `task "t": uses its devices again, after 1m30s`, 0},
		{170 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0},
		{200 * s, map[string]int{"g0": 0}, "", "", 0}, // nobody knows
		{210 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0},
		{231 * s, map[string]int{"g0": 0, "g1": 0}, "", `task "t": has used its devices for less than 10 % of the time for 1m`, 170 * s},
		{900 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0}, // the machine slept
		{959 * s, map[string]int{"g0": 0, "g1": 0}, "", "", 0},
		{961 * s, map[string]int{"g0": 0, "g1": 0}, "", `task "t": has used its devices for less than 10 % of the time for 1m`, 900 * s},
		{962 * s, map[string]int{"g0": 0, "g1": 0}, Exited, "", 0}, // another attempt begins
	} {
		if look.deed != "" {
			deed(look.deed, look.after)
		}
		out := c.Step(at(look.after), Load{look.busy})
		says, from := "", time.Duration(0)
		for _, e := range out.Events {
			if e.Kind != mesh.TaskIdle {
				t.Errorf("at %v: event %v", look.after, e)
			}
			says = e.Text
		}
		status := c.Status().Tasks[0]
		if !status.IdleSince.IsZero() {
			from = status.IdleSince.Sub(begun.Wall)
		}
		if says != "" && !out.Changed {
			t.Errorf("at %v: what it says is no change", look.after)
		}
		if says != look.says || from != look.idleFrom {
			t.Errorf("at %v: says %q, idle from %v; want %q, %v", look.after, says, from, look.says, look.idleFrom)
		}
	}
}
