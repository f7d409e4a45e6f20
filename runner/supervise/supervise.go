// Package supervise is for keeping one task's processes in hand independently
// of the agent: the process "mn supervise", one per attempt of a task, made of
// the same binary and living in a session of its own.
//
// It starts the task, writes its output to rotated files, stops it when it is
// told to or when its lease ends, sees to it that nothing the task has started
// stays behind, and leaves a record of the end. The agent may die and return at
// any time: everything it needs to know is in a file of the task's folder
// (record.go), and whether the supervisor lives is answered by the lock on that
// file, which the kernel lets go whatever happens.
//
// What it holds to:
//
//  1. One supervisor per task folder: the lock.
//  2. One start per attempt: the attempt is on record before the task exists.
//  3. The end is on record, on disk, before the supervisor goes.
//  4. The end is recorded after the last process of the task is gone: as the
//     subreaper of all of them it cannot miss one.
//  5. Output never holds up the task: what the disk does not take is dropped
//     and counted.
//
// There is a supervisor for each of perhaps a thousand tasks, so it is sparing:
// no garbage collection in normal life, no allocation per byte of output.
// Its goroutines end with the process; Main waits for those that write.
package supervise

import (
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"mn/health/clock"
	"mn/runner/logs"
)

// Bounds of the end of a task.
const (
	killTimeout = 10 * time.Second // for processes to go after SIGKILL, or for the next of many
	killMost    = time.Minute      // for all of them
	pumpTimeout = time.Second      // for output that strangers still hold open
)

// Environ is the environment in which a supervisor should be run: one thread
// of Go code at a time, no garbage collection before there is real garbage.
func Environ() []string {
	env := append([]string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=16MiB"}, clock.Environ()...)
	if race := os.Getenv("GORACE"); race != "" { // the race detector holds up each end by a second
		env = append(env, "GORACE="+race)
	}
	return env
}

// Main is the supervisor process: its arguments are what follows "supervise" on
// the command line, the task's folder and the number of a file that is a
// connection to the agent. It is also the processes between a supervisor and its
// task, where there are some; they have a word for an argument. It returns the
// exit code. Whatever runs earlier is paid once per task: mn calls it in package
// early.
func Main(args []string) int {
	// The task is told to die with the thread that started it, so that thread
	// must live as long as the supervisor does. And what a thread has given up,
	// the program that it becomes does without.
	runtime.LockOSThread()
	if len(args) > 0 {
		switch args[0] {
		case enterWord:
			return mainEnter(args[1:])
		case guestWord:
			return mainGuest()
		case firstWord:
			return mainFirst()
		case ProbeWord:
			return mainProbe(args[1:])
		}
	}
	return MainOf(nil, args)
}

// MainOf is the supervisor process of a task that a keeper has in hand, or of one that is
// our child if there is none.
func MainOf(kept Keeper, args []string) int {
	if len(args) < 1 || len(args) > 2 {
		os.Stderr.WriteString("usage: mn supervise FOLDER [FD]\n")
		return 2
	}
	var agent *os.File
	if len(args) == 2 {
		fd, err := strconv.ParseUint(args[1], 10, 16)
		if err != nil {
			say(strconv.Quote(args[1]) + " is no file number")
			return 2
		}
		syscall.CloseOnExec(int(fd))
		agent = os.NewFile(uintptr(fd), "agent")
	}
	if err := run(args[0], agent, kept); err != nil {
		say(err.Error())
		if agent != nil {
			agent.Write(append(Exit{Err: err.Error()}.encode(), '\n'))
		}
		return 1
	}
	return 0
}

// run supervises the attempt that the spec in a folder describes. An error says
// that nothing was started.
func run(folder string, agent *os.File, kept Keeper) error {
	if err := os.Chdir(folder); err != nil {
		return because(err, "enter task folder")
	}
	file, err := os.OpenFile(StateFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return because(err, "open state of task")
	}
	defer file.Close()
	if held, err := Lock(file); err != nil || held {
		return err // held: another supervisor has it in hand, the agent will find it
	}
	spec, err := readSpec()
	if err != nil {
		return err
	}
	state, err := ReadState(file)
	if err != nil || state.Start.Attempt >= spec.Attempt {
		return err // it was started before: the agent will find what became of it
	}
	s, err := newSupervisor(spec, file)
	if err != nil {
		return err
	}
	s.kept = kept
	s.run(agent)
	return nil
}

// supervisor is the life of one attempt.
type supervisor struct {
	spec    Spec
	file    *os.File // the state, locked
	start   Start
	exit    Exit
	output  *output
	family  *family
	kept    Keeper         // in whose hand the task is; nil if it is our child
	written []*logs.Writer // by the keeper
	control *control
	lease   *lease
	warning *time.Timer   // from a warning to the stop; nil without one
	warned  time.Duration // the grace of that stop
	grace   *time.Timer   // from a stop to the kill; nil before
	stopBy  time.Time     // when grace ends
	kill    *time.Timer   // from the kill to giving up; nil before
	killBy  time.Time     // when that is put off no more
	dead    bool          // the first process has ended
	killed  bool
}

func newSupervisor(spec Spec, file *os.File) (*supervisor, error) {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER, which package syscall does not have
	if _, _, err := syscall.Syscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); err != 0 {
		return nil, because(err, "become subreaper")
	}
	s := &supervisor{spec: spec, file: file}
	s.start = Start{Attempt: spec.Attempt, Boot: spec.Boot, Supervisor: os.Getpid(), At: time.Now()}
	s.exit = Exit{Attempt: spec.Attempt, StartedAt: s.start.At}
	return s, WriteState(file, State{Start: s.start})
}

