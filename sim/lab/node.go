package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mn/mesh/api"
)

// Bounds of a node.
const (
	readyMax  = 15 * time.Second      // until a new agent answers
	readyStep = 10 * time.Millisecond // between two looks for its socket
	tailMax   = 2 << 10               // bytes of an agent's log in an error
)

// Node is one node of a lab: a data directory, and an agent when it runs.
type Node struct {
	Name string
	Dir  string // its data

	lab    *Lab
	site   Site
	client *api.Client
	agent  *exec.Cmd
	exited chan struct{} // closed when the agent has ended; nil if there was none
	told   *atomic.Bool  // whoever ends the agent has said so

	mu      sync.Mutex
	crashes []string
}

func (n *Node) socket() string { return filepath.Join(n.Dir, "mn.sock") }

// Address is where other nodes reach it.
func (n *Node) Address() string { return n.site.Address() }

// Site is where it is.
func (n *Node) Site() Site { return n.site }

// Client asks its agent.
func (n *Node) Client() *api.Client { return n.client }

// PID is the process of its agent, 0 if none was started.
func (n *Node) PID() int {
	if n.agent == nil {
		return 0
	}
	return n.agent.Process.Pid
}

// Running says whether its agent runs.
func (n *Node) Running() bool {
	if n.exited == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// Mn runs a command of mn with the node, and returns what it wrote to stdout.
// Its error has what it wrote to stderr.
func (n *Node) Mn(ctx context.Context, args ...string) (string, error) {
	cmd := n.command(ctx, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := n.site.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("run mn %s on %s: %w\n%s",
			strings.Join(args, " "), n.Name, err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// command prepares a run of mn, and says so.
func (n *Node) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append(args, "--data", n.Dir)
	if n.lab.options.Said != nil {
		n.lab.options.Said(append([]string{"mn"}, args...))
	}
	cmd := exec.CommandContext(ctx, n.lab.options.Binary, args...)
	// The user's own mesh must not be the one that answers.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MN_") })
	cmd.Env = append(cmd.Env, n.lab.options.Env...)
	return cmd
}

// Start starts the node's agent, and returns when it answers. Its log is in a
// file beside its data.
func (n *Node) Start(ctx context.Context) error {
	if n.Running() {
		return fmt.Errorf("start %s: it runs already", n.Name)
	}
	log, err := os.OpenFile(n.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", n.Name, err)
	}
	defer log.Close()
	// Not bound to ctx: the agent lives until it is killed, or the lab closed.
	args := append([]string{"agent"}, n.site.Flags()...)
	cmd := n.command(context.WithoutCancel(ctx), append(args, "--config", n.lab.config)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is for the lab to handle
	if err := n.site.Start(cmd); err != nil {
		return fmt.Errorf("start the agent of %s: %w", n.Name, err)
	}
	n.agent, n.exited, n.told = cmd, make(chan struct{}), new(atomic.Bool)
	n.told.Store(true) // one that ends before it has answered is an error of Start
	go func(exited chan<- struct{}, told *atomic.Bool) {
		err := cmd.Wait() // why is in its log
		if !told.Load() {
			n.mu.Lock()
			n.crashes = append(n.crashes, fmt.Sprintf("process %d ended: %v", cmd.Process.Pid, err))
			n.mu.Unlock()
		}
		close(exited)
	}(n.exited, n.told)
	if err := n.ready(ctx); err != nil {
		return err
	}
	n.told.Store(false)
	return nil
}

// Crashes are the ends of its agents that had answered, and that nobody has
// ended.
func (n *Node) Crashes() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.crashes)
}

// Doom says that something else than this package is about to end the agent.
func (n *Node) Doom() {
	if n.told != nil {
		n.told.Store(true)
	}
}

// ready waits until the agent answers. Its socket appears without notice, so
// this has to look.
func (n *Node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	look := time.NewTicker(readyStep)
	defer look.Stop()
	for {
		_, err := n.client.Version(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.exited:
			return fmt.Errorf("start the agent of %s: it ended at once\n%s", n.Name, n.tail())
		case <-ctx.Done():
			return fmt.Errorf("start the agent of %s: no answer: %w\n%s", n.Name, err, n.tail())
		case <-look.C:
		}
	}
}

// Log is the file with all that its agents have said.
func (n *Node) Log() string { return n.Dir + ".log" }

// tail is the end of the agent's log.
func (n *Node) tail() string {
	b, err := os.ReadFile(n.Log())
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-tailMax):])
}

// KillAgent ends the agent alone, as kill -9 does. Its tasks live on.
func (n *Node) KillAgent() error {
	if !n.Running() {
		return nil
	}
	n.Doom()
	if err := n.agent.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the agent of %s: %w", n.Name, err)
	}
	<-n.exited
	return nil
}

// Signal sends a signal to the agent alone.
func (n *Node) Signal(s syscall.Signal) error {
	if !n.Running() {
		return fmt.Errorf("signal the agent of %s: it does not run", n.Name)
	}
	if err := n.agent.Process.Signal(s); err != nil {
		return fmt.Errorf("signal the agent of %s: %w", n.Name, err)
	}
	return nil
}

// SignalAll sends a signal to all of the node: SIGSTOP freezes it.
func (n *Node) SignalAll(s syscall.Signal) error {
	all, err := processesOf(n.Dir)
	if err == nil {
		err = sendAll(all, s)
	}
	if err != nil {
		return fmt.Errorf("signal %s: %w", n.Name, err)
	}
	return nil
}

// Stop ends the agent as an upgrade does: it is asked to, and its tasks live on.
func (n *Node) Stop(ctx context.Context) error {
	if !n.Running() {
		return nil
	}
	n.Doom()
	if err := n.Signal(syscall.SIGTERM); err != nil && n.Running() {
		return err
	}
	select {
	case <-n.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the agent of %s: %w", n.Name, ctx.Err())
	}
}

// Kill ends all of the node at once, as a power cut does: agent, supervisors
// and tasks. What was written to its disk stays. It says when the power went:
// to find all that must end takes a moment before.
func (n *Node) Kill() (cut time.Time, err error) {
	doomed, err := processesOf(n.Dir)
	if err != nil {
		return cut, fmt.Errorf("kill %s: %w", n.Name, err)
	}
	cut = time.Now()
	if n.Running() {
		n.Doom()
		// The agent first, so that it cannot report what happens to its tasks.
		doomed = slices.Insert(doomed, 0, process{pid: n.PID()})
	}
	if err := sendAll(doomed, syscall.SIGKILL); err != nil {
		return cut, fmt.Errorf("kill %s: %w", n.Name, err)
	}
	if n.exited != nil {
		<-n.exited
	}
	if err := killAll(n.Dir); err != nil {
		return cut, fmt.Errorf("kill %s: %w", n.Name, err)
	}
	return cut, nil
}
