package watch

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fake is a process table that a test writes.
type fake struct {
	tasks  map[int]Life // by pid
	kinds  map[int]kind // of the pids that are none
	held   map[int]int  // file to pid
	next   int
	looks  int
	err    error
	steals int // this pid is another's once it is held
}

func newFake() *fake {
	return &fake{tasks: map[int]Life{}, kinds: map[int]kind{}, held: map[int]int{}}
}

func (f *fake) pids() ([]int, error) {
	var all []int
	for pid := range f.tasks {
		all = append(all, pid)
	}
	for pid := range f.kinds {
		all = append(all, pid)
	}
	return all, f.err
}

func (f *fake) hold(pid int) (int, error) {
	if _, ok := f.tasks[pid]; !ok {
		return 0, syscall.ESRCH
	}
	f.next++
	f.held[f.next] = pid
	if f.steals == pid {
		l := f.tasks[pid]
		l.Alloc = "another"
		f.tasks[pid] = l
	}
	return f.next, nil
}

func (f *fake) release(file int) { delete(f.held, file) }

func (f *fake) ended(files []int) ([]bool, error) {
	gone := make([]bool, len(files))
	for i, file := range files {
		_, lives := f.tasks[f.held[file]]
		gone[i] = !lives
	}
	return gone, nil
}

func (f *fake) look(pid int, _ time.Duration) (Life, kind) {
	f.looks++
	if l, ok := f.tasks[pid]; ok {
		l.PID = pid
		return l, task
	}
	return Life{}, f.kinds[pid]
}

// run puts a task into the table.
func (f *fake) run(pid int, job string, index int, node string) {
	f.tasks[pid] = Life{
		Dir: "/lab/" + node + "/allocs/x", Node: node, Job: job, Task: "t", Alloc: fmt.Sprint("a", pid), Index: index,
	}
}

func TestWatcherSeesWhatLivesAtOnce(t *testing.T) {
	f := newFake()
	w := newWatcher(f)
	f.run(1, "web", 0, "n1")
	f.run(2, "web", 1, "n1")
	w.sample(Now())
	f.run(3, "web", 0, "n2") // beside the first
	w.sample(Now())
	w.sample(Now())
	delete(f.tasks, 1)
	w.sample(Now())
	f.run(4, "web", 1, "n2")
	delete(f.tasks, 2) // makes room for it
	w.sample(Now())
	w.sample(Now())
	got := Overlaps(w.Lives("/lab"))
	if len(got) != 1 || got[0].A.PID != 1 || got[0].B.PID != 3 || got[0].From > got[0].To {
		t.Errorf("got %v, want only pid 1 and 3 at once", got)
	}
	if len(w.living) != 2 || len(f.held) != 2 {
		t.Errorf("%d live and %d are held, want 2", len(w.living), len(f.held))
	}
}

// TestHandoverIsNoOverlap: one is gone before the other is there, however close.
func TestHandoverIsNoOverlap(t *testing.T) {
	f := newFake()
	w := newWatcher(f)
	for pid := 1; pid < 100; pid++ {
		f.run(pid, "web", 0, fmt.Sprint("n", pid%2))
		w.sample(Now())
		delete(f.tasks, pid)
	}
	w.sample(Now())
	if got := Overlaps(w.Lives("/lab")); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	if got := len(w.Lives("/lab")); got != 99 {
		t.Errorf("saw %d lives, want 99", got)
	}
}

// TestProcessBecomesATask: it was forked, and looked like its parent.
func TestProcessBecomesATask(t *testing.T) {
	f := newFake()
	w := newWatcher(f)
	f.kinds[7] = young
	w.sample(Now())
	delete(f.kinds, 7)
	f.run(7, "web", 0, "n1")
	w.sample(Now())
	if got := w.Lives("/lab"); len(got) != 1 || got[0].PID != 7 {
		t.Errorf("got %v", got)
	}
}