// run starts the task and stays with it to the end.
func (s *supervisor) run(agent *os.File) {
	// A supervisor that is told to end ends its task first. A closed terminal
	// means nothing to it; to ignore those signals would make the task ignore
	// them too, so they are caught and left lying.
	term, child := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT)
	oom := oomKills()
	s.control = newControl(agent)
	if until := s.spec.Until; until > 0 && clock.Boot() >= until {
		// The machine slept between the order and now: another may run it.
		s.exit.Err, s.exit.Code, s.exit.Expired = "its lease ran out before it was started", -1, true
		s.finish()
		return
	}
	launch := s.launch
	if s.kept != nil {
		launch = s.launchKept
	}
	if err := launch(); err != nil {
		s.exit.Err, s.exit.Code = err.Error(), -1
		s.finish()
		return
	}
	s.control.begin(s.start)
	if err := s.control.listen(); err != nil {
		// The task is worth more than the door: it runs on, and an agent that
		// comes later can only read its records.
		say(err.Error())
	}
	s.lease = newLease(s.spec.Until)
	if s.kept != nil {
		s.loopKept(term, oom)
	} else {
		s.loop(term, child)
		s.wantOfMemory(oom)
		s.exit.Dropped = s.output.wait(pumpTimeout)
	}
	s.finish()
}

// launch starts the task's first process.
func (s *supervisor) launch() error {
	out, err := openOutput()
	if err != nil {
		return err
	}
	s.output = out
	family, pid, err := fork(s.spec, out)
	out.forked()
	if err != nil {
		out.wait(0)
		return err
	}
	s.family = family
	s.begun(pid)
	return nil
}

// begun takes note of a task that runs.
func (s *supervisor) begun(pid int) {
	s.start.PID, s.start.At = pid, time.Now()
	if pid > 0 {
		s.start.PIDStart, _ = StartTicks(pid) // a child is there until we reap it
	}
	s.exit.Started, s.exit.PID, s.exit.StartedAt = true, pid, s.start.At
	if err := WriteState(s.file, State{Start: s.start}); err != nil {
		// It runs, and the attempt is on record: that must do.
		say(err.Error())
	}
}

// loop returns when the task and everything it has started is gone.
func (s *supervisor) loop(term, child <-chan os.Signal) {
	for {
		select {
		case <-child:
			gone := s.family.reap()
			if s.family.reaped && !s.dead {
				s.ended(s.family.status)
			}
			if gone {
				return
			}
			if s.kill != nil && time.Now().Before(s.killBy) {
				s.kill.Reset(killTimeout)
			}
		case c := <-s.control.commands:
			s.obey(c)
		case conn := <-s.control.guests:
			s.family.admit(conn, s.spec, s.dead || s.kill != nil)
		case <-s.lease.over:
			s.exit.Expired = s.grace == nil && !s.dead
			s.stop(s.spec.Grace)
		case <-term:
			s.stop(s.spec.Grace)
		case <-after(s.warning):
			s.stop(s.warned)
		case <-after(s.grace):
			s.killAll()
		case <-after(s.kill):
			s.exit.Err = "some of its processes could not be killed"
			return
		}
	}
}

