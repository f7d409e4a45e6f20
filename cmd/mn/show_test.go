package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"mn/mesh"
	"mn/mesh/api"
)

// shown is what is written to a terminal, on both of its outputs.
func shown(show func(*command)) string {
	var out bytes.Buffer
	show(&command{terminal: &terminal{out: &out, err: &out}})
	return out.String()
}

// TestWhatHasEndedIsCounted, and listed only if that is asked for, after what runs.
func TestWhatHasEndedIsCounted(t *testing.T) {
	var all []api.Alloc
	for i, s := range []mesh.AllocState{mesh.Complete, mesh.Running, mesh.Stopped} {
		all = append(all, api.Alloc{ID: mesh.AllocID(fmt.Sprint("a", i)), Task: "t", Status: string(s)})
	}
	all = append(all, api.Alloc{ID: "a1", Task: "before", Status: string(mesh.Complete)}) // of the copy that runs
	ids := func(text string) string {
		var ids []string
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			ids = append(ids, strings.Fields(line)[0])
		}
		return strings.Join(ids, " ")
	}
	text := shown(func(c *command) { c.showAllocs(all, false) })
	if got := ids(text); got != "ID a1 a1 and" || !strings.HasSuffix(text, "\nand 2 that have ended (--all)\n") {
		t.Errorf("got\n%s", text)
	}
	if got := ids(shown(func(c *command) { c.showAllocs(all, true) })); got != "ID a1 a1 a0 a2" {
		t.Errorf("with all: got %s", got)
	}
	if got := shown(func(c *command) { c.showAllocs(all[:1], false) }); got != "1 copy, and all have ended (--all)\n" {
		t.Errorf("none runs: got %s", got)
	}
	if got := ids(shown(func(c *command) { c.showAllocs(nil, false) })); got != "ID" {
		t.Errorf("none at all: got %s", got)
	}
}

// TestAnArrayShowsItsIndexes, and no reason that nearly all copies have.
func TestAnArrayShowsItsIndexes(t *testing.T) {
	two := 2
	got := shown(func(c *command) {
		c.table(c.allocTable([]api.Alloc{
			{ID: "a", Index: 1, ArrayIndex: &two, Reason: "version 7 wants it"},
			{ID: "b", Reason: "exit code 3; restarting in 19.667840751s (attempt 1 of 3)"},
		}, false))
	})
	want := `ID  TASK  INDEX (ARRAY)  NODE  STATUS  PID  RESTARTS  STARTED  EXIT  REASON
a   -     1 (2)          -     -       -    0         -        -     -
b   -     0              -     -       -    0         -        -     exit code 3; restarting in 19.7s (attempt 1 of 3)
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestDurationsAreRounded, and nothing else that has a point in it.
func TestDurationsAreRounded(t *testing.T) {
	for text, want := range map[string]string{
		"in 19.667840751s":         "in 19.7s",
		"in 1m59.96s, then 1h0m":   "in 2m0s, then 1h0m",
		"1.5s, 10.0.0.1:7700, 1.2": "1.5s, 10.0.0.1:7700, 1.2",
		"v2.1734s1":                "v2.1734s1",
	} {
		if got := rounded(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestEventsSayANodesNameOnce.
func TestEventsSayANodesNameOnce(t *testing.T) {
	for text, want := range map[string]string{
		"b: psu": "psu", "b": "", "b, until 9:00: disk": "until 9:00: disk", "both": "both", "a: b": "a: b",
	} {
		if got := eventText(&api.EventLine{Peer: "b", Text: text}, "b"); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	if got := eventText(&api.EventLine{Job: "b", Text: "b: psu"}, "b"); got != "b: psu" {
		t.Errorf("of a job: got %q", got)
	}
}

// TestADrainNamesWhatHasGone as it named it before.
func TestADrainNamesWhatHasGone(t *testing.T) {
	got := shown(func(c *command) {
		told := map[mesh.AllocID]fate{}
		c.tellDrain(api.Drain{Copies: []api.DrainedCopy{{Job: "svc", Alloc: "5wmq", Group: "w", Action: "migrating", Reason: "so"}}}, told)
		c.tellDrain(api.Drain{}, told)
	})
	if want := "mn: w[0] of svc migrating: so\nmn: w[0] of svc has gone\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
