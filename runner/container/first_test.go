package container

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// process starts one that lives until it is killed, with a variable in its environment.
func process(t *testing.T, variable string) *exec.Cmd {
	t.Helper()
	c := exec.Command("sh", "-c", "echo; read line")
	c.Env = append(os.Environ(), variable)
	_, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // before, it may have no environment yet
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return c
}

// marked is a variable that no other test's processes have.
func marked(t *testing.T) (variable string, f *first) {
	variable = mesh.VarTaskDir + "=" + t.TempDir()
	return variable, newFirst(&runner.Spec{Env: []string{"A=b", variable}})
}

func TestStrangerIsNotTheFirstProcess(t *testing.T) {
	variable, f := marked(t)
	stranger, own := process(t, variable+"/another"), process(t, variable)
	for _, pid := range []int{0, -1, stranger.Process.Pid, 1} {
		if f.accept("0123456789abcdef", pid) || f.known() != 0 {
			t.Errorf("pid %d is taken for it", pid)
		}
	}
	if err := f.signal(syscall.SIGTERM); err == nil {
		t.Error("somebody got a signal")
	}
	if !f.accept("0123456789abcdef", own.Process.Pid) || !f.alive() {
		t.Fatal("its own process is not accepted")
	}
	f.accept("0123456789abcdef", stranger.Process.Pid)
	if f.known() != own.Process.Pid {
		t.Error("another took its place")
	}
	f.ticks++ // as if its pid had been given to another
	if err := f.signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) || f.alive() {
		t.Errorf("one with its pid gets its signals: %v", err)
	}
}

func TestUnknownProcessesAreFoundAndKilled(t *testing.T) {
	variable, f := marked(t)
	own, stranger := process(t, variable), process(t, variable+"/another")
	if !f.kill() {
		t.Fatal("nothing is found")
	}
	own.Wait()
	if f.kill() {
		t.Error("something is left")
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger: %v", err)
	}
}

// What has ended and was not waited for is no more, whoever may have to do that.
func TestZombieIsNotAlive(t *testing.T) {
	variable, f := marked(t)
	own := process(t, variable)
	f.accept("", own.Process.Pid)
	if own.Process.Kill(); f.known() == 0 {
		t.Fatal("it is not accepted")
	}
	for by := time.Now().Add(10 * time.Second); f.alive(); {
		if time.Now().After(by) {
			t.Fatal("it lives on")
		}
	}
}

func TestSignalsByName(t *testing.T) {
	for name, want := range map[string]syscall.Signal{
		"SIGINT": syscall.SIGINT, "quit": syscall.SIGQUIT, "10": syscall.SIGUSR1, "SIGRTMIN+3": syscall.SIGTERM, "": syscall.SIGTERM,
	} {
		if got := signalOf(name); got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
}
