package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
	"mn/runner/supervise"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// agent is a node that runs in this process.
type agent struct {
	t      *testing.T
	cfg    configs.Daemon
	cancel context.CancelFunc
	done   chan error
	client *api.Client
	info   Info
}

// freePort is a UDP port that nobody uses now.
func freePort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // only its number was wanted
	return c.LocalAddr().(*net.UDPAddr).Port
}

// newAgent is a node that is not in a mesh yet.
func newAgent(t *testing.T, name string) *agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "mn-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary directory
	a := &agent{t: t, cfg: configs.Daemon{
		Data: dir, Name: name, Bind: "127.0.0.1", Port: freePort(t), Discovery: configs.Discovery{Off: true},
		DNS: configs.DNS{Listen: "127.0.0.1:0"},
	}}
	t.Cleanup(a.stop)
	return a
}

// start runs the node until the test ends or stop is called.
func (a *agent) start() {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	a.cancel, a.done = cancel, make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("MN_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", a.cfg.Name)
	}
	go func() {
		a.done <- Run(ctx, a.cfg, Options{Release: "test", Log: log, Ready: func(i Info) { a.info = i; close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-a.done:
		a.t.Fatalf("agent %s: %v", a.cfg.Name, err)
	}
	client, err := api.ClientOf(filepath.Join(a.cfg.Data, Socket))
	if err != nil {
		a.t.Fatal(err)
	}
	a.client = client
}

func (a *agent) stop() {
	if a.cancel == nil {
		return
	}
	a.cancel()
	if err := <-a.done; err != nil {
		a.t.Errorf("agent %s ended: %v", a.cfg.Name, err)
	}
	a.cancel = nil
}

// run submits a job, and stops it before the agents stop, for tasks outlive them.
func (a *agent) run(job mesh.Job) {
	a.t.Helper()
	if _, err := a.client.Run(a.t.Context(), job); err != nil {
		a.t.Fatal(err)
	}
	id := mesh.JobID(job.Name)
	a.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := a.client.Stop(ctx, id); err != nil {
			a.t.Errorf("stop job %s: %v", id, err)
		}
		over := errors.New("over")
		err := a.client.WatchJob(ctx, id, func(j api.Job) error {
			if j.Status == mesh.JobStopped && j.Running == 0 {
				return over
			}
			return nil
		})
		if !errors.Is(err, over) {
			a.t.Errorf("stop job %s: %v", id, err)
		}
	})
}

