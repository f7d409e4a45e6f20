package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
	"mn/runner/supervise"
)

// chest keeps in memory what is left.
type chest struct {
	files []string // what was asked for
	texts []map[string][]byte
	busy  int  // how often somebody writes
	slow  bool // it takes for ever
	fault error
}

func (c *chest) KeepFiles(ctx context.Context, dir string, patterns []string) (*mesh.Kept, error) {
	c.files = append(c.files, fmt.Sprint(filepath.Base(dir), patterns))
	if c.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if c.busy--; c.busy >= 0 {
		return nil, nil
	}
	if c.fault != nil {
		return nil, c.fault
	}
	return &mesh.Kept{Tree: "files", Files: 1}, nil
}

func (c *chest) KeepTexts(texts map[string][]byte) (*mesh.Kept, error) {
	c.texts = append(c.texts, texts)
	return &mesh.Kept{Tree: fmt.Sprint("texts", len(c.texts))}, nil
}

// ends runs a task to its end, and returns what is observed of that, and what an agent that
// restarts then finds.
func ends(t *testing.T, c *chest, spec runner.Spec) (now, again runner.Observation) {
	t.Helper()
	root := t.TempDir()
	open := func() *Driver {
		d, err := Open(Config{Root: root, Keeper: c, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	d.Start(spec)
	next(t, d, runner.Started)
	now = next(t, d, runner.Exited)
	d.Close()
	d = open()
	defer d.Close()
	if len(d.Found()) != 1 {
		t.Fatalf("found %+v", d.Found())
	}
	return now, d.Found()[0]
}

// TestWhatIsLeftIsKeptOnce, before the end is told; an agent that restarts has it from its note.
func TestWhatIsLeftIsKeptOnce(t *testing.T) {
	spec := drivertest.Spec("web", "echo hello; exit 3")
	spec.Outputs = []string{"out/*", "x"}
	c := &chest{}
	now, again := ends(t, c, spec)
	for _, o := range []runner.Observation{now, again} {
		if o.ExitCode != 3 || o.Outputs == nil || o.Outputs.Tree != "files" || o.Log == nil || o.Log.Tree != "texts1" {
			t.Errorf("got %+v, outputs %+v, log %+v", o, o.Outputs, o.Log)
		}
	}
	if fmt.Sprint(c.files) != "[work[out/* x]]" || len(c.texts) != 1 || string(c.texts[0]["stdout"]) != "hello\n" {
		t.Errorf("asked to keep %v, %q", c.files, c.texts)
	}
}

// TestWhatCannotBeKeptIsSaid, and what nobody wants or has written is no matter.
func TestWhatCannotBeKeptIsSaid(t *testing.T) {
	spec := drivertest.Spec("web", "exit 0")
	if now, _ := ends(t, &chest{}, spec); now.Outputs != nil || now.Log != nil {
		t.Errorf("got %+v, %+v of a task that leaves nothing", now.Outputs, now.Log)
	}
	private := drivertest.Spec("web", "echo a secret")
	private.LogStays = true
	if now, again := ends(t, &chest{}, private); now.Log != nil || again.Log != nil {
		t.Errorf("of a log that is to stay where it is %+v, %+v is kept", now.Log, again.Log)
	}
	spec.Outputs = []string{"x"}
	if now, _ := ends(t, &chest{fault: errors.New("too much")}, spec); now.Outputs.Fault != "too much" {
		t.Errorf("got %+v", now.Outputs)
	}
	long := errors.New(strings.Repeat("\xff\x1b", 1<<19)) // as names of files may be
	if now, again := ends(t, &chest{fault: long}, spec); len(now.Outputs.Fault) > mesh.TextMax ||
		!utf8.ValidString(now.Outputs.Fault) || again.Outputs.Fault != now.Outputs.Fault {
		t.Errorf("got %d bytes, and then %d", len(now.Outputs.Fault), len(again.Outputs.Fault))
	}
	if now, _ := ends(t, &chest{busy: 1}, spec); now.Outputs.Tree != "files" {
		t.Errorf("after a pause: got %+v", now.Outputs)
	}
	if now, _ := ends(t, &chest{busy: keepTries}, spec); now.Outputs.Fault == "" {
		t.Errorf("of what is written to still: got %+v", now.Outputs)
	}
}

// supervised returns when a task has no supervisor any more, which has the lock until then.
func supervised(t *testing.T, root string, spec runner.Spec) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(root, key{spec.Alloc, spec.Task}.file(supervise.StateFile)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

// TestEndedWhileNobodyLooked is kept by the next agent.
func TestEndedWhileNobodyLooked(t *testing.T) {
	root, c := t.TempDir(), &chest{}
	open := func() *Driver {
		d, err := Open(Config{Root: root, Keeper: c, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	spec := drivertest.Spec("web", "read x <"+filepath.Join(root, "door")+"; echo ends")
	spec.Outputs = []string{"x"}
	if err := syscall.Mkfifo(filepath.Join(root, "door"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open()
	d.Start(spec)
	next(t, d, runner.Started)
	d.Close()
	if err := os.WriteFile(filepath.Join(root, "door"), []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	supervised(t, root, spec)
	d = open()
	defer d.Close()
	if kind := d.Found()[0].Kind; kind != runner.Adopted {
		t.Fatalf("found %v, before its outputs are kept", kind)
	}
	o := next(t, d, runner.Exited)
	if o.Outputs == nil || o.Log == nil || len(c.files) != 1 {
		t.Errorf("got %+v, %+v, asked %v", o.Outputs, o.Log, c.files)
	}
}

// TestOutputsThatTakeTooLongAreGivenUp, and hold up neither an agent that starts nor one that ends.
func TestOutputsThatTakeTooLongAreGivenUp(t *testing.T) {
	root, c := t.TempDir(), &chest{slow: true}
	open := func() *Driver {
		d, err := Open(Config{Root: root, Keeper: c, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	spec := drivertest.Spec("web", "exit 0")
	spec.Outputs = []string{"x"}
	d := open()
	d.Start(spec)
	next(t, d, runner.Started)
	d.Close()
	supervised(t, root, spec)
	d = open() // does not wait for it
	d.Close()
	d = open()
	if f := d.Found(); len(f) != 1 || f[0].Kind != runner.Adopted {
		t.Fatalf("found %+v", f)
	}
	d.Close()
	spec = drivertest.Spec("other", "exit 0")
	spec.Outputs = []string{"x"}
	root = t.TempDir()
	d = open()
	d.keepMost = time.Millisecond
	defer d.Close()
	d.Start(spec)
	next(t, d, runner.Started)
	if o := next(t, d, runner.Exited); o.Outputs == nil || o.Outputs.Fault != "they were not on the disk within 1ms" {
		t.Errorf("got %+v", o.Outputs)
	}
}
