package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// The test binary stands in for mn if fakeVar is set, so that a lab is tested
// without what it is there to test.
const (
	fakeVar = "LAB_TEST_FAKE"
	failVar = "LAB_TEST_FAIL" // the agent ends at once and says this
	secret  = "a token"
)

func TestMain(m *testing.M) {
	if os.Getenv(fakeVar) == "" {
		os.Exit(m.Run())
	}
	if err := fake(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func fake(args []string) error {
	dir := after(args, "--data")
	member := filepath.Join(dir, "member")
	command := strings.Join(args[:min(2, len(args))], " ")
	switch {
	case command == "mesh init":
		return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(member, nil, 0o600))
	case command == "mesh token":
		return json.NewEncoder(os.Stdout).Encode(api.NewToken{Token: secret})
	case command == "mesh join":
		if b, err := os.ReadFile(after(args, "--token-file")); err != nil || string(b) != secret {
			return fmt.Errorf("the token is %q: %w", b, err)
		}
		return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(member, nil, 0o600))
	case args[0] == "agent":
		return fakeAgent(dir, member)
	case args[0] == "environ":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		return nil
	case args[0] == "supervise":
		return fakeSupervisor(args[1])
	case args[0] == "orphan":
		return fakeOrphan()
	case args[0] == "task":
		return forEver()
	}
	return fmt.Errorf("the fake knows no command %q", args)
}

func after(args []string, flag string) string {
	for i := range len(args) - 1 {
		if args[i] == flag {
			return args[i+1]
		}
	}
	return ""
}

// fakeAgent starts a supervisor with a task, unless one was started before it,
// and then serves the API.
func fakeAgent(dir, member string) error {
	if text := os.Getenv(failVar); text != "" {
		return errors.New(text)
	}
	if _, err := os.Stat(member); err != nil {
		return fmt.Errorf("not in a mesh: %w", err)
	}
	written := filepath.Join(dir, "supervisor.pid")
	if _, err := os.Stat(written); err != nil {
		// Only its folder tells whose it is; the task's, only its environment.
		cmd := exec.Command(os.Args[0], "supervise", "x")
		cmd.Dir = dir
		cmd.Env = os.Environ() // without PWD, which would tell too
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := firstLine(cmd, filepath.Join(dir, "task.pid")); err != nil {
			return err
		}
		pid := strconv.Itoa(cmd.Process.Pid)
		if err := os.WriteFile(written, []byte(pid), 0o600); err != nil {
			return err
		}
	}
	socket := filepath.Join(dir, "mn.sock")
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return api.NewServer(backend{dir: filepath.Dir(dir)}).Serve(l, api.Socket)
}

// fakeSupervisor keeps the pipe to the agent open no longer than the task's
// number takes.
func fakeSupervisor(string) error {
	cmd := exec.Command(os.Args[0], "orphan")
	cmd.Stdout = os.Stdout
	cmd.Dir = "/"
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), "MN_TASK_DIR="+filepath.Join(dir, "allocs", "x"))
	if err := cmd.Run(); err != nil {
		return err
	}
	return errors.Join(os.Stdout.Close(), forEver())
}

// fakeOrphan starts the task, tells its number, and leaves it alone.
func fakeOrphan() error {
	cmd := exec.Command(os.Args[0], "task")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	return nil
}

// firstLine starts a command, and keeps the first line that it writes.
func firstLine(cmd *exec.Cmd, path string) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	buffer := make([]byte, 32)
	n, err := out.Read(buffer)
	if err != nil {
		return err
	}
	return os.WriteFile(path, buffer[:n], 0o600)
}

func forEver() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	<-ctx.Done()
	return nil
}

// backend shows all nodes that have become members, as alive.
type backend struct {
	api.Backend
	dir string
}

func (backend) Version(context.Context) (api.Version, error) { return api.Version{}, nil }

func (b backend) Snapshot(context.Context) (api.Snapshot, error) {
	members, err := filepath.Glob(filepath.Join(b.dir, "*", "member"))
	if err != nil {
		return api.Snapshot{}, err
	}
	view := &mesh.View{}
	for _, m := range members {
		name := filepath.Base(filepath.Dir(m))
		n := mesh.NodeView{Node: mesh.Node{ID: mesh.NodeID(name), Name: name}, Liveness: mesh.Alive}
		view.Nodes = append(view.Nodes, n)
	}
	return api.Snapshot{View: view}, nil
}

// Changed: another process may have changed something at any time.
func (backend) Changed() <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(5*time.Millisecond, func() { close(c) })
	return c
}
