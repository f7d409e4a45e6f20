package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// shelf keeps the one file "n" of each folder, under its text.
type shelf struct {
	mu       sync.Mutex
	changing int           // so many times somebody writes to the folder just then
	slow     chan struct{} // closed when something slow has begun
	finish   chan struct{} // to be closed for it to end
	// artifact has an artifact here; nil: there is none.
	artifact func(context.Context, *mesh.Artifact, func(have, all int64)) (string, error)
}

func (s *shelf) Save(_ context.Context, dir string) (*mesh.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changing > 0 {
		s.changing--
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, "n"))
	return &mesh.Checkpoint{Tree: strings.TrimSpace(string(text)), Bytes: int64(len(text))}, err
}

func (s *shelf) Artifact(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (tree, from string, err error) {
	if s.artifact == nil {
		return "", "", Unfetched{Err: errors.New("there is none"), Final: true}
	}
	tree, err = s.artifact(ctx, a, progress)
	return tree, " from elsewhere", err
}

func (s *shelf) Restore(ctx context.Context, from *mesh.Checkpoint, dir string) error {
	switch from.Tree {
	case "late":
		close(s.slow)
		<-s.finish
		return nil
	case "slow": // until it is given up
		close(s.slow)
		<-ctx.Done()
		return ctx.Err()
	case "lost":
		return ErrMissing
	case volumesDir:
		return os.Mkdir(filepath.Join(dir, volumesDir), 0o755)
	case "checkpoint-ready":
		return os.WriteFile(filepath.Join(dir, from.Tree), nil, 0o644)
	case "full":
		return errors.New("no space left on device")
	case "spoilt":
		return errors.Join(fmt.Errorf("it is spoilt: %w", ErrMissing), os.WriteFile(filepath.Join(dir, "half"), nil, 0o644))
	}
	if text, ok := strings.CutPrefix(from.Tree, "file:"); ok {
		return os.WriteFile(filepath.Join(dir, fileOf), []byte(text), 0o644)
	}
	return os.WriteFile(filepath.Join(dir, "n"), []byte(from.Tree), 0o644)
}

// keeping is a driver that saves, and the folder of allocations.
func keeping(t *testing.T, s *shelf) (open func() *Driver, root string) {
	t.Helper()
	root = t.TempDir()
	var last *Driver
	open = func() *Driver {
		if last != nil {
			last.Close()
		}
		d, err := Open(Config{Root: root, Content: s, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		last = d
		t.Cleanup(func() { d.Close() })
		return d
	}
	return open, root
}

func saving(root, script string, attempt int, from ...mesh.Checkpoint) runner.Spec {
	spec := drivertest.Spec("web", script)
	dir := filepath.Join(root, runner.CheckpointDir(alloc, "web"))
	ready := filepath.Join(root, runner.CheckpointReady(alloc, "web"))
	spec.Attempt = attempt
	spec.Saving = &runner.Saving{Dir: dir, Ready: ready, From: from}
	spec.Env = append(spec.Env, "DIR="+dir, "READY="+ready)
	return spec
}

func next(t *testing.T, d *Driver, kind runner.Kind) runner.Observation {
	t.Helper()
	select {
	case o := <-d.Observations():
		if o.Kind != kind {
			t.Fatalf("observed %+v, want it %s", o, kind)
		}
		return o
	case <-time.After(time.Minute):
		t.Fatalf("nothing is observed, want it %s", kind)
	}
	return runner.Observation{}
}

// TestATaskIsSavedWhenItSaysSo, also by an agent that was started later, and on its way out.
func TestATaskIsSavedWhenItSaysSo(t *testing.T) {
	open, root := keeping(t, &shelf{changing: 2})
	d := open()
	d.Start(saving(root, `say() { echo $1 >$DIR/n; echo "step $1" >$READY; }
		cat $DIR/n 2>/dev/null; say one; while [ -e $READY ]; do sleep 0.02; done
		until [ -e go ]; do sleep 0.02; done
		say two; while [ -e $READY ]; do sleep 0.02; done
		say three; exit 3`, 1))
	next(t, d, runner.Started)
	ready := filepath.Join(root, runner.CheckpointReady(alloc, "web"))
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "one" || o.Checkpoint.Label != "step one" || o.Attempt != 1 {
		t.Errorf("saved %+v, %+v", o, o.Checkpoint)
	}
	d.Acknowledge(alloc, "web", "another")
	<-time.After(2 * readyEvery)
	if _, err := os.Stat(ready); err != nil {
		t.Errorf("the task hears that it is saved before that is on record: %v", err)
	}
	d.Acknowledge(alloc, "web", "one")
	for range 1000 {
		if _, err := os.Stat(ready); errors.Is(err, os.ErrNotExist) {
			break
		}
		<-time.After(readyEvery / 10)
	}
	d = open()
	if err := os.WriteFile(filepath.Join(root, runner.WorkDir(alloc, "web"), "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "two" {
		t.Errorf("by the next agent: saved %+v", o.Checkpoint)
	}
	d.Acknowledge(alloc, "web", "two")
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "three" {
		t.Errorf("on its way out: saved %+v", o.Checkpoint)
	}
	if o := next(t, d, runner.Exited); o.ExitCode != 3 {
		t.Errorf("it ends with %+v", o)
	}
}

// TestATaskBeginsWithWhatWasSaved, and with nothing else: what an attempt has left is torn.
func TestATaskBeginsWithWhatWasSaved(t *testing.T) {
	open, root := keeping(t, &shelf{})
	d := open()
	script := `cat $DIR/n >seen 2>/dev/null; echo torn >$DIR/n; ls $DIR | wc -l >count; exit 1`
	seen := func() string {
		text, err := os.ReadFile(filepath.Join(root, runner.WorkDir(alloc, "web"), "seen"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	kept, lost, spoilt := mesh.Checkpoint{Tree: "kept", Seq: 1}, mesh.Checkpoint{Tree: "lost", Seq: 3}, mesh.Checkpoint{Tree: "spoilt", Seq: 2}
	const missing = "checkpoint 3: no node in sight has all of it; checkpoint 2: it is spoilt: no node in sight has all of it"
	for attempt, tt := range []struct {
		from []mesh.Checkpoint
		want string
		why  string // nothing later
	}{
		{nil, "", ""},
		{nil, "", ""},
		{[]mesh.Checkpoint{kept}, "kept", ""},
		{[]mesh.Checkpoint{kept, lost}, "kept", ""},
		{[]mesh.Checkpoint{lost, spoilt, kept}, "kept", missing},
	} {
		d.Start(saving(root, script, attempt+1, tt.from...))
		if tt.from != nil {
			o := next(t, d, runner.Restored)
			if o.Checkpoint == nil || o.Checkpoint.Tree != "kept" || o.Err != tt.why || o.Attempt != attempt+1 || o.Alloc != alloc {
				t.Errorf("attempt %d: restored %+v from %+v", attempt+1, o, o.Checkpoint)
			}
		}
		next(t, d, runner.Started)
		next(t, d, runner.Exited)
		if got := seen(); got != tt.want {
			t.Errorf("attempt %d began with %q, want %q", attempt+1, got, tt.want)
		}
	}
	text, err := os.ReadFile(filepath.Join(root, runner.WorkDir(alloc, "web"), "count"))
	if err != nil || strings.TrimSpace(string(text)) != "1" {
		t.Errorf("it has %s files to go on from, %v", text, err)
	}
	d.Start(saving(root, script, 6, lost, spoilt))
	o := next(t, d, runner.RestoreFailed)
	if o.Err != missing || o.Attempt != 6 {
		t.Errorf("nothing can be had of what was saved: %+v", o)
	}
	d.Start(saving(root, script, 7, mesh.Checkpoint{Tree: "full", Seq: 4}, kept))
	if o := next(t, d, runner.StartFailed); o.Err != "prepare its checkpoint: checkpoint 4: no space left on device" {
		t.Errorf("this node has no room for what was saved: %+v", o)
	}
}

// TestWhatATaskCalledWholeIsSaved though its agent was gone when it ended.
func TestWhatATaskCalledWholeIsSaved(t *testing.T) {
	open, root := keeping(t, &shelf{})
	d := open()
	d.Start(saving(root, `cat $DIR/n >seen$1 2>/dev/null; touch running; until [ -e go ]; do sleep 0.02; done
		echo last >$DIR/n; echo bye >$READY; exit 1`, 1))
	next(t, d, runner.Started)
	running, err := d.inspect(key{alloc, "web"})
	if err != nil {
		t.Fatal(err)
	}
	supervisor := running.start.Supervisor
	d.Close()
	work := filepath.Join(root, runner.WorkDir(alloc, "web"))
	if err := os.WriteFile(filepath.Join(work, "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(supervisor, nil, 0, nil); err != nil { // it ends without an agent
		t.Fatal(err)
	}
	d = open()
	if found := d.Found(); len(found) != 1 || found[0].Kind != runner.Exited {
		t.Fatalf("found %+v", found)
	}
	d.Start(saving(root, "cat $DIR/n >seen2", 2, mesh.Checkpoint{Tree: "kept", Seq: 3}))
	o := next(t, d, runner.Saved)
	if c := o.Checkpoint; c == nil || c.Tree != "last" || c.Label != "bye" || o.Attempt != 2 {
		t.Errorf("it goes on from %+v, %+v", o, o.Checkpoint)
	}
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
	if text, err := os.ReadFile(filepath.Join(work, "seen2")); err != nil || string(text) != "last\n" {
		t.Errorf("it finds %q, %v", text, err)
	}
}

// TestWhatCannotBeSavedIsNotWiped: the attempt does not start.
func TestWhatCannotBeSavedIsNotWiped(t *testing.T) {
	s := &shelf{}
	open, root := keeping(t, s)
	d := open()
	d.Start(saving(root, "echo more >$DIR/n; exit 1", 1))
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
	ready := filepath.Join(root, runner.CheckpointReady(alloc, "web"))
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.changing = 1
	d.Start(saving(root, "exit 0", 2, mesh.Checkpoint{Tree: "kept", Seq: 3}))
	if o := next(t, d, runner.StartFailed); !strings.Contains(o.Err, "save what the attempt before has called whole") {
		t.Errorf("it could not be saved: %+v", o)
	}
	d.Start(saving(root, "exit 0", 3, mesh.Checkpoint{Tree: "kept", Seq: 3}))
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "more" {
		t.Errorf("then it saves %+v", o.Checkpoint)
	}
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
}

// TestANewWordStands: a task that says again that its folder is whole, before it has heard of
// the first, is saved again.
func TestANewWordStands(t *testing.T) {
	open, root := keeping(t, &shelf{})
	d := open()
	d.Start(saving(root, `echo a >$DIR/n; touch $READY; until [ -e go ]; do sleep 0.02; done
		echo b >$DIR/n; rm $READY; echo b >$READY.next; mv $READY.next $READY; exit 1`, 1))
	next(t, d, runner.Started)
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "a" {
		t.Errorf("saved %+v", o.Checkpoint)
	}
	if err := os.WriteFile(filepath.Join(root, runner.WorkDir(alloc, "web"), "go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if o := next(t, d, runner.Saved); o.Checkpoint.Tree != "b" || o.Checkpoint.Label != "b" {
		t.Errorf("on its way out: saved %+v", o.Checkpoint)
	}
	next(t, d, runner.Exited)
}

// TestWhatIsFetchedForATaskIsNotWaitedFor when the task is told to stop.
func TestWhatIsFetchedForATaskIsNotWaitedFor(t *testing.T) {
	s := &shelf{slow: make(chan struct{})}
	open, root := keeping(t, s)
	d := open()
	d.Start(saving(root, "exit 0", 1, mesh.Checkpoint{Tree: "slow"}))
	<-s.slow
	d.Stop(alloc, "web", time.Second)
	if o := next(t, d, runner.StartFailed); !strings.Contains(o.Err, context.Canceled.Error()) {
		t.Errorf("it was stopped: %+v", o)
	}
}

// TestALeaseIsRenewedWhileATaskIsRestored, which may take longer than the lease that it was
// ordered with.
func TestALeaseIsRenewedWhileATaskIsRestored(t *testing.T) {
	s := &shelf{slow: make(chan struct{}), finish: make(chan struct{})}
	open, root := keeping(t, s)
	d := open()
	spec := saving(root, "exit 0", 1, mesh.Checkpoint{Tree: "late"})
	spec.Until = time.Nanosecond // since boot
	d.Start(spec)
	<-s.slow
	d.Renew(alloc, "web", math.MaxInt64)
	close(s.finish)
	next(t, d, runner.Restored)
	next(t, d, runner.Started)
	if o := next(t, d, runner.Exited); o.ExitCode != 0 || o.Expired {
		t.Errorf("it ends with %+v", o)
	}
}

// TestATaskIsSavedUnasked now and then, if anything has happened.
func TestATaskIsSavedUnasked(t *testing.T) {
	open, root := keeping(t, &shelf{})
	d := open()
	spec := saving(root, `i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i >$DIR/n; until [ -e go$i ]; do sleep 0.02; done; done`, 1)
	spec.Saving.Every = 10 * time.Millisecond
	d.Start(spec)
	next(t, d, runner.Started)
	for i := 1; i <= 3; i++ {
		if o := next(t, d, runner.Saved); o.Checkpoint.Tree != fmt.Sprint(i) || o.Checkpoint.Label != "" {
			t.Errorf("saved %+v, want %d", o.Checkpoint, i)
		}
		if err := os.WriteFile(filepath.Join(root, runner.WorkDir(alloc, "web"), fmt.Sprint("go", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	next(t, d, runner.Exited)
}

// TestOnlyTheWordThatIsAnsweredIsTaken away.
func TestOnlyTheWordThatIsAnsweredIsTaken(t *testing.T) {
	open, root := keeping(t, &shelf{})
	d, k := open(), key{alloc, "web"}
	name := filepath.Join(root, runner.CheckpointReady(alloc, "web"))
	say := func() *word {
		err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name+".next", nil, 0o644), os.Rename(name+".next", name))
		if err != nil {
			t.Fatal(err)
		}
		return d.ready(k)
	}
	first := say()
	second := say()
	if d.taken(k, first); d.ready(k) == nil {
		t.Error("another word was taken for the one that is answered")
	}
	if d.taken(k, second); d.ready(k) != nil {
		t.Error("the word that is answered stands")
	}
}
