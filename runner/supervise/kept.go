package supervise

import (
	"io"
	"os"
	"syscall"
	"time"

	"mn/runner/logs"
)

// Keeper has a task in hand that is no child of its supervisor: a container, which an engine
// runs. Its methods but Start return at once, and may be called again.
type Keeper interface {
	// Start starts the task that the current folder describes, and returns the pid of its
	// first process, 0 if nobody knows. If it returns an error, nothing runs. What the task
	// says is written until Ended yields.
	Start(spec Spec, stdout, stderr io.Writer) (pid int, err error)
	// Signal sends the task a signal, once.
	Signal(syscall.Signal)
	// Terminate asks the task to end.
	Terminate()
	// Kill ends it.
	Kill()
	// Ended yields once, when nothing of the task is left.
	Ended() <-chan Ending
}

// Ending is how a task has ended, as its keeper knows.
type Ending struct {
	Code, Signal int // as in [Exit]
	OOM          bool
	Limit        int64 // how much memory it could have
	Err          string
	At           time.Time
}

// launchKept has the keeper start the task.
func (s *supervisor) launchKept() error {
	stdout := logs.NewWriter(logsName, logs.Stdout, logs.DefaultLimits())
	stderr := logs.NewWriter(logsName, logs.Stderr, logs.DefaultLimits())
	pid, err := s.kept.Start(s.spec, stdout, stderr)
	if err != nil {
		stdout.Close()
		stderr.Close()
		return err
	}
	s.written = []*logs.Writer{stdout, stderr}
	s.begun(pid)
	return nil
}

// loopKept returns when nothing is left of a task that a keeper has in hand. However long that
// takes: who else could say that it is so?
func (s *supervisor) loopKept(term <-chan os.Signal, oom uint64) {
	for {
		select {
		case e := <-s.kept.Ended():
			s.exit.Code, s.exit.Signal, s.exit.At, s.exit.Err = e.Code, e.Signal, e.At, e.Err
			if e.At.Before(s.exit.StartedAt) {
				s.exit.At = s.exit.StartedAt // it had ended before we heard that it runs
			}
			// Not every engine finds out: what was killed by nobody else, when the kernel has
			// killed for that, has had too much.
			if e.Limit > 0 && e.Signal == int(syscall.SIGKILL) && oomKills() > oom {
				e.OOM = true
			}
			if e.OOM && !s.exit.Stopped && !s.exit.Expired {
				// Who is killed for that has had all that it could have.
				s.exit.OOM, s.exit.Peak, s.exit.Limit = true, e.Limit, e.Limit
			}
			for _, w := range s.written {
				w.Close()
				s.exit.Dropped += w.Dropped()
			}
			return
		case c := <-s.control.commands:
			s.obey(c)
		case <-s.lease.over:
			s.exit.Expired = s.grace == nil
			s.stop(s.spec.Grace)
		case <-term:
			s.stop(s.spec.Grace)
		case <-after(s.warning):
			s.stop(s.warned)
		case <-after(s.grace):
			s.kept.Kill()
		}
	}
}
