package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/api"
)

// fake is an agent that answers from a small made-up mesh: box-1 and box-2 are
// alive, box-3 is lost; the service hello runs on the first two.
type fake struct {
	mu      sync.Mutex
	changed chan struct{}
	job     *mesh.Job // last submitted, if any
	steps   []step    // still to come of it, one for each look
}

// step is a state in the life of a submitted job.
type step struct {
	status mesh.JobStatus
	text   string
	copies mesh.AllocState // of all its copies; "" for none placed
	code   int
	number uint64 // of the version; 1 if 0

	deployed mesh.DeploymentState // "" for none
	healthy  int                  // copies of its deployment
}

// lives are what becomes of submitted jobs, by the job's name.
var lives = map[string][]step{
	"serve": {
		{status: mesh.JobPending, text: "nothing is placed yet"},
		{status: mesh.JobPending, text: "2 of 2 starting", copies: mesh.Starting},
		{status: mesh.JobPending, text: "2 of 2 starting", copies: mesh.Backoff},
		{status: mesh.JobRunning, text: "2 of 2 running", copies: mesh.Running},
	},
	"count": {
		{status: mesh.JobPending, copies: mesh.Running},
		{status: mesh.JobCompleted, copies: mesh.Complete},
	},
	"crash": {
		{status: mesh.JobPending, copies: mesh.Running},
		{
			status: mesh.JobFailed, copies: mesh.Failed, code: 7,
			text: "1 of 1 failed; crash[0] failed on box-1: exit code 7; restarts are off",
		},
	},
	"large":  {{status: mesh.JobFailed, text: "no node has room"}},
	"raced":  {{status: mesh.JobPending}, {status: mesh.JobRunning, number: 2}},
	"halted": {{status: mesh.JobPending}, {status: mesh.JobStopped, number: 2}},
	"brief": {
		{status: mesh.JobRunning, copies: mesh.Running},
		{status: mesh.JobPending, copies: mesh.Backoff},
		{status: mesh.JobFailed, copies: mesh.Failed, code: 3},
	},
}

func newFake() *fake { return &fake{changed: make(chan struct{})} }

var (
	_      api.Backend = (*fake)(nil)
	fenced             = crdt.Fence{Epoch: 2, Ballot: 17}
)

// earlier is a time that is told as "5m ago" for the next half minute.
func earlier() time.Time { return time.Now().Add(-5*time.Minute - 20*time.Second) }

func (f *fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fake) Snapshot(context.Context) (api.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	snap := hello()
	if f.job != nil {
		now := f.steps[0]
		if len(f.steps) > 1 {
			// Whoever looks sees the next step the next time.
			f.steps = f.steps[1:]
			close(f.changed)
			f.changed = make(chan struct{})
		}
		add(&snap, *f.job, now)
	}
	return snap, nil
}

// add puts a job into a picture, as it is in a step of its life.
func add(snap *api.Snapshot, job mesh.Job, now step) {
	snap.View.Jobs = append(snap.View.Jobs, mesh.JobView{JobVersion: mesh.JobVersion{
		Job: job, Number: max(now.number, 1), Hash: "0123456789abcdef", At: earlier(), By: "aaaa2222bbbb3333",
	}})
	o := api.Outlook{
		Status: now.status, Text: now.text, Coordinator: "aaaa2222bbbb3333", Wanted: map[string]int{},
	}
	for _, g := range job.Groups() {
		o.Wanted[g.Name] = g.Count
	}
	if now.copies != "" {
		o.Fence = fenced
	}
	now.roll(&snap.View.Jobs[len(snap.View.Jobs)-1], &o)
	snap.Outlooks = append(snap.Outlooks, o)
	if now.copies == "" {
		return
	}
	for i := range job.Groups()[0].Count {
		a := placed(job.Name, fmt.Sprintf("%s%04d", job.Name[:3], i), i, "aaaa2222bbbb3333", now.copies)
		now.stand(&a, i)
		if now.code != 0 {
			a.Status.Tasks[0].ExitCode = &now.code
			a.Status.Tasks[0].Reason = fmt.Sprintf("exit code %d", now.code)
		}
		snap.View.Allocs = append(snap.View.Allocs, a)
	}
	slices.SortStableFunc(snap.View.Allocs, func(a, b mesh.AllocView) int {
		return strings.Compare(string(a.Job), string(b.Job))
	})
}

