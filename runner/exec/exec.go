// Package exec is for running tasks as plain processes of this machine. It is
// the agent's side: each attempt of a task has a supervisor (package
// runner/supervise), a process that outlives the agent. The driver spawns
// supervisors, talks to them, and finds them again when the agent restarts.
//
// It keeps nothing in memory that matters: what runs and how things ended is
// in the tasks' folders, and whether a supervisor lives is answered by a lock.
//
// What keeps a task apart, a control group or a sandbox, is made here or by the
// supervisor, and is gone before an end is observed: see DESIGN.md.
//
// Each task that runs has one goroutine, which waits for its supervisor; one
// more tidies up retired allocations when there is something to tidy. Close
// waits for all of them.
package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/cgroup"
	"mn/runner/supervise"
)

// Bounds of a driver.
const (
	startsMax       = 8    // supervisors spawned at the same time
	restoresMax     = 4    // folders filled with what was saved at the same time: that may take long
	observationsMax = 1024 // observed and not yet taken
	startTimeout    = 30 * time.Second
	containTimeout  = 2 * time.Minute // of the start of a container: engines may be slow
	writeTimeout    = time.Second     // of a command to a supervisor
)

// Config is what a driver is opened with.
type Config struct {
	Root    string   // absolute: the node's folder of allocations; made if missing
	Program []string // command that supervises; this executable with "supervise" if empty
	Content Content  // nil: nothing is saved
	Keeper  Keeper   // nil: nothing is kept of what has ended
	// Groups names the node among those of this machine: the control groups of its tasks
	// are in one of that name. Without it there are none.
	Groups string
	// Listens says whether any program of this machine listens on a port; nil: nobody asks.
	Listens func(mesh.Port) bool
	Hidden  []string // folders, besides Root, of which sandboxes show nothing
	// Containers runs the tasks that are for containers, and Container is the command that
	// supervises one: this executable with "container" if empty. Without Containers such tasks
	// are refused.
	Containers Containers
	Container  []string
	// Volumes are folders of which tasks may have what is in them.
	Volumes []string
	Log     *slog.Logger
}

// Driver runs tasks as processes.
type Driver struct {
	cfg          Config
	root         *os.Root
	boot         string // this boot of the machine
	found        []runner.Observation
	unread       []string // how the names of the groups begin of tasks about which nothing could be found out
	observations chan runner.Observation
	starts       chan struct{} // holds one for each start in progress
	restores     chan struct{} // and for each that is to be restored first
	downloads    chan struct{} // and for each artifact that is fetched
	contains     chan struct{} // and for each whose engine of containers is asked for something
	adopting     atomic.Bool   // nothing may hold up the agent's start
	keeps        chan struct{} // and for each of which the outputs are being kept
	keepMost     time.Duration // for that
	sweepPause   time.Duration // between two sweeps
	offer        func() offer  // what is there to keep tasks apart with; tried when it is asked for
	home         atomic.Pointer[cgroup.Home]
	closing      chan struct{}
	ctx          context.Context // until closing
	stop         context.CancelFunc
	work         sync.WaitGroup
	pythonSized  time.Time // when it was looked at how much environments hold; of the one that sweeps
	pythonBytes  int64     // that they may hold

	mu       sync.Mutex
	closed   bool
	tasks    map[key]*task
	loads    map[mesh.JobID]*jobLoads // of jobs of which artifacts are fetched
	sweeping bool                     // a sweep runs
	unswept  bool                     // something was retired since it began
}

var _ runner.Driver = (*Driver)(nil)

// key names a task of an allocation.
type key struct {
	alloc mesh.AllocID
	task  string
}

// String is the key for people.
func (k key) String() string { return string(k.alloc) + "/" + k.task }

// folder is the task's folder under the root.
func (k key) folder() string { return runner.TaskDir(k.alloc, k.task) }

// file is a file of the task's folder.
func (k key) file(name string) string { return filepath.Join(k.folder(), name) }

// valid says whether k can name a folder.
func (k key) valid() bool { return mesh.ValidName(string(k.alloc)) && mesh.ValidName(k.task) }

