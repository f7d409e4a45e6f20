package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mn/health/vitals"
	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// silent is an engine that does not answer, as long as it is told so. What is in a container
// is a process here.
type silent struct {
	pulls bool
	quiet chan struct{} // closes when it answers again; nil: it does

	mu      sync.Mutex
	asked   int
	removed []int // attempts
}

func (s *silent) wait(ctx context.Context) error {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	if s.quiet == nil {
		return nil
	}
	select {
	case <-s.quiet:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *silent) Pulls(context.Context, runner.Spec) bool { return s.pulls }

func (s *silent) Image(ctx context.Context, _ runner.Spec) (string, error) { return "", s.wait(ctx) }

func (s *silent) Plan(runner.Spec, []runner.Bind) ([]byte, error) { return []byte("{}"), nil }

func (s *silent) Join(context.Context, mesh.AllocID, string, int, runner.Command, net.Conn) {}

func (s *silent) Barred() []string { return nil }

func (s *silent) Remove(ctx context.Context, _ mesh.AllocID, _ string, attempt int) error {
	err := s.wait(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.removed = append(s.removed, attempt)
	}
	return err
}

// containing is a suite with an engine.
func containing(engine *silent) drivertest.Suite {
	return drivertest.Suite{
		Open: func(t *testing.T, root string) runner.Driver {
			d, err := Open(Config{
				Root: root, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Containers: engine,
				Container: []string{"/proc/self/exe", "supervise"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Now: vitals.Now,
	}
}

func boxed(task, script string) runner.Spec {
	s := drivertest.Spec(task, script)
	s.Container = &mesh.Container{Image: "nginx"}
	return s
}

// Whether an engine is silent or fetches what is large: what needs none of it starts.
func TestEnginesHoldUpNobodyElse(t *testing.T) {
	for _, pulls := range []bool{true, false} {
		t.Run(fmt.Sprintf("pulls %v", pulls), func(t *testing.T) {
			engine := &silent{pulls: pulls, quiet: make(chan struct{})}
			w := containing(engine).NewWorld(t)
			const many = startsMax + restoresMax + downloadsMax + containsMax
			for i := range many {
				w.Start(boxed(fmt.Sprintf("box%d", i), `exit 0`))
			}
			w.Until("all places are taken", func() bool {
				engine.mu.Lock()
				defer engine.mu.Unlock()
				return engine.asked == map[bool]int{true: downloadsMax, false: containsMax}[pulls]
			})
			s := drivertest.Spec("saved", `exit 0`)
			s.Payload = &mesh.Payload{Tree: "none"} // which is looked for in a place for what is restored
			w.Start(s)
			if o := w.Next(); o.Task != "saved" || o.Kind != runner.StartFailed {
				t.Errorf("observed %+v", o)
			}
			w.Start(drivertest.Spec("web", `exit 3`))
			if o := w.Expect(runner.Started); o.Task != "web" {
				t.Errorf("observed %+v", o)
			}
			if o := w.Expect(runner.Exited); o.Task != "web" || o.ExitCode != 3 {
				t.Errorf("observed %+v", o)
			}
			close(engine.quiet)
			for ended := 0; ended < many; {
				if o := w.Next(); o.Kind == runner.Exited {
					ended++
				}
			}
		})
	}
}

// An agent starts at once, however many containers have lost their supervisors.
func TestSilentEngineDoesNotHoldUpTheAgent(t *testing.T) {
	engine := &silent{}
	w := containing(engine).NewWorld(t)
	const many = 3
	for i := range many {
		w.Run(boxed(fmt.Sprintf("box%d", i), `touch ready; exec sleep 1000`))
	}
	pids := []int{}
	for i := range many {
		pids = append(pids, supervisor(t, w, fmt.Sprintf("box%d", i)))
	}
	w.Close()
	for i, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
		w.Gone(pid)
		w.Forget(fmt.Sprintf("box%d", i))
	}
	engine.quiet = make(chan struct{})
	began := time.Now()
	w.Open()
	if took := time.Since(began); took > removeTimeout/2 {
		t.Errorf("it took %v", took)
	}
	if found := w.Driver.Found(); len(found) != many {
		t.Errorf("found %+v", found)
	}
	close(engine.quiet)
	w.Until("all are removed", func() bool {
		engine.mu.Lock()
		defer engine.mu.Unlock()
		return len(engine.removed) == many && engine.removed[0] == 1
	})
}

// Who starts a container may have to wait for its engine; nobody else would see to what it
// has asked for.
func TestLateSupervisorOfAContainerIsWaitedFor(t *testing.T) {
	w := containing(&silent{}).NewWorld(t)
	d := w.Driver.(*Driver)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	door := filepath.Join(t.TempDir(), "door")
	d.cfg.Container = []string{
		"/bin/sh", "-c", fmt.Sprintf(`until [ -e %s ]; do sleep 0.05; done; exec %s supervise "$0" "$1"`, door, program),
	}
	s := boxed("web", `exit 0`)
	k := key{alloc, "web"}
	spec, err := d.prepare(t.Context(), k, s)
	if err == nil {
		err = d.writeSpec(k, spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	web := &task{d: d, key: k, attempt: 1, contained: true, over: make(chan struct{})}
	c, err := web.spawn()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = web.hear(c, bufio.NewReaderSize(c, lineMax), spec, time.Millisecond)
	late := lateError{}
	if !errors.As(err, &late) || !drivertest.Alive(web.child) {
		t.Fatalf("it is not waited for: %v", err)
	}
	if err := os.WriteFile(door, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, o, err := web.hear(late.conn, late.r, spec, 0)
	if err != nil || o.Kind != runner.Started {
		t.Fatalf("observed %+v, %v", o, err)
	}
	if exit := readExit(r, 1); exit == nil || exit.Code != 0 {
		t.Errorf("it ended as %+v", exit)
	}
	web.reap()
}

func TestPathsThatSayMoreAreNotShown(t *testing.T) {
	w := containing(&silent{}).NewWorld(t)
	d := w.Driver.(*Driver)
	k := key{alloc, "web"}
	if err := d.makeFolders(k, nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range []runner.Bind{
		{Source: "/a,destination=/etc", Target: "/a"},
		{Source: "/a", Target: `/a"`},
		{Source: "/a\n", Target: "/a"},
		{Source: "/a", Target: "/a\rb"},
	} {
		if err := d.contain(k, boxed("web", ""), []runner.Bind{b}); err == nil || !strings.Contains(err.Error(), "no folder with a comma") {
			t.Errorf("%+v: %v", b, err)
		}
	}
	if err := d.contain(k, boxed("web", ""), []runner.Bind{{Source: "/a b", Target: "/a:b"}}); err != nil {
		t.Error(err)
	}
}

// What is in hand is an attempt; of what could not be read, any may be.
func TestHasAttempts(t *testing.T) {
	d := &Driver{tasks: map[key]*task{{alloc, "web"}: {attempt: 2}}, unread: []string{key{alloc, "torn"}.group(), "others."}}
	for _, test := range []struct {
		alloc   mesh.AllocID
		task    string
		attempt int
		want    bool
	}{
		{alloc, "web", 2, true},
		{alloc, "web", 1, false},
		{alloc, "webs", 2, false},
		{alloc, "torn", 7, true},
		{alloc, "torn2", 7, false},
		{"others", "web", 1, true},
		{"other", "web", 2, false},
	} {
		if got := d.Has(test.alloc, test.task, test.attempt); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
