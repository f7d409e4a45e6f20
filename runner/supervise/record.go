package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"mn/runner/cgroup"
)

// The files of a task's folder.
const (
	SpecFile   = "spec.json"    // Spec: what to start; by the agent
	StateFile  = "state.json"   // State; locked by the supervisor as long as it lives
	SocketFile = "control.sock" // for agents that come later
	ErrorFile  = "error.log"    // what a supervisor says that has nobody to tell
	logsName   = "logs"
)

// Bounds of records. Command and environment of a task have a limit of the
// kernel's below that of a Spec.
const (
	specMax  = 4 << 20
	stateMax = 4096 // the size of every state file
	errMax   = 512  // of Exit.Err: escaped it can become six times as long
)

// Spec is what to start. The agent has settled everything that takes knowledge
// of users, jobs or nodes.
type Spec struct {
	Attempt int           `json:"attempt"`
	Boot    string        `json:"boot_id"`
	Command []string      `json:"command"`
	Env     []string      `json:"env"`
	Dir     string        `json:"dir"` // absolute
	User    *User         `json:"user,omitempty"`
	Grace   time.Duration `json:"grace"`
	Stop    int           `json:"stop,omitempty"` // the signal that asks it to end; 0: SIGTERM
	// Warn is the signal that warns of a stop which an agent wants, 0 for none, and WarnTime how
	// long that is before the other.
	Warn     int           `json:"warn,omitempty"`
	WarnTime time.Duration `json:"warn_time,omitempty"`
	// Signals are those that an agent may send it besides.
	Signals []int         `json:"signals,omitempty"`
	Until   time.Duration `json:"until,omitempty"` // since boot; see runner.Spec
	// Groups are the folders of the task's control group, which is there.
	Groups  cgroup.Group `json:"groups,omitempty"`
	Sandbox *Sandbox     `json:"sandbox,omitempty"`
}

// stop is the signal that asks the task to end.
func (s *Spec) stop() syscall.Signal {
	if s.Stop == 0 {
		return syscall.SIGTERM
	}
	return syscall.Signal(s.Stop)
}

// Sandbox is what a task in one sees that others do not; it has a User then. See
// package runner/sandbox.
type Sandbox struct {
	Writable []string `json:"writable"` // folders, absolute and without links
	Hidden   []string `json:"hidden,omitempty"`
	Devices  []string `json:"devices,omitempty"` // in /dev
	Volumes  []Volume `json:"volumes,omitempty"`
}

// Volume is a folder of the machine that a sandbox shows.
type Volume struct {
	Shared string `json:"shared"` // the folder out of which no link may lead
	Path   string `json:"path"`   // in that
	Target string `json:"target"` // where the sandbox shows it
	Write  bool   `json:"write,omitempty"`
}

// User is whom a task runs as, if not as the agent.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
	Name   string   `json:"name,omitempty"` // for people
}

// String is the user for people.
func (u User) String() string {
	if u.Name != "" {
		return strconv.Quote(u.Name)
	}
	return strconv.FormatUint(uint64(u.UID), 10)
}

// State is what has become of the latest attempt. The file has the same size
// from the beginning: on a full disk a start is refused, but an end that
// happened can still be recorded.
type State struct {
	Start Start `json:"start"`
	Exit  *Exit `json:"exit,omitempty"` // nil while it runs, or if its supervisor died
}

// Start is on record before the task exists, without PID, and again when it
// does.
type Start struct {
	Attempt    int       `json:"attempt"`
	Boot       string    `json:"boot_id"`
	Supervisor int       `json:"supervisor"`
	PID        int       `json:"pid,omitempty"`
	PIDStart   uint64    `json:"pid_start,omitempty"` // [StartTicks]: tells a pid's bearers apart
	At         time.Time `json:"at"`
}

// Exit is how an attempt ended.
type Exit struct {
	Attempt   int       `json:"attempt"`
	Started   bool      `json:"started"` // false if Err kept it from starting
	PID       int       `json:"pid,omitempty"`
	StartedAt time.Time `json:"started_at"`
	At        time.Time `json:"at"`
	Code      int       `json:"code"` // 128+n if signal n ended it
	Signal    int       `json:"signal,omitempty"`
	OOM       bool      `json:"oom,omitempty"` // killed, when the kernel wanted memory
	// Peak is how much memory it had, and Limit how much it could have: of the control
	// group of one that ended so, and 0 where nobody knows.
	Peak  int64 `json:"peak_memory,omitempty"`
	Limit int64 `json:"memory_limit,omitempty"`

	Expired bool   `json:"expired,omitempty"` // stopped because its lease ran out
	Stopped bool   `json:"stopped,omitempty"` // stopped, not ended by itself
	Dropped int64  `json:"dropped_bytes,omitempty"`
	Err     string `json:"error,omitempty"`
}

// readSpec reads what to start from the current folder.
func readSpec() (Spec, error) {
	f, err := os.Open(SpecFile)
	if err != nil {
		return Spec{}, because(err, "read what to start")
	}
	defer f.Close()
	return specIn(f)
}

// specIn reads what to start.
func specIn(f *os.File) (Spec, error) {
	var spec Spec
	o, err := decode(f, specMax)
	if err != nil {
		return spec, err
	}
	spec.decode(o)
	return spec, o.fault()
}

// ReadState reads the state of a task. An empty file is that of a supervisor
// that has not got further: the zero State.
func ReadState(f *os.File) (State, error) {
	var s State
	info, err := f.Stat()
	if err != nil {
		return s, because(err, "read state of task")
	}
	if info.Size() == 0 {
		return s, nil
	}
	o, err := decode(io.NewSectionReader(f, 0, stateMax), stateMax)
	if err != nil {
		return s, err
	}
	s.decode(o)
	return s, o.fault()
}

func decode(r io.Reader, limit int64) (*object, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, because(err, "read record")
	}
	if int64(len(text)) > limit {
		return nil, errors.New("read record: larger than " + strconv.FormatInt(limit, 10) + " bytes")
	}
	return parseObject(text)
}

// WriteState replaces the state of a task, in one write of the whole file. Its
// lock must be held. The end is durable when it returns: after a power cut only
// that is worth knowing.
func WriteState(f *os.File, s State) error {
	if s.Exit != nil && len(s.Exit.Err) > errMax {
		exit := *s.Exit
		exit.Err = string(bytes.ToValidUTF8([]byte(exit.Err[:errMax]), nil)) + "..."
		s.Exit = &exit
	}
	text := s.encode()
	if len(text) >= stateMax {
		return errors.New("encode state of task: larger than " + strconv.Itoa(stateMax) + " bytes")
	}
	page := bytes.Repeat([]byte(" "), stateMax)
	copy(page, text)
	page[stateMax-1] = '\n'
	if _, err := f.WriteAt(page, 0); err != nil {
		return because(err, "write state of task")
	}
	if s.Exit == nil {
		return nil
	}
	if err := f.Sync(); err != nil {
		return because(err, "write state of task")
	}
	return nil
}

// Lock takes the lock of a task, f being its StateFile, and says whether a
// supervisor that lives has it. Closing the file lets the lock go.
func Lock(f *os.File) (held bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, because(err, "lock "+strconv.Quote(f.Name()))
	}
	return false, nil
}

// vmstat is the number behind a name in the form of /proc/vmstat.
func vmstat(text []byte, name string) uint64 {
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if string(key) == name {
			n, _ := strconv.ParseUint(string(value), 10, 64)
			return n
		}
	}
	return 0
}