func placed(job, id string, index int, node mesh.NodeID, s mesh.AllocState) mesh.AllocView {
	at := earlier()
	return mesh.AllocView{
		Alloc: mesh.Alloc{
			ID: mesh.AllocID(id), Job: mesh.JobID(job), Version: 1, Group: job, Index: index, Node: node,
			Want: mesh.WantRun, Fence: fenced, Coordinator: "aaaa2222bbbb3333", At: at, Reason: "best of 2",
			Resources: mesh.Resources{CPU: 50, Memory: 16 * mesh.MiB},
		},
		Status: &mesh.Status{State: s, At: at, Tasks: []mesh.TaskStatus{
			{Name: job, State: s, PID: 4100 + index, StartedAt: at},
		}},
	}
}

// helloJob is the job hello with so many copies.
func helloJob(count int) mesh.Job {
	return mesh.Job{Name: "hello", Type: mesh.Service, Tasks: []mesh.Task{
		{Name: "hello", Count: count, Command: []string{"sleep", "1000"}},
	}}
}

// hello is the picture before anything is submitted.
func hello() api.Snapshot {
	node := func(id mesh.NodeID, name string, l mesh.Liveness) mesh.NodeView {
		return mesh.NodeView{
			Node: mesh.Node{
				ID: id, Name: name, Address: "10.0.0.1:7700", Boot: "b1", Role: mesh.Worker, Release: "1.2",
				OS: "linux", Arch: "amd64", Drivers: []string{"exec"}, Labels: map[string]string{"rack": "3"},
				Volumes:   []string{"/data", "/srv"},
				Isolation: map[mesh.Isolation]string{mesh.IsolateNone: "", mesh.IsolateCgroup: "", mesh.IsolateSandbox: "no Linux 5.12"},
				Capacity:  mesh.Resources{CPU: 8 * mesh.Core, Memory: 32 * mesh.GiB, Disk: 500 * mesh.GiB},
				StartedAt: earlier(),
			},
			Known: true, Liveness: l, Voter: l == mesh.Alive, Eligible: l == mesh.Alive, LostFor: 90 * time.Second,
			Used: mesh.Usage{Resources: mesh.Resources{CPU: 50, Memory: 16 * mesh.MiB}},
		}
	}
	gpus := node("cccc4444dddd5555", "box-2", mesh.Alive)
	gpus.Devices = []mesh.Device{
		{ID: "GPU-0", Kind: mesh.GPU, Model: "Tesla T4", Driver: "cuda", APIVersion: "12.4", Memory: 16 * mesh.GiB},
		{
			ID: "GPU-1", Kind: mesh.GPU, Index: 1, Model: "Tesla T4", Driver: "cuda", Memory: 16 * mesh.GiB, Foreign: mesh.GiB,
			ForeignBy: []string{"alice/4711"}, Sick: "Xid 79",
		},
		{ID: "cam0", Kind: "camera"},
	}
	gpus.Foreign = []mesh.Port{{Number: 22, Transport: mesh.TCP}}
	grants := &mesh.Grants{
		Ports:   []mesh.PortGrant{{Task: "hello", Label: "api", Protocol: mesh.ProtocolHTTP, Number: 20000}},
		Devices: []mesh.DeviceGrant{{Task: "hello", Given: []mesh.GivenDevice{{ID: "GPU-0", Part: 4 * mesh.GiB}, {ID: "cam0"}}}},
	}
	gpus.Used = gpus.Used.With(&mesh.Alloc{ID: "abce0001", Grants: grants})
	second := placed("hello", "abce0001", 1, "cccc4444dddd5555", mesh.Running)
	second.Grants = grants
	first := placed("hello", "abcd0000", 0, "aaaa2222bbbb3333", mesh.Running)
	offer(&first, mesh.Passing)
	offer(&second, mesh.Critical)
	return api.Snapshot{
		View: &mesh.View{
			Now: time.Now(),
			Nodes: []mesh.NodeView{
				node("aaaa2222bbbb3333", "box-1", mesh.Alive),
				gpus,
				node("eeee6666ffff7777", "box-3", mesh.Lost),
			},
			Jobs: []mesh.JobView{{JobVersion: mesh.JobVersion{
				Job: helloJob(2), Number: 3, Hash: "fedcba9876543210", At: earlier(), By: "cccc4444dddd5555",
			}, Tags: []mesh.Tag{{Job: "hello", Name: "first", Version: 1, Hash: "0000111122223333"}}}},
			Allocs: []mesh.AllocView{
				first,
				second,
			},
		},
		Outlooks: []api.Outlook{
			{
				Status: mesh.JobRunning, Wanted: map[string]int{"hello": 2},
				Recovery: mesh.EffectiveRecovery{
					Requested: mesh.ClusterRecover, Effective: mesh.LocalRestart, Degraded: true, Reason: "only box-1 can run it",
				},
				Coordinator: "aaaa2222bbbb3333", Fence: fenced,
			},
		},
	}
}