// newMesh is n running agents of one mesh. They know each other from joining,
// not from the local network.
func newMesh(t *testing.T, n int) []*agent {
	t.Helper()
	agents := []*agent{newAgent(t, "n1")}
	if _, err := Init(agents[0].cfg.Data, InitOptions{Name: "n1"}); err != nil {
		t.Fatal(err)
	}
	agents[0].start()
	if n == 1 {
		return agents
	}
	token, err := agents[0].client.CreateToken(t.Context(), api.TokenRequest{TTL: mesh.Duration(time.Hour), Uses: n - 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := 2; i <= n; i++ {
		a := newAgent(t, fmt.Sprintf("n%d", i))
		_, err := Join(t.Context(), a.cfg.Data, JoinOptions{
			Addr: fmt.Sprintf("127.0.0.1:%d", agents[0].cfg.Port), Token: token.Token, Name: a.cfg.Name,
		})
		if err != nil {
			t.Fatal(err)
		}
		a.start()
		agents = append(agents, a)
	}
	for _, a := range agents {
		a.waitPeers(n)
	}
	return agents
}

// waitPeers waits until a node sees n nodes alive, itself included.
func (a *agent) waitPeers(n int) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	all := errors.New("all are here")
	err := a.client.WatchNodes(ctx, func(nodes []api.Node) error {
		alive := 0
		for _, node := range nodes {
			if node.Status == mesh.Alive {
				alive++
			}
		}
		if alive == n {
			return all
		}
		return nil
	})
	if !errors.Is(err, all) {
		a.t.Fatalf("%s waits for %d nodes: %v", a.cfg.Name, n, err)
	}
}

// waitJob watches a job until done, and returns it as it was then.
func (a *agent) waitJob(id mesh.JobID, done func(api.Job) bool) api.Job {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	var last api.Job
	found := errors.New("found")
	err := a.client.WatchJobs(ctx, func(jobs []api.JobRow) error { // it may be on its way here
		if slices.ContainsFunc(jobs, func(j api.JobRow) bool { return j.ID == id }) {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		a.t.Fatalf("job %s on %s: %v", id, a.cfg.Name, err)
	}
	err = a.client.WatchJob(ctx, id, func(j api.Job) error {
		last = j
		if done(j) {
			return found
		}
		return nil
	})
	if !errors.Is(err, found) {
		a.t.Fatalf("job %s on %s: %v; last %+v", id, a.cfg.Name, err, last)
	}
	return last
}

func running(n int) func(api.Job) bool {
	return func(j api.Job) bool { return j.Running == n && j.Status == mesh.JobRunning }
}

func loopJob(name string, count int) mesh.Job {
	return mesh.Job{Name: name, Type: mesh.Service, Strategy: mesh.Spread, Tasks: []mesh.Task{{
		Name: "loop", Count: count, Driver: "exec",
		Command:   []string{"/bin/sh", "-c", "echo started on $MN_NODE; exec sleep 1000"},
		Resources: mesh.Resources{CPU: mesh.Core / 10, Memory: 16 * mesh.MiB},
	}}}
}

func TestOneNodeRunsAJob(t *testing.T) {
	a := newMesh(t, 1)[0]
	a.run(loopJob("web", 2))
	a.waitJob("web", running(2))
}

func TestEveryPeerGivesTheSameAnswer(t *testing.T) {
	agents := newMesh(t, 3)
	agents[1].run(loopJob("web", 6))
	var first api.Job
	for i, a := range agents {
		j := a.waitJob("web", running(6))
		if i == 0 {
			first = j
		}
		if j.Coordinator != first.Coordinator || len(j.Allocations) != len(first.Allocations) {
			t.Errorf("%s says %+v\nn1 says %+v", a.cfg.Name, j, first)
		}
	}
	lines := map[string]bool{}
	all := errors.New("a line of each copy")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	follow := api.LogsRequest{Job: "web", Tail: -1, Follow: true}
	err := agents[2].client.Logs(ctx, follow, func(l api.LogLine) error {
		lines[fmt.Sprint(l.Index, l.Stream, l.Line)] = true
		if len(lines) == 6 {
			return all
		}
		return nil
	})
	if !errors.Is(err, all) {
		t.Errorf("logs of all copies: %v, %v", lines, err)
	}
}

func TestStoppedAgentLeavesTasksAndAdoptsThem(t *testing.T) {
	a := newMesh(t, 1)[0]
	a.run(loopJob("web", 2))
	before := a.waitJob("web", running(2))
	a.stop()
	a.start()
	after := a.waitJob("web", running(2))
	for i := range before.Allocations {
		b, n := before.Allocations[i], after.Allocations[i]
		if b.PID != n.PID || n.Restarts != 0 {
			t.Errorf("copy %d had pid %d, has %d after %d restarts", b.Index, b.PID, n.PID, n.Restarts)
		}
	}
}

func TestJoinIsRefusedWithTheReason(t *testing.T) {
	agents := newMesh(t, 1)
	first := agents[0]
	create := func(ttl time.Duration, uses int) api.NewToken {
		token, err := first.client.CreateToken(t.Context(), api.TokenRequest{TTL: mesh.Duration(ttl), Uses: uses})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good, used, revoked := create(time.Hour, 1), create(time.Hour, 1), create(time.Hour, 1)
	other := newMesh(t, 1)[0]
	foreign, err := other.client.CreateToken(t.Context(), api.TokenRequest{TTL: mesh.Duration(time.Hour), Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	join := func(token, name string) error {
		dir := t.TempDir()
		_, err := Join(t.Context(), dir, JoinOptions{Addr: fmt.Sprintf("127.0.0.1:%d", first.cfg.Port), Token: token, Name: name})
		return err
	}
	if err := first.client.RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := join(used.Token, "n2"); err != nil {
		t.Fatal(err)
	}
	wrong := []byte(good.Token)
	for i := 20; i < 24; i++ { // within the secret
		wrong[i] = 'a'
	}
	for _, c := range []struct{ name, token, node, want string }{
		{"used up", used.Token, "n3", "used up"},
		{"revoked", revoked.Token, "n3", "revoked"},
		{"another mesh", foreign.Token, "n3", "another mesh"},
		{"wrong secret", string(wrong), "n3", "not of this mesh"},
		{"name taken", good.Token, "n2", "is taken"},
		{"no token", "hello", "n3", "mn1."},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := join(c.token, c.node)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("join: %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := first.client.Version(t.Context()); err != nil {
		t.Errorf("the agent after refused joins: %v", err)
	}
}

func TestNameOfAnotherNodeEndsTheAgent(t *testing.T) {
	agents := newMesh(t, 2)
	thief := agents[1]
	thief.stop()
	thief.cfg.Name = "n1"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := Run(ctx, thief.cfg, Options{Release: "test", Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), `the name "n1" is taken`) {
		t.Errorf("an agent with another's name ended with %v", err)
	}
	agents[0].stop()
	agents[0].start()
	if v, err := agents[0].client.Version(t.Context()); err != nil || v.Node != "n1" {
		t.Errorf("the name's owner after a restart: %v, %v", v, err)
	}
}

func TestUnfinishedInitCanBeRepeated(t *testing.T) {
	dir := t.TempDir()
	// A folder where a file should be: the first try fails after the keys were made.
	if err := os.Mkdir(filepath.Join(dir, nameFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(dir, InitOptions{Name: "n1"}); err == nil {
		t.Fatal("init cannot write the node's name, and says nothing")
	}
	if err := os.Remove(filepath.Join(dir, nameFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(dir, InitOptions{Name: "n1"}); err != nil {
		t.Errorf("init after one that failed half way: %v", err)
	}
}

// TestNodeIsNeverCalledByAnEmptyName: a power cut has emptied the file of some.
func TestNodeIsNeverCalledByAnEmptyName(t *testing.T) {
	a := newAgent(t, "n1")
	if _, err := Init(a.cfg.Data, InitOptions{Name: "n1"}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(a.cfg.Data, nameFile)
	for _, want := range []string{"n1", ""} {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		a.cfg.Name = ""
		a.start()
		v, err := a.client.Version(t.Context())
		if want == "" {
			want = v.NodeID.Short()
		}
		if err != nil || v.Node != want {
			t.Errorf("it is called %q, %v; want %q", v.Node, err, want)
		}
		a.stop()
	}
}

func TestChangedAddressIsToldToThePeers(t *testing.T) {
	a := newAgent(t, "n1")
	if _, err := Init(a.cfg.Data, InitOptions{Name: "n1"}); err != nil {
		t.Fatal(err)
	}
	a.cfg.Bind = "" // everywhere
	var host atomic.Value
	host.Store(netip.MustParseAddr("127.0.0.1"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan netip.Addr, 8)
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, a.cfg, Options{
			Release: "test", Log: slog.New(slog.DiscardHandler),
			Ready:  func(i Info) { told <- i.Address.Addr() },
			hostIP: func() netip.Addr { return host.Load().(netip.Addr) },
		})
	}()
	for _, ip := range []string{"127.0.0.1", "192.0.2.7", "192.0.2.8"} {
		host.Store(netip.MustParseAddr(ip))
		select {
		case got := <-told:
			if got.String() != ip {
				t.Errorf("the agent says that it is at %v, want %v", got, ip)
			}
		case err := <-done:
			t.Fatalf("the agent ended: %v", err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the agent ended: %v", err)
	}
}

func TestPlanOfANewVersionShowsWhatTakesThePlace(t *testing.T) {
	a := newMesh(t, 1)[0]
	a.run(loopJob("web", 2))
	a.waitJob("web", running(2))
	again, err := a.client.Run(t.Context(), loopJob("web", 2))
	if err != nil || again.Changed || len(again.Warnings) != 0 {
		t.Errorf("the same job again: %+v, %v, want no change and no warning", again, err)
	}
	next := loopJob("web", 3)
	next.Tasks[0].Command = []string{"/bin/sleep", "999"}
	plan, err := a.client.Plan(t.Context(), next)
	if err != nil || len(plan.Stop) != 2 || len(plan.Place) != 3 || plan.Verdict != api.RunnableNow {
		t.Errorf("plan of the next version: %+v, %v, want 2 stops and 3 places", plan, err)
	}
	next.Tasks[0].Resources.CPU = 1000 * mesh.Core
	plan, err = a.client.Plan(t.Context(), next)
	if err != nil || plan.Verdict != api.NotRunnable || len(plan.Blocked) != 1 {
		t.Errorf("plan of a version that fits nowhere: %+v, %v", plan, err)
	}
}
