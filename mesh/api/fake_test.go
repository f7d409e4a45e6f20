package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

var (
	monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	exit3  = 3
)

// world is a mesh of three nodes: n1 and n2 are alive, n3 is lost. The service
// web has copies on all; sum, a batch job as it has no type, has failed once.
func world() Snapshot {
	web := mesh.Job{Name: "web", Type: mesh.Service, Tasks: []mesh.Task{
		{Name: "web", Count: 3, Command: []string{"./web"}},
	}}
	sum := mesh.Job{Name: "sum", Tasks: []mesh.Task{
		{Name: "sum", Group: "pair", Command: []string{"./sum"}},
		{Name: "log", Group: "pair", Command: []string{"./log"}},
	}}
	alloc := func(id, job, group string, index, generation int, node string) mesh.AllocView {
		return mesh.AllocView{Alloc: mesh.Alloc{
			ID: mesh.AllocID(id), Job: mesh.JobID(job), Version: 1, Group: group, Index: index,
			Generation: generation, Node: mesh.NodeID(node), Want: mesh.WantRun, At: monday,
			Fence: crdt.Fence{Epoch: 1, Ballot: 7}, Coordinator: "aaaa1111",
		}}
	}
	says := func(a mesh.AllocView, s mesh.AllocState, tasks ...mesh.TaskStatus) mesh.AllocView {
		for i := range tasks {
			tasks[i].State = s
		}
		a.Status = &mesh.Status{Alloc: a.ID, State: s, Tasks: tasks, At: monday}
		return a
	}
	run := func(pid int) mesh.TaskStatus {
		return mesh.TaskStatus{Name: "web", PID: pid, StartedAt: monday}
	}
	gone := says(alloc("webold01", "web", "web", 1, 0, "bbbb2222"), mesh.Stopped, run(90))
	gone.Want = mesh.WantStop
	failed := mesh.TaskStatus{Name: "sum", ExitCode: &exit3, FinishedAt: monday, Reason: "exit code 3"}
	return Snapshot{
		View: &mesh.View{
			Now: monday, Self: "aaaa1111",
			Nodes: []mesh.NodeView{
				withDevices(node("aaaa1111", "n1", mesh.Alive)),
				node("bbbb2222", "n2", mesh.Alive),
				node("bbbc3333", "n3", mesh.Lost),
			},
			Jobs: []mesh.JobView{
				{JobVersion: mesh.JobVersion{Job: sum, Number: 1, Hash: "h-sum", At: monday, By: "aaaa1111"}},
				{
					JobVersion: mesh.JobVersion{Job: web, Number: 2, Hash: "h-web", At: monday, By: "bbbb2222"},
					Tags:       []mesh.Tag{{Job: "web", Name: "first", Version: 1, Hash: "h-first"}},
					Conflicts:  []mesh.JobVersion{{Hash: "h-other"}},
				},
			},
			Allocs: []mesh.AllocView{
				says(alloc("sum00001", "sum", "pair", 0, 0, "aaaa1111"), mesh.Failed, failed,
					mesh.TaskStatus{Name: "log"}),
				equipped(says(alloc("web00000", "web", "web", 0, 0, "aaaa1111"), mesh.Running, run(100))),
				gone,
				says(alloc("web00001", "web", "web", 1, 1, "bbbb2222"), mesh.Running, run(101)),
				says(alloc("web00002", "web", "web", 2, 0, "bbbc3333"), mesh.Running, run(102)),
			},
		},
		Outlooks: []Outlook{
			{Status: mesh.JobFailed, Text: "it failed", Wanted: map[string]int{"pair": 1}},
			{
				Status: mesh.JobPending, Wanted: map[string]int{"web": 3}, Coordinator: "aaaa1111", Fence: crdt.Fence{Epoch: 1, Ballot: 7},
			},
		},
	}
}

