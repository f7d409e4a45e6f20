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
	"unicode/utf8"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// chest keeps in memory what is left.
type chest struct {
	files []string // what was asked for
	texts []map[string][]byte
	busy  int // how often somebody writes
	fault error
}

func (c *chest) KeepFiles(_ context.Context, dir string, patterns []string) (*mesh.Kept, error) {
	c.files = append(c.files, fmt.Sprint(filepath.Base(dir), patterns))
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
	d = open()
	defer d.Close()
	o := d.Found()[0]
	if o.Kind == runner.Adopted { // it had not quite ended
		o = next(t, d, runner.Exited)
	}
	if o.Outputs == nil || o.Log == nil || len(c.files) != 1 {
		t.Errorf("got %+v, %+v, asked %v", o.Outputs, o.Log, c.files)
	}
}
