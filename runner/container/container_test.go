package container

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"mn/health/vitals"
	"mn/mesh"
	"mn/runner"
	"mn/runner/container/podmantest"
	"mn/runner/drivertest"
	"mn/runner/exec"
	"mn/runner/supervise"
)

// The test's executable is also the supervisors, as mn is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(supervise.Main(os.Args[2:]))
		case "container":
			os.Exit(Main(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

const node = mesh.NodeID("node-of-the-test")

// start starts a Podman for a test. It is skipped where there can be none.
func start(t *testing.T) *podmantest.Podman {
	t.Helper()
	if why := podmantest.Lacking(); why != "" {
		t.Skip(why)
	}
	return podmantest.Start(t)
}

func engine(t *testing.T, p *podmantest.Podman) *Engine {
	e := New(Config{Socket: p.Socket, Node: node, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if now := e.Look(t.Context()); now.Lacks != "" || now.Name != podman || now.Version == "" {
		t.Fatalf("the engine is %+v", now)
	}
	return e
}

// suite runs tasks in containers.
func suite(p *podmantest.Podman) drivertest.Suite {
	return drivertest.Suite{
		Open: func(t *testing.T, root string) runner.Driver {
			d, err := exec.Open(exec.Config{
				Root: root, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Containers: engine(t, p),
				Volumes: []string{os.TempDir()},
			})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Now: vitals.Now,
		Adapt: func(s *runner.Spec) {
			if s.Container == nil {
				// A first process of ours would start where the command cannot.
				signalled := s.Task == "web"
				s.Container = &mesh.Container{Image: podmantest.Image, Init: signalled, Network: mesh.NetworkNone}
			}
		},
		Contained: true,
		Lease:     8 * time.Second,
	}
}

func TestContract(t *testing.T) {
	t.Parallel() // mostly it waits
	p := start(t)
	suite(p).Run(t)
	if left := p.Containers(); len(left) > 0 {
		t.Errorf("containers %v are left", left)
	}
}