// node is a node of the world.
func node(id, name string, l mesh.Liveness) mesh.NodeView {
	return mesh.NodeView{
		Node: mesh.Node{
			ID: mesh.NodeID(id), Name: name, Address: "10.0.0.1:7700", Boot: "boot-" + mesh.BootID(name),
			Role: mesh.Worker, Release: "1.0", OS: "linux", Arch: "amd64", Drivers: []string{"exec"},
			Capacity:  mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB, Disk: 100 * mesh.GiB},
			StartedAt: monday,
		},
		Known: true, Liveness: l, Eligible: l == mesh.Alive,
	}
}

// equipped is a copy with a port and a part of a device.
func equipped(a mesh.AllocView) mesh.AllocView {
	a.Grants = &mesh.Grants{
		Ports: []mesh.PortGrant{{Task: "web", Label: "api", Protocol: mesh.ProtocolHTTP, Number: 20000}},
		Devices: []mesh.DeviceGrant{{
			Task: "web", DeviceRequest: mesh.DeviceRequest{Share: 250},
			Given: []mesh.GivenDevice{{ID: "GPU-1", Index: 1, Driver: "cuda", Part: 4 * mesh.GiB}},
		}},
	}
	return a
}

// withDevices is a node with GPUs, and what copies have of it.
func withDevices(n mesh.NodeView) mesh.NodeView {
	n.Devices = []mesh.Device{
		{ID: "GPU-0", Kind: mesh.GPU, Driver: "cuda", Memory: 16 * mesh.GiB, Sick: "Xid 79"},
		{
			ID: "GPU-1", Kind: mesh.GPU, Index: 1, Vendor: "nvidia", Model: "Tesla T4", Driver: "cuda", DriverVersion: "550.54",
			APIVersion: "12.4", Memory: 16 * mesh.GiB, Foreign: mesh.GiB, ForeignBy: []string{"alice/4711"}, Capabilities: []string{"fp16"},
		},
	}
	n.Foreign = []mesh.Port{{Number: 22, Transport: mesh.TCP}}
	a := equipped(mesh.AllocView{Alloc: mesh.Alloc{ID: "web00000"}})
	n.Used = mesh.Usage{}.With(&a.Alloc)
	return n
}

// fake is a backend of a world, which tests may change.
type fake struct {
	mu      sync.Mutex
	snap    Snapshot
	changed chan struct{}
	fault   error // of everything that can fail

	submit func(context.Context) error
	logs   func(context.Context, LogsRequest, func(LogLine) error) error
	asked  []any
}

func newFake() *fake { return &fake{snap: world(), changed: make(chan struct{})} }

