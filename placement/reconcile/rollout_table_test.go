package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// TestUpdateKeys holds the keys of [update] in docs/jobs.md, and what a deployment does besides, against
// the plans that follow: a row for each key with its default, and with what it can be. A row is the keys
// of the job that runs already and of its next version, which has more memory. Each step is commands of
// the scripts, the last of them a plan, and what that does: the state of the deployment, and the copies
// that stop and that are placed.
func TestUpdateKeys(t *testing.T) {
	for _, tt := range []struct{ key, means, keys, steps string }{
		{
			"strategy", `default "rolling": one after the other, each beside the old one first, none hidden`, "", `
			apply         | running place web[0]
			settle; apply | running stop web[0] place web[1]
			settle; apply | running stop web[1] place web[2]
			settle; apply | running stop web[2]
			settle; apply | successful`,
		},
		{
			"max_parallel", "two at a time", "max_parallel=2", `
			apply         | running place web[0] web[1]
			settle; apply | running stop web[0] web[1] place web[2]
			settle; apply | running stop web[2]
			settle; apply | successful`,
		},
		{
			"canary", "0 is one copy of each group", "update=canary canary=0", `
			apply         | running place web[0]
			settle; apply | awaiting_promotion
			apply         | awaiting_promotion`,
		},
		{
			"canary", "two; the others follow by max_parallel when they are promoted", "update=canary canary=2", `
			apply                       | running place web[0] web[1]
			settle; apply               | awaiting_promotion
			steer promote; apply        | running stop web[0] web[1] place web[2]
			settle; apply               | running stop web[2]
			settle; apply               | successful`,
		},
		{
			"strategy", `"blue-green": all beside the old ones, until they are promoted`, "update=blue-green", `
			apply                       | running place web[0] web[1] web[2]
			settle; apply               | awaiting_promotion
			steer promote; apply        | running stop web[0] web[1] web[2]
			settle; apply               | successful`,
		},
		{
			"min_healthy", "default 10s", "min_healthy=default", `
			apply                       | running place web[0]
			settle; apply               | running
			advance 9s; apply           | running
			advance 1s; apply           | running stop web[0] place web[1]`,
		},
		{
			"min_healthy", "1m", "min_healthy=1m", `
			apply                       | running place web[0]
			settle; advance 59s; apply  | running
			advance 1s; apply           | running stop web[0] place web[1]`,
		},
		{
			"healthy_deadline", "default 5m after the copy was placed", "", `
			apply                       | running place web[0]
			settle; status web[0].1 backoff; advance 4m59s; apply | running
			advance 1s; apply           | failed: web[0] on n3 was not healthy within healthy_deadline = 5m: backoff
			apply                       | failed stop web[0]`,
		},
		{
			"healthy_deadline", "1m", "healthy_deadline=1m", `
			apply                       | running place web[0]
			settle; status web[0].1 backoff; advance 59s; apply | running
			advance 1s; apply           | failed: web[0] on n3 was not healthy within healthy_deadline = 1m: backoff`,
		},
		{
			"progress_deadline", "default 10m after the last copy that was healthy", "room=none", `
			apply                       | running
			advance 9m59s; apply        | running
			advance 1s; apply           | failed: no further copy was healthy within progress_deadline = 10m: there is no room`,
		},
		{
			"progress_deadline", "runs while the version waits for a service, too", "+requires=db", `
			apply                       | running
			advance 10m; apply          | failed: no further copy was healthy within progress_deadline = 10m: waits for service db`,
		},
		{
			"progress_deadline", "does not run while it awaits promotion", "update=canary", `
			apply                       | running place web[0]
			settle; apply               | awaiting_promotion
			advance 24h; apply          | awaiting_promotion
			steer promote; apply        | running stop web[0] place web[1]`,
		},
		{
			"progress_deadline", "2m", "room=none progress_deadline=2m", `
			apply                       | running
			advance 119s; apply         | running
			advance 1s; apply           | failed: no further copy was healthy within progress_deadline = 2m: there is no room`,
		},
		{
			"health_check", `default "checks": a copy that runs is not healthy while its service is critical`, "service=front", `
			apply                                   | running place web[0]
			settle; apply                           | running
			health web[0].1 critical; apply         | running
			health web[0].1 warning; apply          | running
			health web[0].1 passing; apply          | running stop web[0] place web[1]`,
		},
		{
			"health_check", "a service of the job counts as its task's do", "offers=front", `
			apply                                   | running place web[0]
			settle; apply                           | running
			health web[0].1 passing; apply          | running stop web[0] place web[1]`,
		},
		{
			"health_check", "checks have to pass for min_healthy too", "service=front min_healthy=20s", `
			apply                                             | running place web[0]
			settle; advance 1m; health web[0].1 passing; apply | running
			advance 19s; apply                                | running
			advance 1s; apply                                 | running stop web[0] place web[1]`,
		},
		{
			"health_check", "critical until the deadline", "service=front", `
			apply                                       | running place web[0]
			settle; health web[0].1 critical; advance 5m; apply | failed: web[0] on n3 was not healthy within healthy_deadline = 5m: service front is critical`,
		},
		{
			"health_check", `"task_states": its task runs, and that is enough`, "service=front check=task_states", `
			apply                                   | running place web[0]
			settle; health web[0].1 critical; apply | running stop web[0] place web[1]`,
		},
		{
			"auto_promote", "what is hidden is promoted when it is healthy", "update=canary auto=promote", `
			apply                       | running place web[0]
			settle; apply               | running: promoted by itself: what is new is healthy
			apply                       | running stop web[0] place web[1]`,
		},
		{
			"auto_revert", "default false: a person decides", "healthy_deadline=1m", `
			apply                       | running place web[0]
			settle; status web[0].1 backoff; advance 1m; apply | failed: web[0] on n3 was not healthy within healthy_deadline = 1m: backoff
			apply                       | failed stop web[0]
			settle; apply               | failed`,
		},
		{
			"auto_revert", "the version before comes back, as a new one", "auto=revert healthy_deadline=1m", `
			apply                       | running place web[0]
			settle; status web[0].1 backoff; advance 1m; apply | failed: web[0] on n3 was not healthy within healthy_deadline = 1m: backoff
			apply                       | failed stop web[0] version 3: revert 1
			settle; apply               | successful: nothing is to be replaced: the copies of version 1 go on`,
		},
		{
			"auto_revert", "what was taken away comes back", "auto=revert healthy_deadline=1m order=stop_first", `
			apply                       | running stop web[0]
			settle; apply               | running place web[0]
			settle; status web[0].1 backoff; advance 1m; apply | failed: web[0] on n3 was not healthy within healthy_deadline = 1m: backoff
			apply                       | failed version 3: revert 1
			apply                       | running stop web[0]
			settle; apply               | running place web[0]
			settle; apply               | successful`,
		},
		{
			"order", `"stop_first": the old copy has ended before the new one starts`, "order=stop_first", `
			apply                       | running stop web[0]
			apply                       | running
			settle; apply               | running place web[0]
			settle; apply               | running stop web[1]`,
		},
		{
			"order", "stop_first by itself with a fixed port", "port=80", `
			apply                       | running stop web[0]
			settle; apply               | running place web[0]`,
		},
		{
			"order", "start_first with a port that the mesh chooses", "port=0", `
			apply                       | running place web[0]`,
		},
		{
			"order", "stop_first by itself with a device of its own", "device=gpu", `
			apply                       | running stop web[0]
			settle; apply               | running place web[0]`,
		},
		{
			"order", `stop_first by itself with on_partition = "keep"`, "partition=keep", `
			apply                       | running stop web[0]
			settle; apply               | running place web[0]`,
		},
		{
			"order", `stop_first by itself with on_partition = "majority"`, "partition=majority", `
			apply                       | running stop web[0]
			settle; apply               | running place web[0]`,
		},
		{
			"order", "a canary takes the place of an old copy where there cannot be two", "update=canary port=80", `
			apply                       | running stop web[0]
			settle; apply               | running place web[0]
			settle; apply               | awaiting_promotion
			steer promote; apply        | running stop web[1]`,
		},
		{
			"gang", "is replaced as a whole", "gang", `
			apply                       | running stop web[0] web[1] web[2]
			settle; apply               | running place web[0] web[1] web[2]
			settle; apply               | successful`,
		},
		{
			"only what changed", "a group that is as it was goes on", "other=2", `
			apply                       | running place web[0]
			settle; apply               | running stop web[0] place web[1]
			settle; apply               | running stop web[1] place web[2]
			settle; apply               | running stop web[2]
			settle; apply               | successful`,
		},
		{
			"what the next version needs", "moves no copy of the one before", "max_parallel=2 +needs=vllm", `
			offer vllm n2 passing; apply | running place web[0] web[1]
			advance 1m; apply            | running
			settle; apply                | running stop web[0] web[1] place web[2]
			settle; apply                | running stop web[2]
			settle; apply                | successful`,
		},
		{
			"what the next version needs", "moves none while it is held, either", "max_parallel=2 +needs=vllm", `
			offer vllm n4 passing; steer pause; apply | paused: a person has paused it
			advance 1m; apply                         | paused
			steer resume; apply                       | running place web[0] web[1]`,
		},
		{
			"topology changed", "what is new starts beside all that there is, which stops last", "-old=1 +new=2", `
			apply                       | running place new[0] new[1] web[0]
			settle; apply               | running stop web[0] place web[1]
			settle; apply               | running stop web[1] place web[2]
			settle; apply               | running stop web[2]
			settle; apply               | successful
			apply                       | successful stop old[0]`,
		},
		{
			"nothing changed", "nothing to do", "same", `
			apply                       | successful: nothing has changed
			apply                       | successful`,
		},
		{
			"batch", "the version is recorded, and it runs anew", "type=batch", `
			apply                       | version_recorded: version recorded: the job runs anew stop web[0] web[1] web[2]
			settle; apply               | version_recorded place web[0] web[1] web[2]`,
		},
		{
			"sysbatch", "the version is recorded, and it runs anew", "type=sysbatch", `
			apply                       | version_recorded: version recorded: the job runs anew ` +
				`stop web@n1 web@n2 web@n3 web@n4`,
		},
		{
			"pause", "in the middle of a step: that is ended, and no other begins, nor a deadline", "max_parallel=2", `
			apply                       | running place web[0] web[1]
			steer pause; apply          | paused: a person has paused it
			settle; advance 1h; apply   | paused stop web[0] web[1]
			settle; advance 1h; apply   | paused
			steer resume; apply         | running place web[2]
			settle; apply               | running stop web[2]
			settle; apply               | successful`,
		},
		{
			"fail", "by a person: what is new beside an old copy stops", "min_healthy=1m", `
			apply                       | running place web[0]
			settle; apply               | running
			steer fail; apply           | failed: a person has given it up
			apply                       | failed stop web[0]
			settle; apply               | failed`,
		},
	} {
		t.Run(strings.ReplaceAll(tt.key+" "+tt.means, " ", "_"), func(t *testing.T) { updates(t, tt.keys, tt.steps) })
	}
}

