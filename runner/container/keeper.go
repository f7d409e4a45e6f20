package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

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
	return supervise.MainOf(newKeeper(), args)
}

func newKeeper() *keeper {
	return &keeper{ended: make(chan supervise.Ending, 1), gone: make(chan struct{}), patience: silentMax}
}

// keeper has one container in hand. Its goroutines end when the container has, and the process
// with them.
type keeper struct {
	plan   Plan
	c      *client.Client
	id     string
	sent   bool   // an engine was asked to make it
	first  *first // process of it
	stop   string // the signal that asks it to end
	output *output
	ended  chan supervise.Ending
	gone   chan struct{} // closes when nothing of it runs
	// patience is how long an engine is asked how something has ended that is gone.
	patience time.Duration

	asked, killed sync.Once
}

var _ supervise.Keeper = (*keeper)(nil)

// Ended implements [supervise.Keeper].
func (k *keeper) Ended() <-chan supervise.Ending { return k.ended }

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
		case k.first.alive() || k.first.known() == 0 && !errdefs.IsNotFound(err):
			silent = time.Time{} // it runs, or may
		case silent.IsZero():
			silent = time.Now()
		case time.Since(silent) > k.patience:
			return supervise.Ending{
				Code: -1, At: time.Now(),
				Err: fmt.Sprintf("it is gone, and its engine does not say how it ended: %s", brief(err.Error())),
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

// Engines are not believed that say otherwise.
var (
	errAlive = errors.New("it runs, and its engine says that it does not: it is killed")
	errGone  = errors.New("it says that it runs") // for a moment that is so at each end
)

// look asks how the container is. Over says that it has ended, or is no more; never while its
// first process lives, whatever has become of the engine's own processes and files.
func (k *keeper) look() (e supervise.Ending, over bool, err error) {
	ctx, done := context.WithTimeout(context.Background(), callTimeout)
	defer done()
	is, err := k.c.ContainerInspect(ctx, k.id, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		switch known := k.first.known() > 0; {
		case k.first.kill():
			return e, false, errAlive
		case known:
			return supervise.Ending{Code: -1, At: time.Now(), Err: "somebody has removed its container"}, true, nil
		}
	}
	if err != nil {
		return e, false, err
	}
	s := is.Container.State
	if s == nil {
		return e, false, nil
	}
	if s.Running || s.Status != container.StateExited && s.Status != container.StateDead {
		if k.first.accept(k.id, s.Pid) && !k.first.alive() {
			return e, false, errGone // what has watched it was killed
		}
		return e, false, nil
	}
	if k.first.kill() {
		return e, false, errAlive
	}
	return k.ending(s), true, nil
}

// ending is how the container has ended, as the engine says. It has no word for signals but
// the exit code.
func (k *keeper) ending(s *container.State) supervise.Ending {
	e := supervise.Ending{
		Code: s.ExitCode, OOM: s.OOMKilled && s.ExitCode != 0, // else it went on without what was killed
		Limit: int64(k.plan.Spec.Resources.Memory), At: time.Now(), Err: brief(s.Error),
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

// Signal implements [supervise.Keeper].
func (k *keeper) Signal(s syscall.Signal) {
	go k.insist(strconv.Itoa(int(s)), s)
}

// Terminate implements [supervise.Keeper].
func (k *keeper) Terminate() {
	k.asked.Do(func() { go k.insist(k.stop, signalOf(k.stop)) })
}

// Kill implements [supervise.Keeper].
func (k *keeper) Kill() {
	k.killed.Do(func() { go k.insist("SIGKILL", syscall.SIGKILL) })
}

// insist has a signal sent, by the engine, or to the first process itself if the engine does
// not do so. What must be killed is killed until it is gone.
func (k *keeper) insist(name string, signal syscall.Signal) {
	for pause := againFirst; ; pause = min(2*pause, againLast) {
		if signal == syscall.SIGKILL {
			k.first.kill() // an engine that hangs must not keep it alive
		}
		ctx, done := context.WithTimeout(context.Background(), callTimeout)
		_, err := k.c.ContainerKill(ctx, k.id, client.ContainerKillOptions{Signal: name})
		done()
		if err != nil {
			err = k.first.signal(signal)
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