// change changes the world, and tells. A snapshot that was handed out stays as
// it was.
func (f *fake) change(how func(*Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	view := *f.snap.View
	view.Nodes, view.Jobs, view.Allocs = slices.Clone(view.Nodes), slices.Clone(view.Jobs), slices.Clone(view.Allocs)
	f.snap = Snapshot{View: &view, Outlooks: slices.Clone(f.snap.Outlooks)}
	how(&f.snap)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) note(r any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	return f.fault
}

func (f *fake) Snapshot(context.Context) (Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snap, f.fault
}

func (f *fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fake) Submit(ctx context.Context, r RunRequest) (Submitted, error) {
	if f.submit != nil {
		if err := f.submit(ctx); err != nil {
			return Submitted{}, err
		}
	}
	return Submitted{ID: mesh.JobID(r.Job.Name), Version: 3, Changed: true}, f.note(r)
}

func (f *fake) Act(_ context.Context, verb mesh.Verb, r ActRequest) (Submitted, error) {
	return Submitted{ID: r.Job, Version: 3, Changed: true}, f.note(acted{verb, r})
}

func (f *fake) Scale(_ context.Context, r ScaleRequest) (Submitted, error) {
	return Submitted{ID: r.Job, Version: 3, Changed: true}, f.note(r)
}

func (f *fake) Tag(_ context.Context, r TagRequest) (Tagged, error) {
	return Tagged{ID: r.Job, Tag: r.Tag, Version: 3, Changed: true}, f.note(r)
}

// acted is what the fake notes of an Act.
type acted struct {
	verb mesh.Verb
	r    ActRequest
}

func (f *fake) Plan(_ context.Context, j mesh.Job) (Plan, error) {
	return Plan{ID: mesh.JobID(j.Name), Verdict: RunnableNow}, f.note(j)
}

func (f *fake) Why(_ context.Context, id mesh.JobID) (Why, error) {
	return Why{ID: id, Status: mesh.JobPending}, f.note(id)
}

func (f *fake) Lacks(_ context.Context, objects []string) ([]string, error) {
	return objects[:len(objects)/2], f.note(objects)
}

func (f *fake) Keep(_ context.Context, objects io.Reader) (int64, error) {
	n, err := io.Copy(io.Discard, objects)
	return n, cmp.Or(err, f.note(n))
}

func (f *fake) Queue(context.Context) ([]QueuedJob, error) {
	return []QueuedJob{{Position: 1, Job: "web"}}, f.note("queue")
}

func (f *fake) Explain(_ context.Context, id mesh.JobID) (Explanation, error) {
	next := monday.Add(time.Minute)
	return Explanation{Version: 2, Copies: []CopyCount{{
		ID: "web00000", Task: "web", Group: "web", Node: "n1", NodeID: "aaaa1111", Status: mesh.Backoff,
		Restarts: Used{Used: 2, Allowed: 3, Interval: mesh.Duration(10 * time.Minute)},
		Moves:    Used{Used: 1, Unlimited: true, Interval: mesh.Duration(time.Hour)},
		Next:     "restarts here", NextAt: &next,
	}}}, f.note(id)
}

func (f *fake) History(_ context.Context, id mesh.JobID) ([]mesh.JobVersion, error) {
	return []mesh.JobVersion{
		{Number: 1, Hash: "h-first", By: "bbbc3333", Job: f.snap.View.Jobs[1].Job},
		{Number: 2, Hash: "h-web", By: "bbbb2222", Verb: mesh.VerbPause, Reason: "dinner"},
	}, f.note(id)
}

func (f *fake) Logs(ctx context.Context, r LogsRequest, send func(LogLine) error) error {
	if err := f.note(r); err != nil || f.logs == nil {
		return err
	}
	return f.logs(ctx, r, send)
}

func (f *fake) Files(_ context.Context, r FilesRequest) (Listing, error) { return Listing{}, f.note(r) }

// SendFiles sends a frame, and breaks off if that is what is asked for.
func (f *fake) SendFiles(_ context.Context, r FilesRequest, w io.Writer) error {
	if err := f.note(r); err != nil {
		return err
	}
	_, err := io.WriteString(w, "z\x00\x00\x00\x02{}")
	if r.Path == "broken" {
		return errors.New("the other node has gone")
	}
	return err
}

// TakeFiles says how much has come, unless it does not want it.
func (f *fake) TakeFiles(_ context.Context, r FilesRequest, from io.Reader) (mesh.Arrived, error) {
	if err := f.note(r); err != nil {
		return mesh.Arrived{}, err
	}
	n, err := io.Copy(io.Discard, from)
	return mesh.Arrived{Path: r.Path, Files: 1, Bytes: n}, err
}

// Exec says what it hears.
func (f *fake) Exec(_ context.Context, r ExecRequest) (io.ReadWriteCloser, error) {
	if err := f.note(r); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(theirs, theirs); theirs.Close() }()
	return ours, nil
}

func (f *fake) Events(_ context.Context, r EventsRequest, _ func(EventLine) error) error {
	return f.note(r)
}

func (f *fake) CreateToken(_ context.Context, r TokenRequest) (NewToken, error) {
	return NewToken{ID: "t1", Token: "mn1.t1.secret.print", Uses: r.Uses, ExpiresAt: monday}, f.note(r)
}

func (f *fake) Tokens(context.Context) ([]TokenStatus, error) { return nil, f.fault }

