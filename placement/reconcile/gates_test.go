package reconcile

import (
	"strings"
	"testing"
)

// TestSafetyGates is what recovery does about a copy on n1 when n2 has room for another,
// rule by rule, in the order in which they are asked. The first that applies decides.
func TestSafetyGates(t *testing.T) {
	const (
		runs   = "; settle"
		idle   = "" // placed, and it has not begun
		lost   = "; lost n1 1h"
		failed = "; status web[0].0 failed; advance 10m"
		unread = runs + "; saves web[0].0 3 n1" + lost + "; apply; unrestored web[0].1; advance 20s"
	)
	for _, row := range []struct {
		rule string // of the document: who may move what
		job  string // its settings; one copy of group web
		then string // what becomes of it, from its placement on n1
		want string // in the plan
		not  string // in the plan; "" for nothing
	}{
		// Whoever is only just out of sight is waited for.
		{
			"inside the grace: waits for the node", "lost_after=10m", runs + "; lost n1 1m",
			"waiting web[0]: node n1 is lost; waits for up to 10m", "place",
		},
		{
			"and is recovered after it", "lost_after=10m", runs + "; lost n1 10m",
			"place web[0].1 as web[0].1 on n2", "",
		},
		{
			"a person has given the node up", "lost_after=10m", runs + "; lost n1 1m; give-up n1",
			"place web[0].1 as web[0].1 on n2", "",
		},
		// What was saved of the work.
		{
			"it was saved, and others have that: it goes on from there", "saved=1",
			runs + "; saves web[0].0 3 n1 n2" + lost, "place web[0].1 as web[0].1 on n2: node n1 is lost; web goes on from checkpoint 3", "or",
		},
		{
			"what was saved is with the lost node alone, and something before it is not", "saved=1",
			runs + "; saves web[0].0 3 n1 n2; saves web[0].0 4 n1" + lost, "; web goes on from checkpoint 4 or checkpoint 3", "",
		},
		{
			"corrupt checkpoint, or nobody in sight has it: the copy is blocked, and waits for it", "saved=1", unread,
			"paused: 1 of 1 waiting for a person; web[0] on n2: nothing can be had of what was saved", "place",
		},
		{
			"whoever has it may be slow to come back: nobody is asked at once", "saved=1",
			runs + "; saves web[0].0 3 n1" + lost + "; apply; unrestored web[0].1", "pending: 1 of 1 restarting", "review",
		},
		{
			"a word is about one wait: it looks in vain again", "saved=1",
			unread + "; reject web[0].1; advance 1m; settle; unrestored web[0].1; advance 20s", "review web[0].1: restore", "place",
		},
		{
			"its node is drained, and it is not to leave it: nobody is asked twice", "saved=1 mode=local_restart",
			runs + "; saves web[0].0 3 n1; unrestored web[0].0; drain n1 0s; advance 20s", `web" waits for what was saved of it`, "drain: node",
		},
		{
			"a person wants it to wait, and its node is drained: that is another question", "saved=1 mode=local_restart",
			runs + "; saves web[0].0 3 n1; unrestored web[0].0; advance 20s; reject web[0].0; drain n1 0s", "review web[0].0: drain", "stop",
		},
		{
			"and a person may decide", "saved=1", unread,
			`review web[0].1: restore: task "web" waits: nothing can be had of what was saved`, "place",
		},
		{
			"approved: it begins anew, once it has stopped", "saved=1", unread + "; approve web[0].1",
			"stop web[0].1: a person has it begin anew", "place",
		},
		{
			"and counts on from there, so that nothing of before comes back", "saved=1",
			unread + "; approve web[0].1; apply; settle; alive n1; kill n1; advance 1h",
			"web goes on from nothing as checkpoint 4", "or",
		},
		{
			"rejected: it waits on", "saved=1", unread + "; reject web[0].1",
			"pending: 1 of 1 restarting; web[0] on n2", "review",
		},
		{
			"unsafe, and nothing can be had: it has failed, and a person decides once", "saved=1 partition=keep unsafe=write",
			runs + "; saves web[0].0 3 n1; status web[0].0 failed; approve web[0].0; apply; unrestored web[0].1; " +
				"status web[0].1 failed; approve web[0].1", "web goes on from nothing as checkpoint 4", "or",
		},
		// A failure that no policy answers is not recovered from by itself.
		{
			"stranded: failed, and nothing is left to be done", "mode=local_restart", runs + failed,
			"paused: 1 of 1 waiting for a person", "place",
		},
		{
			"the same of a batch job", "type=batch mode=local_restart", runs + failed,
			"failed: 1 of 1 failed", "place",
		},
		{"its policy allows no move", "type=batch moves=0", runs + failed, "failed: 1 of 1 failed", "place"},
		// What people have paused stays so, whatever is lost.
		{"paused by a person", "", runs + "; pause; settle" + lost, "version 2 pauses the job", "place"},
		{"paused while it was out of sight", "", runs + lost + "; pause", "pausing", "place"},
		// The modes that never move work.
		{
			"manual_recover: a person decides", "mode=manual_recover", runs + lost,
			`review web[0].0: lost: node n1 is lost; recovery mode "manual_recover" leaves that to a person`, "place",
		},
		{
			"manual_recover, and a person has said that it does not run any more", "mode=manual_recover",
			runs + lost + "; approve web[0].0", "place web[0].1 as web[0].1 on n2", "",
		},
		{
			"local_restart: it waits for its node", "mode=local_restart", runs + lost,
			`waiting web[0]: node n1 is lost; recovery mode "local_restart" never moves work`, "place",
		},
		// Work that is bound to its node waits for that.
		{
			"system: bound to its node", "type=system", "; settle; lost n1 1h",
			"its copy waits for it", "web@n1.1",
		},
		{
			"sysbatch: bound to its node", "type=sysbatch", "; settle; lost n1 1h",
			"its copy waits for it", "web@n1.1",
		},
		// What a job promises about two copies.
		{
			"keep: never two, and nobody knows that it is dead", "partition=keep", runs + lost,
			`on_partition = "keep" waits until it is known to be dead`, "place",
		},
		{
			"keep: its node has booted again, and starts it there", "partition=keep", runs + "; kill n1; advance 1h; alive n1",
			"1 of 1 starting", "place",
		},
		{
			"majority: its lease may not have run out", "partition=majority lease=30s", runs + "; lost n1 10s",
			"waits until the copy on n1 has surely stopped", "place",
		},
		{
			"majority: it has surely stopped", "partition=majority lease=30s", runs + "; lost n1 1s; advance 1m",
			"place web[0].1 as web[0].1 on n2", "",
		},
		// Unsafe work that may have begun.
		{
			"unsafe, and it runs: a person decides", "partition=keep unsafe=write", runs + lost,
			"review web[0].0: lost: node n1 is lost; task \"web\" is marked unsafe", "place",
		},
		{
			"unsafe, and it has failed: a person decides", "partition=keep unsafe=write", runs + failed,
			"review web[0].0: failed", "place",
		},
		{
			"unsafe, and a person has approved", "partition=keep unsafe=write", runs + failed + "; approve web[0].0",
			"place web[0].1 as web[0].1 on n2", "",
		},
		{
			"unsafe, and a person has rejected", "partition=keep unsafe=write", runs + failed + "; reject web[0].0",
			"failed: 1 of 1 failed", "place",
		},
		{
			"unsafe, and its node is lost: it may have begun, for all that is known", "partition=keep unsafe=write", idle + "; lost n1 1h",
			"review web[0].0: lost", "place",
		},
		{
			"unsafe, and idle: in sight, and it never began", "partition=keep unsafe=write", idle + "; drain n1 30m",
			"stop web[0].0: node n1 is drained", "review",
		},
		// No gate is shut.
		{"safe: it moves by itself", "", runs + lost, "place web[0].1 as web[0].1 on n2", ""},
		{
			"it is done: it never runs again", "type=batch", runs + "; status web[0].0 complete" + lost,
			"completed", "place",
		},
		{
			"there is no room: blocked, and not charged to any policy", "", runs + "; maintain n2" + lost,
			"blocked web[0]", "place",
		},
		{
			"there is room again", "", runs + "; maintain n2" + lost + "; plan; serve n2",
			"place web[0].1 as web[0].1 on n2", "",
		},
	} {
		w := newWorld()
		var out strings.Builder
		for line := range strings.SplitSeq("node n1; job "+row.job+" web=1; apply; node n2"+row.then, "; ") {
			out.Reset()
			if err := w.command(strings.Fields(line), &out); err != nil {
				t.Fatalf("%s: %q: %v", row.rule, line, err)
			}
		}
		out.Reset()
		if err := w.command([]string{"plan"}, &out); err != nil {
			t.Fatalf("%s: %v", row.rule, err)
		}
		got := out.String()
		if !strings.Contains(got, row.want) || row.not != "" && strings.Contains(got, row.not) {
			t.Errorf("%s:\n%swant %q, and no %q", row.rule, got, row.want, row.not)
		}
	}
}