// updates deploys a job of those keys, and its next version, and holds what that does against the steps.
func updates(t *testing.T, keys, steps string) {
	w := newWorld()
	var job, next []string // keys that one of them has
	size := ",2GiB"
	for _, k := range strings.Fields(keys) {
		switch {
		case k == "same":
			size = ",1GiB"
		case k == "room=none":
			size = ",100GiB"
		case k == "min_healthy=default":
			next = append(next, "min_healthy=10s")
		case k[0] == '-':
			job = append(job, k[1:])
		case k[0] == '+':
			next = append(next, k[1:])
		default:
			job, next = append(job, k), append(next, k)
		}
	}
	run := func(commands string) {
		for c := range strings.SplitSeq(commands, ";") {
			if err := w.command(strings.Fields(c), &strings.Builder{}); err != nil {
				t.Fatalf("%s: %v", c, err)
			}
		}
	}
	version := func(keys []string, size string) {
		run("job parallel=0 strategy=spread " + strings.Join(keys, " ") + " web=3" + size)
	}
	run("node n1 n2 n3 n4")
	for _, n := range w.nodes {
		n.view.Devices = []mesh.Device{{ID: "gpu-" + n.view.Name, Kind: mesh.GPU, Memory: 8 * mesh.GiB}}
	}
	version(job, ",1GiB")
	run("apply; settle; advance 2m")
	for _, c := range w.copies { // what it offers passes
		if len(w.job.Job.Tasks[0].Services)+len(w.job.Job.Services) > 0 {
			run(fmt.Sprintf("health %v.%d passing", c.view.Seat(), c.view.Generation))
		}
	}
	run("advance 2m")
	run("apply; settle; apply")
	version(next, size)
	for step := range strings.SplitSeq(strings.TrimSpace(steps), "\n") {
		commands, want, _ := strings.Cut(strings.TrimSpace(step), "|")
		before, ok := strings.CutSuffix(strings.TrimSpace(commands), "apply")
		if before = strings.Trim(before, "; "); before != "" {
			run(before)
		}
		p := w.plan(true)
		if err := Check(p, w.view()); err != nil || !ok {
			t.Fatalf("%s: %v", commands, err)
		}
		if got := w.does(&p); got != strings.TrimSpace(want) {
			t.Errorf("%sgives %q, want %q\n%s", commands, got, strings.TrimSpace(want), w.picture(p))
		}
		w.apply(p)
	}
}

