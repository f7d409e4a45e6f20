package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
func newAgent(t *testing.T, name string, discovery int) *agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "mn-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary directory
	return &agent{t: t, cfg: configs.Daemon{
		Data: dir, Name: name, Bind: "127.0.0.1", Port: freePort(t), Discovery: configs.Discovery{Port: discovery},
	}}
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
		a.done <- Run(ctx, a.cfg, Options{Release: "test", Log: log, Ready: func(Info) { close(ready) }})
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
	a.t.Cleanup(a.stop)
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

// newMesh is n running agents of one mesh.
func newMesh(t *testing.T, n int) []*agent {
	t.Helper()
	discovery := freePort(t)
	agents := []*agent{newAgent(t, "n1", discovery)}
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
		a := newAgent(t, fmt.Sprintf("n%d", i), discovery)
		_, err := Join(t.Context(), a.cfg.Data, JoinOptions{
			Addr: fmt.Sprintf("127.0.0.1:%d", agents[0].cfg.Port), Token: token.Token, Name: a.cfg.Name,
		})
		if err != nil {
			t.Fatal(err)
		}
		a.start()
		agents = append(agents, a)
	}
	return agents
}

// waitJob watches a job until done, and returns it as it was then.
func (a *agent) waitJob(id mesh.JobID, done func(api.Job) bool) api.Job {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	var last api.Job
	found := fmt.Errorf("found")
	err := a.client.WatchJob(ctx, id, func(j api.Job) error {
		last = j
		if done(j) {
			return found
		}
		return nil
	})
	if err != found {
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
	if _, err := a.client.Run(t.Context(), loopJob("web", 2)); err != nil {
		t.Fatal(err)
	}
	j := a.waitJob("web", running(2))
	t.Logf("%+v", j)
	if _, err := a.client.Stop(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	a.waitJob("web", func(j api.Job) bool { return j.Status == mesh.JobStopped })
}

func TestLossOfANodeMovesItsWork(t *testing.T) {
	agents := newMesh(t, 3)
	if _, err := agents[1].client.Run(t.Context(), loopJob("web", 6)); err != nil {
		t.Fatal(err)
	}
	for _, a := range agents {
		j := a.waitJob("web", running(6))
		t.Logf("%s: %s coordinator %s fence %s", a.cfg.Name, j.Status, j.Coordinator, j.Fence)
	}
}
