package cases

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// Bounds of an agent's health, I8.
const (
	logMax     = 1 << 20   // bytes a minute
	logFree    = 256 << 10 // for the beginning
	filesMore  = 24        // open files than when the mesh had formed
	memoryMore = 48 << 20  // bytes
	memoryEach = 8 << 10   // and for each change that was acknowledged: all of them are kept
	lineMax    = 1 << 20
)

// vital is what an agent takes.
type vital struct {
	pid    int
	files  int
	memory int64
}

// takeVitals notes what the agents take before anything is done to them.
func (s *scene) takeVitals() {
	for _, n := range s.running() {
		v, err := vitalOf(n)
		s.must(err)
		s.vitals[n.Name] = v
	}
}

func vitalOf(n *lab.Node) (vital, error) {
	usage, err := n.AgentUsage()
	if err != nil {
		return vital{}, err
	}
	files, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(n.PID()), "fd"))
	if err != nil {
		return vital{}, fmt.Errorf("count the files of %s: %w", n.Name, err)
	}
	return vital{pid: n.PID(), files: len(files), memory: usage.Memory}, nil
}

// healthy is the part of I8 that is asked in the end: every agent answers, has
// not grown, and has not said too much.
func (s *scene) healthy() {
	most := vital{}
	acked, _ := s.ledger.counts()
	memory := int64(memoryMore + memoryEach*acked)
	for _, n := range s.running() {
		if _, err := ask(s, n.Client().Version); err != nil {
			s.fail("I8 health", "%s does not answer: %v", n.Name, err)
		}
		v, err := vitalOf(n)
		if err != nil {
			s.fail("I8 health", "%v", err)
			continue
		}
		most.files, most.memory = max(most.files, v.files), max(most.memory, v.memory)
		was, known := s.vitals[n.Name]
		if known && (v.files > was.files+filesMore || v.memory > was.memory+memory) {
			s.fail("I8 health", "the agent of %s has %d open files and %d MiB, it had %d and %d MiB",
				n.Name, v.files, v.memory>>20, was.files, was.memory>>20)
		}
	}
	s.measure("agent at most", "%d MiB, %d files", most.memory>>20, most.files)
	minutes := (watch.Now() - s.began).Minutes()
	for _, n := range s.lab.Nodes() {
		size, _, err := readLog(n.Log())
		if err != nil {
			s.fail("I8 health", "%v", err)
		}
		if limit := int64(logFree + logMax*minutes); size > limit {
			s.fail("I8 health", "the log of %s has %d bytes after %.1f minutes, more than %d",
				n.Name, size, minutes, limit)
		}
	}
}

// unbroken is the other part of I8, asked however a case has ended: no agent has
// said what only a bug says, or a secret (I10), or ended when nobody ended it.
// That some case was given up, or started the agent again, shall hide nothing.
func (s *scene) unbroken() {
	for _, n := range s.lab.Nodes() {
		_, bad, err := readLog(n.Log())
		if err != nil {
			s.fail("I8 health", "%v", err)
		}
		for _, line := range bad {
			s.fail("I8 health", "the agent of %s has said: %s", n.Name, line)
		}
		for _, crash := range n.Crashes() {
			s.fail("I8 health", "the agent of %s ended by itself: %s; its log is %s", n.Name, crash, n.Log())
		}
	}
}

// alarming begins what a Go program says when it has a bug.
var alarming = []string{
	"panic:", "fatal error:", "WARNING: DATA RACE", "all goroutines are asleep", "unexpected fault address",
	"PRIVATE KEY", "mn1.", // and these begin a secret: a key, a join token
}

// readLog is the size of a log, and what in it says that there is a bug.
func readLog(path string) (size int64, bad []string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		for _, a := range alarming {
			if strings.Contains(lines.Text(), a) {
				bad = append(bad, lines.Text())
			}
		}
	}
	if err := lines.Err(); err != nil {
		return 0, bad, fmt.Errorf("read log %q: %w", path, err)
	}
	size, err = f.Seek(0, io.SeekEnd)
	return size, bad, err
}
