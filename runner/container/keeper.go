package container

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"mn/health/clock"
	"mn/runner/supervise"
)

// Bounds of the life of a container.
const (
	waitTimeout = time.Minute // of one question whether it has ended
	againFirst  = 100 * time.Millisecond
	againLast   = 5 * time.Second // between questions to an engine that does not answer
	// silentMax is how long an engine is asked how something has ended that is gone.
	silentMax   = 2 * time.Minute
	drainMax    = 5 * time.Second // for the last output, behind the end
	planFile    = "container.json"
	codeSignals = 128 // exit codes beyond are of signals
	signalMax   = 64
)

// Main is the supervisor of a container: its arguments are what follows "container" on the
// command line, which are as those of [supervise.Main].
func Main(args []string) int {
	return supervise.MainOf(&keeper{ended: make(chan supervise.Ending, 1), gone: make(chan struct{})}, args)
}

// keeper has one container in hand. Its goroutines end when the container has, and the process
// with them.
type keeper struct {
	plan   Plan
	c      *client.Client
	id     string
	pid    int    // of its first process, 0 if nobody knows
	ticks  uint64 // see [supervise.StartTicks]
	stop   string // the signal that asks it to end
	output *output
	ended  chan supervise.Ending
	gone   chan struct{} // closes when nothing of it runs

	asked, killed sync.Once
}

var _ supervise.Keeper = (*keeper)(nil)

// Ended implements [supervise.Keeper].
func (k *keeper) Ended() <-chan supervise.Ending { return k.ended }

// Start implements [supervise.Keeper].
func (k *keeper) Start(spec supervise.Spec, stdout, stderr io.Writer) (pid int, err error) {
	if err := k.read(spec.Attempt); err != nil {
		return 0, err
	}
	if k.c, err = dial(k.plan.Socket); err != nil {
		return 0, err
	}
	timeout := startTimeout
	if spec.Until > 0 {
		timeout = min(timeout, spec.Until-clock.Boot())
	}
	ctx, done := context.WithTimeout(context.Background(), timeout)
	defer done()
	err = k.begin(ctx)
	if err == nil {
		k.output = newOutput(stdout, stderr)
		go k.stay()
		return k.pid, nil
	}
	if k.id != "" {
		if left := remove(context.Background(), k.c, k.id); left != nil {
			return 0, fmt.Errorf("%s; and what was made of it is still there: %w", explain(err), left)
		}
	}
	return 0, errors.New(explain(err))
}