func TestStrangerIsLookedAtOnce(t *testing.T) {
	f := newFake()
	w := newWatcher(f)
	f.kinds[7] = stranger
	for range 10 {
		w.sample(Now())
	}
	if f.looks != 1 {
		t.Errorf("looked %d times", f.looks)
	}
}

// TestStolenNumberIsNotATask: between the look and the hold the pid went to
// somebody else.
func TestStolenNumberIsNotATask(t *testing.T) {
	f := newFake()
	w := newWatcher(f)
	f.run(7, "web", 0, "n1")
	f.steals = 7
	w.sample(Now())
	if got := w.Lives("/lab"); len(got) != 0 || len(f.held) != 0 {
		t.Errorf("got %v, held %v", got, f.held)
	}
}

func TestLivesAreThoseBelowAFolder(t *testing.T) {
	f := newFake()
	w := newWatcher(f)
	f.run(1, "web", 0, "n1")
	f.run(2, "web", 0, "n10")
	w.sample(Now())
	if got := w.Lives("/lab/n1"); len(got) != 1 || got[0].Node != "n1" {
		t.Errorf("got %v", got)
	}
}

func TestGapIsTheLongestTimeWithoutALook(t *testing.T) {
	w := newWatcher(newFake())
	for _, at := range []time.Duration{10, 20, 50, 60} {
		w.sample(at)
	}
	if got, err := w.Gap(); got != 30 || err != nil {
		t.Errorf("got %v, %v, want 30 ns", got, err)
	}
	w.table.(*fake).err = errors.New("no table")
	w.sample(65)
	w.table.(*fake).err = nil
	w.sample(70)
	if got, err := w.Gap(); got != 30 || err == nil {
		t.Errorf("got %v, %v, want 30 ns and an error", got, err)
	}
}

// TestWatcherSeesRealTasks with the kernel's own table.
func TestWatcherSeesRealTasks(t *testing.T) {
	w := Start()
	defer w.Close()
	dir := t.TempDir()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "MN_TASK_DIR="+filepath.Join(dir, "allocs", "x"), "MN_NODE=n", "MN_JOB=j",
		"MN_TASK=t", "MN_ALLOC_ID=abc", "MN_ALLOC_INDEX=3", "MN_FENCE=17")
	changed := w.Changed()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func(ended bool) Life {
		for deadline := time.After(10 * time.Second); ; {
			if l := w.Lives(dir); len(l) == 1 && l[0].Ended == ended {
				return l[0]
			}
			select {
			case <-changed:
				changed = w.Changed()
			case <-deadline:
				t.Fatalf("not seen with ended %v; lives: %v", ended, w.Lives(dir))
			}
		}
	}
	l := wait(false)
	if l.PID != cmd.Process.Pid || l.Job != "j" || l.Task != "t" || l.Node != "n" || l.Alloc != "abc" ||
		l.Index != 3 || l.Fence != 17 {
		t.Errorf("got %+v", l)
	}
	// A zombie has ended, though nobody has waited for it yet.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wait(true)
	if err := cmd.Wait(); err == nil {
		t.Error("a killed process ended well")
	}
}

func TestLifeOfNeedsAllThatATaskHas(t *testing.T) {
	whole := []string{
		"MN_TASK_DIR=/d", "MN_NODE=n", "MN_JOB=j", "MN_TASK=t", "MN_ALLOC_ID=a", "MN_ALLOC_INDEX=0", "MN_FENCE=1",
	}
	environ := func(vars []string) []byte { return []byte(strings.Join(vars, "\x00") + "\x00") }
	if _, ok := lifeOf(environ(whole)); !ok {
		t.Error("a task was not taken for one")
	}
	for i := range whole {
		var less []string
		less = append(append(less, whole[:i]...), whole[i+1:]...)
		if l, ok := lifeOf(environ(less)); ok {
			t.Errorf("without %s it was taken for %v", whole[i], l)
		}
		less = append(less, whole[i][:bytes.IndexByte([]byte(whole[i]), '=')+1])
		if l, ok := lifeOf(environ(less)); ok {
			t.Errorf("with an empty %s it was taken for %v", whole[i], l)
		}
	}
}
