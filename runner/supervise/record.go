package supervise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// The files of a task's folder.
const (
	SpecFile   = "spec.json"    // Spec: what to start; by the agent
	StartFile  = "started.json" // Start: which attempt was started last
	ExitFile   = "exit.json"    // Exit: how the attempt before or this one ended
	SocketFile = "control.sock" // for agents that come later
	ErrorFile  = "error.log"    // what a supervisor says before it has a task
	LockFile   = "lock"         // held by the supervisor as long as it lives
	logsName   = "logs"
)

// recordMax bounds a record: command and environment of a task have a limit of
// the kernel's below that.
const recordMax = 4 << 20

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
	Until   time.Duration `json:"until,omitempty"` // since boot; see runner.Spec
}

// User is whom a task runs as, if not as the agent.
type User struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Start is on record before the task exists, without PID, and again when it
// does.
type Start struct {
	Attempt    int       `json:"attempt"`
	Boot       string    `json:"boot_id"`
	Supervisor int       `json:"supervisor"`
	PID        int       `json:"pid,omitempty"`
	PIDStart   uint64    `json:"pid_start,omitempty"` // in clock ticks since boot: tells a pid's bearers apart
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
	OOM       bool      `json:"oom,omitempty"`     // by SIGKILL, while the kernel killed for want of memory
	Expired   bool      `json:"expired,omitempty"` // stopped because its lease ran out
	Stopped   bool      `json:"stopped,omitempty"` // stopped, not ended by itself
	Dropped   int64     `json:"dropped_bytes,omitempty"`
	Err       string    `json:"error,omitempty"`
}

// readRecord reads a record of the current folder.
func readRecord(name string, record any) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	defer f.Close()
	return DecodeRecord(f, record)
}

// DecodeRecord reads a record of bounded size.
func DecodeRecord(r io.Reader, record any) error {
	text, err := io.ReadAll(io.LimitReader(r, recordMax+1))
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	if len(text) > recordMax {
		return fmt.Errorf("read record: larger than %d bytes", recordMax)
	}
	if err := json.Unmarshal(text, record); err != nil {
		return fmt.Errorf("decode record %T: %w", record, err)
	}
	return nil
}

// writeRecord replaces a record whole. It is durable if that is asked for: a
// crash of the agent loses nothing either way, and after a power cut only the
// end of a task is worth knowing.
func writeRecord(name string, record any, durable bool) error {
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode record %q: %w", name, err)
	}
	next := name + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil && durable {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(next, name)
	}
	if err == nil && durable {
		err = syncFolder(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Lock takes the lock of a task's folder, f being its LockFile, and says whether
// a supervisor that lives has it. Closing the file lets the lock go.
func Lock(f *os.File) (held bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %q: %w", f.Name(), err)
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
