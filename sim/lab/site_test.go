package lab

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// place is a site that takes notice of what happens there.
type place struct {
	loopback
	started []string // commands
	closed  bool
}

func (p *place) Start(cmd *exec.Cmd) error {
	p.started = append(p.started, cmd.Args[1])
	cmd.Env = append(cmd.Env, "LAB_TEST_PLACE=here")
	return p.loopback.Start(cmd)
}

func (p *place) Close() error {
	p.closed = true
	return nil
}

// TestProcessesOfANodeStartAtItsSite: all of them, also the commands, for one
// that joins needs the network.
func TestProcessesOfANodeStartAtItsSite(t *testing.T) {
	places := map[string]*place{}
	l, err := fakeLab(t, Options{Nodes: 2, Site: func(name, _ string) (Site, error) {
		at, err := newLoopback()
		places[name] = &place{loopback: at}
		return places[name], err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := places["node-2"].started, []string{"mesh", "agent"}; !slices.Equal(got, want) {
		t.Errorf("at the site of node-2 were started %q, want %q", got, want)
	}
	out, err := l.Node("node-1").Mn(t.Context(), "environ")
	if err != nil || !strings.Contains(out, "LAB_TEST_PLACE=here") {
		t.Errorf("what a site adds to the environment is lost: %v", err)
	}
	config, err := os.ReadFile(l.config)
	if err != nil || strings.Contains(string(config), "off = true") {
		t.Errorf("no search for peers on networks of our own: %q, %v", config, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, p := range places {
		if !p.closed {
			t.Errorf("the site of %s was not let go", name)
		}
	}
}

func TestNodeWithoutASiteIsAnError(t *testing.T) {
	_, err := fakeLab(t, Options{Nodes: 1, Site: func(string, string) (Site, error) {
		return nil, errors.New("no room")
	}})
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got error %v", err)
	}
}

func TestAddHasANodeJoinThroughAnother(t *testing.T) {
	var said []string
	l, err := fakeLab(t, Options{Nodes: 1, Said: func(c []string) { said = append(said, strings.Join(c, " ")) }})
	if err != nil {
		t.Fatal(err)
	}
	first := l.Nodes()[0]
	n, err := l.Add(t.Context(), "late", first)
	if err != nil {
		t.Fatal(err)
	}
	if !n.Running() || l.Node("late") != n {
		t.Error("it does not run, or is not known")
	}
	joined := slices.ContainsFunc(said, func(s string) bool {
		return strings.HasPrefix(s, "mn mesh join "+first.Address()) && strings.Contains(s, "--name late")
	})
	if !joined {
		t.Errorf("got commands %q", said)
	}
	if err := l.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.Add(t.Context(), "late", first); err == nil {
		t.Error("a name was taken twice")
	}
}

// stopped says whether a process is stopped by a signal.
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[0] == 'T'
}

// comes waits for a state of a process, which comes a moment after its signal.
func comes(t *testing.T, pid int, want bool) bool {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.After(5 * time.Second); stopped(t, pid) != want; {
		select {
		case <-look.C:
		case <-deadline:
			return false
		}
	}
	return true
}

func TestSignals(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes()[0]
	pids := family(t, n)
	if err := n.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if !comes(t, pids["agent"], true) || stopped(t, pids["task"]) {
		t.Error("SIGSTOP for the agent: it runs, or its task does not")
	}
	if err := n.SignalAll(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for name, pid := range pids {
		if !comes(t, pid, true) {
			t.Errorf("%s of a frozen node runs", name)
		}
	}
	if err := n.SignalAll(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for name, pid := range pids {
		if !comes(t, pid, false) {
			t.Errorf("%s does not run on", name)
		}
	}
	if err := n.KillAgent(); err != nil {
		t.Fatal(err)
	}
	if err := n.Signal(syscall.SIGCONT); err == nil {
		t.Error("a dead agent took a signal")
	}
}