func (f *fake) RevokeToken(_ context.Context, id string) error { return f.note(id) }

func (f *fake) Judge(_ context.Context, v mesh.Verdict) (int, error) { return 2, f.note(v) }

func (f *fake) GiveUp(_ context.Context, node mesh.NodeID, reason string) (int, error) {
	return 2, f.note([2]string{string(node), reason})
}

func (f *fake) Administer(_ context.Context, a mesh.Administration) (int, error) {
	return 2, f.note(a)
}

func (f *fake) KeptFiles(_ context.Context, k *mesh.Kept) ([]File, error) {
	return []File{{Path: "out/a.csv", Size: 3, Hash: k.Tree}}, f.note(k.Tree)
}

func (f *fake) Send(_ context.Context, k *mesh.Kept, w io.Writer) error {
	if err := f.note(k.Tree); err != nil {
		return err
	}
	_, err := io.WriteString(w, "objects of "+k.Tree)
	return err
}

func (f *fake) SetShare(_ context.Context, node mesh.NodeID, share mesh.Allowance) (int, error) {
	return 2, f.note([2]string{string(node), share.String()})
}

func (f *fake) Label(_ context.Context, node mesh.NodeID, set map[string]string, remove []string) (int, error) {
	return 2, f.note(fmt.Sprint(node, set, remove))
}

func (f *fake) Suppose(ctx context.Context, s Supposition) ([]Foreseen, error) {
	if err := f.note(s); err != nil {
		return nil, err
	}
	snap, err := f.Snapshot(ctx)
	o := mesh.Outcome{
		Alloc: "web00002", Job: "web", Seat: mesh.Seat{Group: "web", Index: 2}, Node: "bbbc3333",
		Becomes: mesh.Moves, To: "aaaa1111", Reason: "node n3 is lost",
	}
	waits := o
	waits.Becomes, waits.To = mesh.Waits, ""
	return []Foreseen{{
		Snapshot: snap, InSight: []mesh.NodeID{"bbbb2222", "aaaa1111"}, Granted: true,
		Outcomes: []mesh.Outcome{o, waits},
	}}, err
}

func (f *fake) Recover(_ context.Context, r RecoverRequest) (Vouched, error) {
	return Vouched{Was: []string{"n1", "n2"}, Voter: "n1", Forgotten: r.Off, Copies: 1}, f.note(r)
}

func (f *fake) Evict(_ context.Context, r EvictRequest) (int, error) { return 2, f.note(r) }

func (f *fake) Version(context.Context) (Version, error) {
	return Version{Release: "1.0", Node: "n1"}, f.fault
}

func (f *fake) Digest(context.Context) (Digest, error) { return Digest{Digest: "d"}, f.fault }

// pipes is a listener in memory, so that tests can be in a bubble of time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serving starts a server of b, and returns it with a client of it.
func serving(t *testing.T, b Backend, door Door) (*Server, *Client) {
	t.Helper()
	s, p := NewServer(b), newPipes()
	done := make(chan error, 1)
	go func() { done <- s.Serve(p, door) }()
	c := NewClient("here", p.dial)
	t.Cleanup(func() {
		c.Close()
		if err := s.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, c
}

func (f *fake) Steer(_ context.Context, r SteerRequest) (Steered, error) {
	return Steered{Key: r.Job, Version: 2, Verb: r.Verb, Changed: true}, f.note(r)
}

func (f *fake) Rollback(_ context.Context, r RollbackRequest) (Submitted, error) {
	return Submitted{ID: r.Job, Version: 3, Changed: true}, f.note(r)
}

func (f *fake) Deployments(_ context.Context, job mesh.JobID) ([]mesh.Deployment, error) {
	return []mesh.Deployment{
		{Job: job, Version: 1, Hash: "h-first", State: mesh.Deployed, Began: monday, Ended: monday},
		{Job: job, Version: 2, Hash: "h-web", State: mesh.Deploying, Began: monday},
	}, f.note(job)
}