// read reads the plan.
func (k *keeper) read(attempt int) error {
	f, err := os.Open(planFile)
	if err != nil {
		return fmt.Errorf("read plan of container: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, planMax)).Decode(&k.plan); err != nil {
		return fmt.Errorf("read plan of container: %w", err)
	}
	if k.plan.Spec.Attempt != attempt || k.plan.Spec.Container == nil {
		return fmt.Errorf("read plan of container: it is of attempt %d, not %d", k.plan.Spec.Attempt, attempt)
	}
	return nil
}

// begin makes the container and starts it.
func (k *keeper) begin(ctx context.Context) error {
	image, err := k.c.ImageInspect(ctx, k.plan.Spec.Container.Image)
	if err != nil {
		return fmt.Errorf("look for image: %w", err)
	}
	workdir := ""
	k.stop = "SIGTERM"
	if image.Config != nil {
		workdir, k.stop = image.Config.WorkingDir, cmp.Or(image.Config.StopSignal, k.stop)
	}
	if s := k.plan.Spec.Container.StopSignal; s != "" {
		k.stop = s
	}
	options := k.plan.options(workdir)
	made, err := k.c.ContainerCreate(ctx, options)
	if errdefs.IsConflict(err) {
		if err = k.clear(ctx, options.Name); err == nil {
			made, err = k.c.ContainerCreate(ctx, options)
		}
	}
	if err != nil {
		return fmt.Errorf("make container: %w", err)
	}
	k.id = made.ID
	if _, err := k.c.ContainerStart(ctx, k.id, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	is, err := k.c.ContainerInspect(ctx, k.id, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("look at container: %w", err)
	}
	if s := is.Container.State; s != nil && s.Running && s.Pid > 0 {
		if k.ticks, err = supervise.StartTicks(s.Pid); err == nil {
			k.pid = s.Pid
		}
	}
	return nil
}

// clear removes a container that has our name, if it is ours: of this attempt in a life of the
// node that it has forgotten.
func (k *keeper) clear(ctx context.Context, name string) error {
	is, err := k.c.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	if cfg := is.Container.Config; cfg == nil || cfg.Labels[labelNode] != string(k.plan.Node) {
		return fmt.Errorf("another container has the name %q, and is not ours to remove", name)
	}
	return remove(ctx, k.c, is.Container.ID)
}

// alive says whether the container's first process is there, whatever its engine says.
func (k *keeper) alive() bool {
	if k.pid == 0 {
		return false
	}
	ticks, err := supervise.StartTicks(k.pid)
	return err == nil && ticks == k.ticks
}

// stay stays with the container to its end.
func (k *keeper) stay() {
	following, let := context.WithCancel(context.Background())
	said := make(chan struct{})
	go func() {
		defer close(said)
		k.listen(following)
	}()
	ending := k.wait()
	close(k.gone)
	late := time.AfterFunc(drainMax, let)
	<-said
	late.Stop()
	let()
	ctx, done := context.WithTimeout(context.Background(), drainMax)
	_ = k.output.follow(ctx, k.c, k.id, false) // what the engine has kept, and the connection not brought
	done()
	_ = remove(context.Background(), k.c, k.id) // else it is when the engine is seen again
	k.ended <- ending
}

// listen writes what the container says, as long as there is more to come.
func (k *keeper) listen(ctx context.Context) {
	for pause := againFirst; ; pause = min(2*pause, againLast) {
		err := k.output.follow(ctx, k.c, k.id, true)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-k.gone:
			return
		case <-time.After(pause):
		}
		if err == nil {
			pause = againFirst // the engine is there
		}
	}
}

// wait waits for the end of the container, however often its engine comes and goes.
func (k *keeper) wait() supervise.Ending {
	var silent time.Time // since when it is gone, and the engine does not say how
	for pause := againFirst; ; {
		k.waitOnce()
		e, over, err := k.look()
		switch {
		case over:
			return e
		case err == nil:
			silent, pause = time.Time{}, againFirst
		case k.alive():
			silent = time.Time{}
		case silent.IsZero():
			silent = time.Now()
		case time.Since(silent) > silentMax:
			return supervise.Ending{
				Code: -1, At: time.Now(),
				Err: fmt.Sprintf("it is gone, and its engine does not say how it ended: %v", err),
			}
		}
		time.Sleep(pause)
		if err != nil {
			pause = min(2*pause, againLast)
		}
	}
}

// waitOnce returns when the container has ended, or the engine says no more.
func (k *keeper) waitOnce() {
	ctx, done := context.WithTimeout(context.Background(), waitTimeout)
	defer done()
	w := k.c.ContainerWait(ctx, k.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-w.Result:
	case <-w.Error:
	}
}

// look asks how the container is. Over says that it has ended, or is no more.
func (k *keeper) look() (e supervise.Ending, over bool, err error) {
	ctx, done := context.WithTimeout(context.Background(), callTimeout)
	defer done()
	is, err := k.c.ContainerInspect(ctx, k.id, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err) && !k.alive():
		return supervise.Ending{Code: -1, At: time.Now(), Err: "somebody has removed its container"}, true, nil
	case err != nil:
		return e, false, err
	}
	s := is.Container.State
	if s == nil || s.Running || s.Status != container.StateExited && s.Status != container.StateDead {
		return e, false, nil
	}
	return k.ending(s), true, nil
}

// ending is how the container has ended, as the engine says. It has no word for signals but
// the exit code.
func (k *keeper) ending(s *container.State) supervise.Ending {
	e := supervise.Ending{
		Code: s.ExitCode, OOM: s.OOMKilled, Limit: int64(k.plan.Spec.Resources.Memory), At: time.Now(), Err: s.Error,
	}
	if at, err := time.Parse(time.RFC3339Nano, s.FinishedAt); err == nil && at.Before(e.At) && !at.IsZero() {
		e.At = at
	}
	if n := s.ExitCode - codeSignals; n > 0 && n <= signalMax {
		e.Signal = n
	}
	if e.Err == "" {
		e.Err = codes[s.ExitCode]
	}
	return e
}

// codes are what exit codes mean that say more of the command than of the work.
var codes = map[int]string{
	125: "exit code 125: its engine could not run it",
	126: "exit code 126: a command could not be executed",
	127: "exit code 127: a command was not found in the image",
}

// Terminate implements [supervise.Keeper].
func (k *keeper) Terminate() {
	k.asked.Do(func() { go k.insist(k.stop, syscall.SIGTERM) })
}

// Kill implements [supervise.Keeper].
func (k *keeper) Kill() {
	k.killed.Do(func() { go k.insist("SIGKILL", syscall.SIGKILL) })
}

// insist has a signal sent, by the engine, or to the first process itself if the engine does
// not answer. What must be killed is killed until it is gone.
func (k *keeper) insist(name string, signal syscall.Signal) {
	for pause := againFirst; ; pause = min(2*pause, againLast) {
		if signal == syscall.SIGKILL && k.alive() {
			_ = syscall.Kill(k.pid, signal) // an engine that hangs must not keep it alive
		}
		ctx, done := context.WithTimeout(context.Background(), callTimeout)
		_, err := k.c.ContainerKill(ctx, k.id, client.ContainerKillOptions{Signal: name})
		done()
		if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) && k.alive() {
			err = syscall.Kill(k.pid, signal)
		}
		if err == nil && signal != syscall.SIGKILL {
			return
		}
		select {
		case <-k.gone:
			return
		case <-time.After(pause):
		}
	}
}