func after(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

func (s *supervisor) obey(c command) {
	switch c.verb {
	case verbStop:
		s.warn(c.value)
	case verbRenew:
		s.lease.renew(c.value)
	case verbSignal:
		if s.grace == nil && !s.dead {
			s.signal(int(c.value))
		}
	}
}

// warn stops the task later, if it wants that, and warns it of that, or not. A stop that leaves no time
// comes at once, and ends a warning.
func (s *supervisor) warn(grace time.Duration) {
	switch {
	case s.spec.Warn == 0 && s.spec.WarnTime == 0 || grace == 0 || s.grace != nil || s.dead:
		s.stop(grace)
	case s.warning != nil:
		s.warned = min(s.warned, grace)
	default:
		s.exit.Stopped = true
		s.warning, s.warned = time.NewTimer(s.spec.WarnTime), grace
		if s.spec.Warn != 0 {
			s.signal(s.spec.Warn)
		}
	}
}

// signal sends the task a signal.
func (s *supervisor) signal(number int) {
	if s.kept != nil {
		s.kept.Signal(syscall.Signal(number))
		return
	}
	s.family.signal(syscall.Signal(number))
}

// stop asks the task to end. Told again, it only shortens the grace.
func (s *supervisor) stop(grace time.Duration) {
	if s.warning != nil {
		s.warning.Stop()
		s.warning = nil
	}
	if s.grace != nil {
		if by := time.Now().Add(grace); by.Before(s.stopBy) {
			s.stopBy = by
			s.grace.Reset(grace)
		}
		return
	}
	s.exit.Stopped = true
	s.grace, s.stopBy = time.NewTimer(grace), time.Now().Add(grace)
	if s.kept != nil {
		s.kept.Terminate()
		return
	}
	s.family.signal(s.spec.stop())
}

// ended takes note of the end of the first process. What it leaves behind has
// the rest of the grace if the task is being stopped, and none otherwise.
func (s *supervisor) ended(status syscall.WaitStatus) {
	s.dead = true
	s.exit.At = time.Now()
	s.exit.Code = status.ExitStatus()
	if status.Signaled() {
		s.exit.Signal = int(status.Signal())
		s.exit.Code = 128 + s.exit.Signal
	}
	if s.warning != nil {
		s.stop(s.warned)
	}
	if s.grace == nil {
		s.killAll() // ends at once if nothing is left
		return
	}
	s.family.guests.end()
}

func (s *supervisor) killAll() {
	if s.kill != nil {
		return
	}
	s.killed = s.killed || !s.dead
	s.kill, s.killBy = time.NewTimer(killTimeout), time.Now().Add(killMost)
	s.family.kill()
	s.spec.Groups.Kill()
}

// finish puts the end on record and tells the agent.
func (s *supervisor) finish() {
	if s.exit.At.IsZero() {
		s.exit.At = time.Now()
	}
	os.Remove(SocketFile)
	if err := s.spec.Groups.Remove(); err != nil {
		say(err.Error())
	}
	if err := WriteState(s.file, State{Start: s.start, Exit: &s.exit}); err != nil {
		say(err.Error())
	}
	// An agent that hears of the end may start the next attempt at once.
	s.file.Close()
	s.control.end(s.exit)
}

// wantOfMemory finds out whether the kernel has ended the task for want of
// memory. A group has counted, whichever process it was: what has failed then has
// failed for that. Without one it is a guess, by how often the whole kernel had
// done so before.
func (s *supervisor) wantOfMemory(before uint64) {
	if s.exit.Stopped || s.exit.Expired {
		return // it has ended for that
	}
	if len(s.spec.Groups) == 0 {
		s.exit.OOM = s.exit.Signal == int(syscall.SIGKILL) && !s.killed && oomKills() > before
		return
	}
	used := s.spec.Groups.Usage()
	if used.Killed > 0 && s.exit.Code != 0 {
		s.exit.OOM, s.exit.Peak, s.exit.Limit = true, used.Peak, used.Limit
	}
}

// oomKills counts the processes that this kernel has killed for want of memory.
func oomKills() uint64 {
	text, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	return vmstat(text, "oom_kill")
}