// does is what a plan does for a deployment, with the reason of its state when that is new.
func (w *world) does(p *Plan) string {
	words := []string{string(p.Rollout.State)}
	is, was := &p.Rollout.Deployment, w.deployed[p.Rollout.Hash]
	if is.Reason != "" && is.Reason != was.Reason && is.State != mesh.AwaitingPromotion {
		why, _, _ := strings.Cut(is.Reason, ": 0 of 4 nodes fit")
		words[0] += ": " + why
	}
	list := func(what string, seats []string) {
		if slices.Sort(seats); len(seats) > 0 {
			words = append(append(words, what), seats...)
		}
	}
	var stop, place []string
	for _, s := range p.Stop {
		stop = append(stop, w.copies[s.Alloc].view.Seat().String())
	}
	for _, pl := range p.Place {
		place = append(place, pl.Alloc.Seat().String())
	}
	list("stop", stop)
	list("place", place)
	if p.Revert != nil {
		words = append(words, fmt.Sprintf("version %d: %s", p.Revert.Number, p.Revert.Verb))
	}
	return strings.Join(words, " ")
}

// TestNextStepIsNoDeadline: when a copy is healthy is told as the next step, and when it fails is not.
func TestNextStepIsNoDeadline(t *testing.T) {
	w := newWorld()
	run := func(commands string) *mesh.Rollout {
		for c := range strings.SplitSeq(commands, ";") {
			if err := w.command(strings.Fields(c), &strings.Builder{}); err != nil {
				t.Fatalf("%s: %v", c, err)
			}
		}
		p := w.plan(true)
		return p.Rollout
	}
	r := run("node n1 n2; job parallel=1 min_healthy=10s web=1,1GiB; apply")
	if !r.NextAt.IsZero() || r.HealthyBy.IsZero() {
		t.Errorf("a copy starts, which it has to have done by %v: next is at %v, want no instant", r.HealthyBy, r.NextAt)
	}
	if r = run("settle"); r.NextAt.IsZero() || r.NextAt.Sub(w.now) > 10*time.Second {
		t.Errorf("it runs: next is at %v, want 10s after %v", r.NextAt, w.now)
	}
}
