package lab

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeLab starts a lab of fake agents, which end with the test.
func fakeLab(t *testing.T, o Options) (*Lab, error) {
	t.Helper()
	t.Setenv(fakeVar, "yes")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each of many short lives
	o.Binary = os.Args[0]
	if o.Dir == "" {
		o.Dir = shortDir(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	l, err := Start(ctx, o)
	if err == nil {
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return l, err
}

// shortDir is a temporary folder with a path that leaves room for a socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestStartFormsTheMeshInOrder(t *testing.T) {
	var said []string
	dir := shortDir(t)
	l, err := fakeLab(t, Options{Dir: dir, Nodes: 3, Config: `profile = "fast"`, Said: func(c []string) {
		said = append(said, strings.Join(c[:min(3, len(c))], " "))
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"mn mesh init", "mn agent --bind", "mn mesh token",
		"mn mesh join", "mn agent --bind", "mn mesh join", "mn agent --bind",
	}
	if !slices.Equal(said, want) {
		t.Errorf("got commands\n%q, want\n%q", said, want)
	}
	if got := len(l.Running()); got != 3 {
		t.Errorf("%d nodes run, want 3", got)
	}
	config, err := os.ReadFile(filepath.Join(dir, "agent.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "profile = \"fast\"\n[discovery]\noff = true\n[dns]\nlisten = \"127.0.0.1:0\"\n"; string(config) != want {
		t.Errorf("got configuration %q, want %q", config, want)
	}
	info, err := os.Stat(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the token: mode %v", info.Mode())
	}
}

func TestStartRefusesAStrangeNumberOfNodes(t *testing.T) {
	for _, n := range []int{-1, 0, nodesMax + 1} {
		if _, err := fakeLab(t, Options{Nodes: n}); err == nil {
			t.Errorf("a lab of %d nodes was started", n)
		}
	}
}

// TestAgentThatEndsAtOnceIsReported: with what it said, and without waiting
// for the time that a slow one has.
func TestAgentThatEndsAtOnceIsReported(t *testing.T) {
	t.Setenv(failVar, "the port is taken")
	_, err := fakeLab(t, Options{Nodes: 1})
	if err == nil || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("got error %v, want one with what the agent said", err)
	}
}

func TestErrorOfACommandHasItsComplaint(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Nodes()[0].Mn(t.Context(), "no", "such")
	if err == nil || !strings.Contains(err.Error(), "the fake knows no command") {
		t.Errorf("got error %v, want one with what mn said", err)
	}
}

// TestCommandsDoNotReachTheUsersOwnMesh: MN_ADDR would send them there.
func TestCommandsDoNotReachTheUsersOwnMesh(t *testing.T) {
	t.Setenv("MN_ADDR", "/somewhere/else")
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.Nodes()[0].Mn(t.Context(), "environ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "MN_ADDR") {
		t.Error("MN_ADDR of the user was passed on")
	}
}

// TestKillEndsTheNodeAndNothingElse: the agent, the supervisor in a session of
// its own, and the task that has left its parent behind.
func TestKillEndsTheNodeAndNothingElse(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	victim, other := l.Nodes()[0], l.Nodes()[1]
	dying, living := family(t, victim), family(t, other)
	if _, err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range dying {
		if _, lives := look(pid, victim.Dir); lives {
			t.Errorf("%s of the killed node lives", name)
		}
	}
	for name, pid := range living {
		if _, lives := look(pid, other.Dir); !lives {
			t.Errorf("%s of the other node is dead", name)
		}
	}
	if victim.Running() || !other.Running() {
		t.Errorf("running: victim %v, other %v", victim.Running(), other.Running())
	}
}

func TestKillAgentLeavesItsTasks(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes()[0]
	family := family(t, n)
	if err := n.KillAgent(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range family {
		if _, lives := look(pid, n.Dir); lives != (name != "agent") {
			t.Errorf("%s lives: %v", name, lives)
		}
	}
	if err := n.Start(t.Context()); err != nil {
		t.Errorf("start again: %v", err)
	}
	if err := n.Start(t.Context()); err == nil {
		t.Error("a second agent was started")
	}
}

// TestKillFindsWhatADeadAgentLeft: nothing says any more whose it is, but where
// it stands and what is in its environment.
func TestKillFindsWhatADeadAgentLeft(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes()[0]
	family := family(t, n)
	if err := n.KillAgent(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range family {
		if _, lives := look(pid, n.Dir); lives {
			t.Errorf("%s lives", name)
		}
	}
}

// TestAgentThatEndsByItselfHasCrashed, unlike one that was ended, in whatever
// way, or that never answered.
func TestAgentThatEndsByItselfHasCrashed(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes()[0]
	ends := []func() error{
		n.KillAgent,
		func() error { return n.Stop(t.Context()) },
		func() error { _, err := n.Kill(); return err },
		func() error { n.Doom(); return n.Signal(syscall.SIGKILL) },
		func() error { return n.Signal(syscall.SIGKILL) },
	}
	for i, end := range ends {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		<-n.exited
		if got, last := n.Crashes(), i == len(ends)-1; (len(got) == 1) != last {
			t.Errorf("end %d: got crashes %q", i, got)
		}
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.KillAgent(); err != nil {
		t.Fatal(err)
	}
	t.Setenv(failVar, "no")
	if err := n.Start(t.Context()); err == nil || len(n.Crashes()) != 1 {
		t.Errorf("started: %v; crashes %q", err == nil, n.Crashes())
	}
}

func TestUsageCountsSupervisorsAlone(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes()[0]
	family(t, n)
	u, err := n.SupervisorUsage()
	if err != nil {
		t.Fatal(err)
	}
	if u.Processes != 1 || u.Memory <= 0 || u.CPU <= 0 {
		t.Errorf("got %+v, want one process that takes something", u)
	}
	agent, err := n.AgentUsage()
	if err != nil {
		t.Fatal(err)
	}
	if agent.Processes != 1 || agent.Memory <= 0 || agent.CPU <= 0 {
		t.Errorf("got %+v, want one process that takes something", agent)
	}
}

func TestUsageOfTheDeadIsAnError(t *testing.T) {
	l, err := fakeLab(t, Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes()[0]
	if _, err := n.Kill(); err != nil {
		t.Fatal(err)
	}
	if u, err := n.AgentUsage(); err == nil {
		t.Errorf("a dead agent takes %+v", u)
	}
}

func TestNames(t *testing.T) {
	tests := []struct {
		text, path string
		want       bool
	}{
		{"mn\x00agent\x00--data\x00/tmp/a/node-1\x00", "/tmp/a/node-1", true},
		{"MN_TASK_DIR=/tmp/a/node-1/allocs/x", "/tmp/a/node-1", true},
		{"/tmp/a/node-1", "/tmp/a/node-1", true},
		{"mn\x00agent\x00--data\x00/tmp/a/node-10\x00", "/tmp/a/node-1", false},
		{"/tmp/a/node-10 /tmp/a/node-1/x", "/tmp/a/node-1", true},
		{"/tmp/a/node-1.log", "/tmp/a/node-1", false},
		{"", "/tmp/a/node-1", false},
	}
	for _, test := range tests {
		if got := names(test.text, test.path); got != test.want {
			t.Errorf("names(%q, %q) = %v, want %v", test.text, test.path, got, test.want)
		}
	}
}

// TestKillAllSparesTheCaller: whoever runs a lab may have its path in its
// arguments, and its parents too.
func TestKillAllSparesTheCaller(t *testing.T) {
	dir := shortDir(t)
	t.Chdir(dir)
	found, err := processesOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 0 {
		t.Errorf("the caller was found to belong to %q: %v", dir, found)
	}
}

// family are the processes of a fake node, as they have written it down.
func family(t *testing.T, n *Node) map[string]int {
	t.Helper()
	pids := map[string]int{"agent": n.PID()}
	for _, name := range []string{"supervisor", "task"} {
		b, err := os.ReadFile(filepath.Join(n.Dir, name+".pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		pids[name] = pid
	}
	return pids
}

// TestDescends: a child without any mark belongs where its parents do, but the
// caller's children belong to the caller.
func TestDescends(t *testing.T) {
	me := os.Getpid()
	all := map[int]*process{}
	add := func(pid, parent int, ours bool) { all[pid] = &process{pid: pid, parent: parent, ours: ours} }
	add(1, 0, false)
	add(me, 1, false)
	// No process has numbers like these.
	const agent, task, child, stranger, helper = -1, -2, -3, -4, -5
	add(agent, me, true)
	add(task, agent, false)
	add(child, task, false)
	add(stranger, 1, false)
	add(helper, me, false)
	want := map[int]bool{agent: true, task: true, child: true}
	for pid, p := range all {
		if got := descends(all, p); got != want[pid] {
			t.Errorf("process %d descends: %v, want %v", pid, got, want[pid])
		}
	}
}