func (f *fake) Submit(_ context.Context, r api.RunRequest) (api.Submitted, error) {
	j := r.Job
	if err := expects(j.Name, r.Expect, 3); err != nil {
		return api.Submitted{}, err
	}
	if j.Name == "hello" {
		return api.Submitted{ID: "hello", Version: 4, Changed: true}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if j.Name == "forbidden" {
		return api.Submitted{}, mesh.Faultf(mesh.Denied, "job %q is not for you", j.Name)
	}
	done := api.Submitted{ID: mesh.JobID(j.Name), Version: 1, Changed: f.job == nil || f.job.Name != j.Name}
	if f.job == nil {
		done.Warnings = []string{"no other peer is alive: the job is safe here only"}
	}
	f.job, f.steps = &j, lives[j.Name]
	if steps := rollouts[j.Name]; steps != nil {
		f.steps, done.Version = steps, steps[0].number
	}
	return done, nil
}

func expects(job string, number *uint64, current uint64) error {
	if number == nil || *number == current {
		return nil
	}
	return mesh.Faultf(mesh.Conflict, "job %q is at version %d, not %d", job, current, *number)
}

// Act changes hello, unless it is like that: it runs, and was never paused.
func (f *fake) Act(_ context.Context, verb mesh.Verb, r api.ActRequest) (api.Submitted, error) {
	if r.Job != "hello" {
		return api.Submitted{}, mesh.Faultf(mesh.NotFound, "no job %q", r.Job)
	}
	if verb == mesh.VerbResume {
		return api.Submitted{ID: r.Job, Version: 3}, nil
	}
	return api.Submitted{ID: r.Job, Version: 4, Changed: true}, expects("hello", r.Expect, 3)
}

// Scale changes hello by the rules of all jobs.
func (f *fake) Scale(_ context.Context, r api.ScaleRequest) (api.Submitted, error) {
	job := helloJob(2)
	if r.Job != "hello" {
		return api.Submitted{}, mesh.Faultf(mesh.NotFound, "no job %q", r.Job)
	}
	next, _, fault := job.Scaled(r.Group, r.Count)
	if fault != nil {
		return api.Submitted{}, fault
	}
	if mesh.HashJob(&next, false) == mesh.HashJob(&job, false) {
		return api.Submitted{ID: r.Job, Version: 3}, nil
	}
	return api.Submitted{ID: r.Job, Version: 4, Changed: true}, expects("hello", r.Expect, 3)
}

// Tag tags a version of hello, whose first one is tagged.
func (f *fake) Tag(ctx context.Context, r api.TagRequest) (api.Tagged, error) {
	history, _ := f.History(ctx, r.Job)
	job := hello().View.Jobs[0]
	done := api.Tagged{ID: r.Job, Tag: r.Tag, Version: 1, Changed: true}
	if r.Remove {
		return done, nil
	}
	if fault := mesh.CheckTag(r.Tag); fault != nil {
		return done, fault
	}
	v, err := mesh.FindVersion(history, &job, r.Version)
	if err != nil {
		return done, err
	}
	if done.Version = v.Number; r.Tag == "first" {
		done.Before, done.Changed = 1, v.Number != 1
	}
	return done, nil
}

func why() []api.WhyNode {
	return []api.WhyNode{
		{
			Node: "box-1", Copies: 1, Fits: true, Score: 0.75,
			Terms: []api.Term{{Name: "binpack", Value: 0.7}, {Name: "near", Value: 0.05}},
		},
		{Node: "box-2", Copies: 1, Filter: "memory", Reason: "memory: needs 64 GiB, 31.9 GiB free"},
		{Node: "box-3", Filter: "status", Reason: "the node is lost"},
	}
}

func (f *fake) Plan(_ context.Context, j mesh.Job) (api.Plan, error) {
	return api.Plan{
		ID: mesh.JobID(j.Name), Version: 1, Changed: true, Verdict: api.RunnableLater, Keep: 2, How: j.UpdateText(),
		Place:   []api.PlannedPlace{{Group: "serve", Index: 0, Node: "box-1", Reason: "new"}},
		Stop:    []api.PlannedStop{{Group: "serve", Index: 3, Node: "box-2", Reason: "count is 2"}},
		Blocked: []api.PlannedBlock{{Group: "serve", Copies: 1, Nodes: why()}},
	}, nil
}

func (f *fake) Why(_ context.Context, id mesh.JobID) (api.Why, error) {
	return api.Why{ID: id, Status: mesh.JobPending, Text: "1 copy fits nowhere", Groups: []api.WhyGroup{{
		Group: "hello", Count: 2, Running: 1, Strategy: mesh.Binpack,
		Resources: mesh.Resources{CPU: 500, Memory: 64 * mesh.GiB}, Nodes: why(),
	}}}, nil
}

func (f *fake) Lacks(_ context.Context, objects []string) ([]string, error) { return objects, nil }

func (f *fake) Keep(_ context.Context, objects io.Reader) (int64, error) {
	return io.Copy(io.Discard, objects)
}

func (f *fake) Queue(context.Context) ([]api.QueuedJob, error) {
	at := earlier()
	ends := []api.Ending{{Alloc: "abce0001", Job: "hello", Group: "hello", Index: 1, Node: "box-2", Priority: 50}}
	told := slices.Clone(ends)
	told[0].Preempts = true
	return []api.QueuedJob{
		{Position: 1, Job: "train", Priority: 80, Since: &at, Groups: []api.QueuedGroup{
			{Group: "train", Copies: 2, Why: "0 of 3 nodes fit; box-1, box-2: cpu: needs 8 cores, 4 free", Nodes: why(), Ends: told},
		}},
		{Position: 2, Job: "sweep", Priority: 50, Since: &at, Groups: []api.QueuedGroup{
			{Group: "a", Copies: 1, Why: "0 of 3 nodes fit", Nodes: why(), Ends: ends},
			{Group: "b", Copies: 1, Why: "0 of 3 nodes fit", Nodes: why(), Ends: []api.Ending{}},
		}},
		{Job: "ring", Priority: 50, Groups: []api.QueuedGroup{{Group: "ring", Copies: 4, Why: "0 of 3 nodes fit", Ends: []api.Ending{}}}},
	}, nil
}

func (f *fake) Explain(_ context.Context, id mesh.JobID) (api.Explanation, error) {
	if id != "hello" {
		return api.Explanation{}, mesh.Faultf(mesh.NotFound, "no job %q", id)
	}
	job := helloJob(2)
	return api.Explanation{Forecast: mesh.ForecastOf(&job), Version: 3, Copies: []api.CopyCount{{
		ID: "abcd0000", Task: "hello", Index: 0, Node: "box-1", Status: mesh.Running,
		Restarts: api.Used{Used: 2, Allowed: 3, Interval: mesh.Duration(10 * time.Minute)},
		Moves:    api.Used{Used: 1, Unlimited: true, Interval: mesh.Duration(time.Hour)},
		Next:     "if it fails now: restarts here after 4s",
	}}}, nil
}

func (f *fake) History(context.Context, mesh.JobID) ([]mesh.JobVersion, error) {
	return []mesh.JobVersion{
		{
			Job: helloJob(1), Number: 1, Hash: "0000111122223333", At: earlier(), By: "aaaa2222bbbb3333",
			Verb: mesh.VerbRun,
		},
		{
			Job: helloJob(1), Number: 2, Hash: "1111222233334444", Parent: "0000111122223333", At: earlier(),
			By: "aaaa2222bbbb3333", Stopped: true, Verb: mesh.VerbStop, Reason: "for the night",
		},
		{
			Job: helloJob(2), Number: 3, Hash: "fedcba9876543210", Parent: "1111222233334444", At: earlier(),
			By: "cccc4444dddd5555",
		},
	}, nil
}

func (f *fake) Logs(_ context.Context, r api.LogsRequest, send func(api.LogLine) error) error {
	if r.Task == "none" {
		return mesh.Faultf(mesh.NotFound, "job %q has no task %q", r.Job, r.Task)
	}
	lines := []api.LogLine{
		{Task: "hello", Index: 0, Node: "box-1", Stream: "stdout", Line: fmt.Sprintf("tail %d", r.Tail)},
		{Task: "hello", Index: 10, Node: "box-2", Stream: "stderr", Line: ""},
		{Node: "box-3", Stream: "mn", Line: "the node is out of sight"},
		{Task: "hello", Index: 0, Node: "box-1", Stream: "stdout", Line: fmt.Sprintf("follow %v", r.Follow)},
	}
	if r.Times {
		lines[0].At = time.Date(2026, 11, 23, 9, 0, 7, 0, time.UTC) // of the others nobody knows
	}
	if !r.Since.IsZero() {
		lines[0].Line += " since " + r.Since.Format(time.RFC3339)
	}
	for _, l := range lines {
		if err := send(l); err != nil {
			return err
		}
	}
	return nil
}

// Events has what two nodes saw, and notices if it does not go on.
func (f *fake) Events(ctx context.Context, r api.EventsRequest, send func(api.EventLine) error) error {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	lines := []api.EventLine{
		{Kind: api.EventUnasked, Node: "box-3", Text: "it is lost: what it saw cannot be read now"},
		{Kind: api.EventUnasked, Node: "box-3", Text: "it is lost: what it saw cannot be read now"},
		{
			At: at, Kind: mesh.NodeLost, Node: "box-1", NodeID: "aaaa2222bbbb3333", Peer: "box-3",
			PeerID: "eeee6666ffff7777", Text: "it may be dead or cut off", Cursor: "0~aaaa2222bbbb3333.a.1",
		},
		{
			At: at.Add(time.Second), Kind: mesh.AllocReplaced, Node: "box-1", NodeID: "aaaa2222bbbb3333",
			Job: "hello", Alloc: "abce0001", Peer: "box-2", PeerID: "cccc4444dddd5555", Fence: fenced.String(),
			Text: "box-3 is lost", Cursor: "0~aaaa2222bbbb3333.a.2",
		},
		{Kind: api.EventGap, Node: "box-2", Text: "events are missing here", Cursor: "0~aaaa2222bbbb3333.a.2"},
		{
			At: at.Add(2 * time.Second), Kind: mesh.TaskStarted, Node: "box-2", NodeID: "cccc4444dddd5555",
			Job: "hello", Alloc: "abce0001", Text: "started with pid 4101 (attempt 1)",
			Cursor: "0~aaaa2222bbbb3333.a.2~cccc4444dddd5555.b.9",
		},
	}
	for _, l := range lines {
		e := mesh.Event{Kind: l.Kind, Node: l.NodeID, Job: l.Job, Peer: l.PeerID}
		if l.Notice() && r.Follow || !l.Notice() && (!r.Selects(&e) || r.Tail == 0 && r.After.IsZero()) {
			continue
		}
		if err := send(l); err != nil {
			return err
		}
	}
	if r.Follow {
		<-ctx.Done()
	}
	return nil
}

func (f *fake) CreateToken(_ context.Context, r api.TokenRequest) (api.NewToken, error) {
	return api.NewToken{
		ID: "t1", Token: fmt.Sprintf("mn1.t1.%v.%d", r.TTL, r.Uses), Uses: r.Uses, ExpiresAt: earlier(),
	}, nil
}

func (f *fake) Tokens(context.Context) ([]api.TokenStatus, error) {
	return []api.TokenStatus{{ID: "t1", Status: "used", Uses: 1, Used: 1, CreatedAt: earlier()}}, nil
}

func (f *fake) RevokeToken(_ context.Context, id string) error {
	if id != "t1" {
		return mesh.Faultf(mesh.NotFound, "no token %q", id)
	}
	return nil
}

func (f *fake) Judge(context.Context, mesh.Verdict) (int, error) { return 2, nil }

func (f *fake) GiveUp(context.Context, mesh.NodeID, string) (int, error) { return 2, nil }

func (f *fake) KeptFiles(context.Context, *mesh.Kept) ([]api.File, error) { return nil, nil }

func (f *fake) Send(context.Context, *mesh.Kept, io.Writer) error { return nil }

func (f *fake) SetShare(context.Context, mesh.NodeID, mesh.Allowance) (int, error) { return 2, nil }

func (f *fake) Label(context.Context, mesh.NodeID, map[string]string, []string) (int, error) {
	return 2, nil
}

func (f *fake) Administer(context.Context, mesh.Administration) (int, error) { return 2, nil }

func (f *fake) Suppose(ctx context.Context, s api.Supposition) ([]api.Foreseen, error) {
	snap, err := f.Snapshot(ctx)
	side := api.Foreseen{Snapshot: snap, InSight: []mesh.NodeID{"aaaa2222bbbb3333", "cccc4444dddd5555"}, Granted: true}
	for i, what := range []mesh.Becoming{mesh.Moves, mesh.Moves, mesh.Waits, mesh.NoRoom} {
		o := mesh.Outcome{
			Job: "hello", Seat: mesh.Seat{Group: "hello", Index: i}, Node: "eeee6666ffff7777", Becomes: what, Reason: "so it is",
		}
		if what == mesh.Moves {
			o.To = "aaaa2222bbbb3333"
		}
		side.Outcomes = append(side.Outcomes, o)
	}
	other := api.Foreseen{Snapshot: snap, InSight: []mesh.NodeID{"cccc4444dddd5555"}}
	return []api.Foreseen{side, other}[:max(1, len(s.Sides))], err
}