// Open opens the folder of allocations and adopts what runs there.
func Open(c Config) (*Driver, error) {
	if len(c.Program) == 0 {
		// Not the path: the file may have been replaced by a newer release.
		c.Program = []string{"/proc/self/exe", "supervise"}
	}
	if len(c.Container) == 0 {
		c.Container = []string{"/proc/self/exe", "container"}
	}
	if !filepath.IsAbs(c.Root) {
		return nil, fmt.Errorf("open folder of allocations %q: not an absolute path", c.Root)
	}
	// Others may pass through, for a task may run as another user.
	if err := os.MkdirAll(c.Root, 0o711); err != nil {
		return nil, fmt.Errorf("make folder of allocations: %w", err)
	}
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return nil, fmt.Errorf("open folder of allocations: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("read boot id: %w", err)
	}
	d := &Driver{
		cfg:          c,
		root:         root,
		boot:         strings.TrimSpace(string(boot)),
		observations: make(chan runner.Observation, observationsMax),
		starts:       make(chan struct{}, startsMax),
		restores:     make(chan struct{}, restoresMax),
		downloads:    make(chan struct{}, downloadsMax),
		contains:     make(chan struct{}, containsMax),
		keeps:        make(chan struct{}, keepsMax),
		keepMost:     keepMost,
		sweepPause:   sweepPause,
		closing:      make(chan struct{}),
		tasks:        map[key]*task{},
		pythonBytes:  pythonBytesMax,
		loads:        map[mesh.JobID]*jobLoads{},
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.offer = sync.OnceValue(d.try)
	d.adopting.Store(true)
	err = d.adopt()
	d.adopting.Store(false)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Start implements [runner.Driver].
func (d *Driver) Start(s runner.Spec) {
	k := key{s.Alloc, s.Task}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if t := d.tasks[k]; t != nil {
		if t.attempt != s.Attempt {
			d.cfg.Log.Error("start refused: another attempt runs", "task", k.String(),
				"attempt", s.Attempt, "running", t.attempt)
		}
		return // told again: what comes of it is observed anyway
	}
	t := &task{d: d, key: k, attempt: s.Attempt, over: make(chan struct{}), contained: s.Container != nil}
	d.tasks[k] = t
	d.work.Go(func() { t.start(s) })
}

// Stop implements [runner.Driver].
func (d *Driver) Stop(alloc mesh.AllocID, name string, grace time.Duration) {
	if t := d.task(key{alloc, name}); t != nil {
		t.stop(supervise.StopCommand(grace))
	}
}

// Renew implements [runner.Driver].
func (d *Driver) Renew(alloc mesh.AllocID, name string, until time.Duration) {
	if t := d.task(key{alloc, name}); t != nil {
		t.renew(until)
	}
}

// Found implements [runner.Driver].
func (d *Driver) Found() []runner.Observation { return d.found }

// Observations implements [runner.Driver].
func (d *Driver) Observations() <-chan runner.Observation { return d.observations }

// Close implements [runner.Driver].
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	close(d.closing)
	d.stop()
	for _, t := range d.tasks {
		t.letGo()
	}
	d.mu.Unlock()
	d.work.Wait()
	if home := d.home.Load(); home != nil {
		home.Close() // stays as long as there are tasks
	}
	return d.root.Close()
}

// task is the task of that name in hand, or nil.
func (d *Driver) task(k key) *task {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tasks[k]
}

// observe passes an observation on, unless the driver closes.
func (d *Driver) observe(o runner.Observation) {
	select {
	case d.observations <- o:
	case <-d.closing:
	}
}

// over takes a task out of hand and passes its last observation on. In this
// order: who sees the observation may start the next attempt.
func (d *Driver) over(t *task, o runner.Observation) {
	d.mu.Lock()
	delete(d.tasks, t.key)
	d.mu.Unlock()
	close(t.over)
	d.observe(o)
}

// isClosing says whether Close was called.
func (d *Driver) isClosing() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}
