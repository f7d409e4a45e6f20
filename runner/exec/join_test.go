package exec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
	"mn/runner/frames"
)

// talk is a conversation with a command in a task.
type talk struct {
	t    *testing.T
	conn io.ReadWriteCloser
	from *frames.Reader
	out  bytes.Buffer
	err  bytes.Buffer
}

// join has a command run in a task of a world.
func join(t *testing.T, w *drivertest.World, task string, c runner.Command) *talk {
	t.Helper()
	conn, err := w.Driver.(*Driver).Join("abcdefgh", task, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &talk{t: t, conn: conn, from: frames.NewReader(conn)}
}

func (k *talk) send(kind frames.Kind, payload string) {
	k.t.Helper()
	if err := frames.Write(k.conn, kind, []byte(payload)); err != nil {
		k.t.Error(err)
	}
}

// until reads until the command has said something.
func (k *talk) until(said string) {
	k.t.Helper()
	for !strings.Contains(k.out.String(), said) {
		if _, last, ok := k.next(); ok {
			k.t.Fatalf("it ended with %q before it said %q, but %q, %q", last, said, k.out.String(), k.err.String())
		}
	}
}

// next reads a frame, and says whether it was the last.
func (k *talk) next() (kind frames.Kind, payload string, last bool) {
	k.t.Helper()
	kind, p, err := k.from.Next()
	if err != nil {
		k.t.Fatal(err)
	}
	switch kind {
	case frames.Stdout:
		k.out.Write(p)
	case frames.Stderr:
		k.err.Write(p)
	}
	return kind, string(p), kind == frames.Exit || kind == frames.Failed
}

// end reads to the end, and says how it was.
func (k *talk) end() string {
	k.t.Helper()
	for {
		if kind, text, last := k.next(); last {
			if _, _, err := k.from.Next(); err != io.EOF {
				k.t.Errorf("behind the last frame: got %v, want EOF", err)
			}
			return string(kind) + text
		}
	}
}

func shell(script string) runner.Command {
	return runner.Command{Command: []string{"sh", "-c", script}}
}

// idle is a task that says that it runs.
func idle(i mesh.Isolation, before string) runner.Spec {
	s := drivertest.Spec("web", before+"\ntouch ready; exec sleep 1000")
	s.Isolation = i
	s.Env = append(s.Env, "COLOUR=green")
	return s
}

// What a process is allowed, and where it is, as far as it can find out.
const facts = `pwd; id; echo $COLOUR $MN_TASK_DIR; cat /proc/self/cgroup /proc/self/uid_map /proc/self/limits
	readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/ipc /proc/self/ns/net
	grep -E "^(NoNewPrivs|Seccomp|Cap[A-Z][a-z]*|Groups):" /proc/self/status; cat /proc/1/comm; ls /dev
	touch /etc/mine /usr/mine 2>/dev/null; echo $?; rm -f /etc/mine /usr/mine`

func TestCommandRunsAsItsTaskDoesAndWithNoMoreRights(t *testing.T) {
	for _, i := range append(isolations(t), "") {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			s := idle(i, "("+facts+") >facts 2>&1")
			if i != mesh.IsolateNone {
				s.Resources.Memory = 64 * mesh.MiB
			}
			w.Run(s)
			for _, when := range []string{"with the agent that has started it", "with another"} {
				k := join(t, w, "web", shell("("+facts+") 2>&1; echo oops >&2; exit 7"))
				if got := k.end(); got != "x7" || k.err.String() != "oops\n" {
					t.Errorf("%s: ended with %q, stderr %q, want exit code 7 and oops", when, got, k.err.String())
				}
				if got, want := strings.TrimSpace(k.out.String()), w.Wait("web", "facts"); got != want || want == "" {
					t.Errorf("%s: got\n%s\nwant what the task says:\n%s", when, got, want)
				}
				w.Restart()
				w.Driver.Found()
			}
		})
	}
}

func TestInputReachesACommandToItsEnd(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			w.Run(idle(i, ""))
			k := join(t, w, "web", shell("cat; exit 3"))
			want := strings.Repeat("0123456789abcdef", 2<<10)
			sent, taken := 0, 0
			for sent < 40 || taken < 40 {
				for sent < 40 && sent-taken < frames.InputsMax {
					k.send(frames.Input, want)
					sent++
				}
				if kind, _, _ := k.next(); kind == frames.Taken {
					taken++
				}
			}
			k.send(frames.Closed, "")
			if got := k.end(); got != "x3" || k.out.String() != strings.Repeat(want, 40) {
				t.Errorf("ended with %q, and %d bytes came back, want 3 and %d", got, k.out.Len(), 40*len(want))
			}
		})
	}
}

func TestTerminalHasASizeThatChanges(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			w.Run(idle(i, ""))
			c := shell(`tty; echo $TERM; stty size; echo >/dev/tty; read x; stty size; echo "got $x"; kill -9 $$`)
			c.Terminal, c.Term, c.Rows, c.Columns = true, "vt100", 30, 90
			k := join(t, w, "web", c)
			k.until("30 90")
			k.send(frames.Size, "\x00\x28\x01\x00")
			k.send(frames.Input, "this\r")
			end, said := k.end(), k.out.String()
			for _, want := range []string{"/dev/pts/", "vt100", "30 90", "40 256", "got this"} {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, want %q in it", said, want)
				}
			}
			if end != "x137" {
				t.Errorf("ended with %q, want 137", end)
			}
		})
	}
}

// What starts processes that get away from it as far as they can.
const litter = `(setsid sleep 1000 & setsid sh -c "sleep 1000 & sleep 1000" & sleep 1000 &) >/dev/null 2>&1
	trap "" TERM HUP INT; echo there; `

// asleep waits until an idle task has become its sleep, and what made it ready is gone, and counts
// its processes.
func asleep(w *drivertest.World) (processes int) {
	w.Until("it sleeps", func() bool {
		names := map[string]bool{}
		pids := w.Marked()
		for _, pid := range pids {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			names[strings.TrimSpace(string(name))] = true
		}
		processes = len(pids)
		return names["sleep"] && !names["touch"] && !names["sh"]
	})
	return processes
}

func TestNothingStaysOfACommandWhoseClientIsGone(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			w.Run(idle(i, ""))
			alone := asleep(w)
			for _, terminal := range []bool{false, true} {
				c := shell(litter + "while :; do sleep 1000; done")
				c.Terminal = terminal
				k := join(t, w, "web", c)
				k.until("there")
				w.Until("all of it runs", func() bool { return len(w.Marked()) >= alone+4 })
				k.conn.Close()
				w.Until("what it has started is gone", func() bool { return len(w.Marked()) == alone })
				k = join(t, w, "web", shell(litter+"exit 5"))
				if got := k.end(); got != "x5" {
					t.Errorf("ended with %q, want 5", got)
				}
				w.Until("what it has left is gone", func() bool { return len(w.Marked()) == alone })
			}
		})
	}
}

func TestCommandEndsWithItsTaskAndSaysSo(t *testing.T) {
	for _, i := range isolations(t) {
		for name, s := range map[string]string{
			"of itself": "touch ready; until [ -e go ]; do sleep 0.01; done",
			"stopped":   `trap "exit 0" TERM; touch ready; while :; do sleep 0.01; done`,
		} {
			t.Run(fmt.Sprintf("isolation %q %s", i, name), func(t *testing.T) {
				w := suite().NewWorld(t)
				spec := drivertest.Spec("web", s)
				spec.Isolation = i
				w.Run(spec)
				k := join(t, w, "web", shell(litter+"sleep 1000"))
				k.until("there")
				if name == "stopped" {
					w.Driver.Stop("abcdefgh", "web", drivertest.Spec("", "").Grace)
				}
				w.Touch("web", "go")
				if o := w.Expect(runner.Exited); o.ExitCode != 0 || o.Err != "" {
					t.Errorf("the task: observed %+v, want exit code 0", o)
				}
				if got := k.end(); got != "fits task has ended, and the command with it" {
					t.Errorf("the command ended with %q, want that its task has ended", got)
				}
				if left := w.Marked(); len(left) > 0 {
					t.Errorf("processes %v are left", left)
				}
			})
		}
	}
}

// A client that takes nothing of what a command says does not prolong the task.
func TestTaskEndsWithoutAClientThatTakesNothing(t *testing.T) {
	for _, i := range isolations(t) {
		for name, script := range map[string]string{
			"in a command that runs": "while :; do cat /dev/zero; done", "in one that has ended": "head -c 300000 /dev/zero",
		} {
			t.Run(fmt.Sprintf("isolation %q %s", i, name), func(t *testing.T) {
				t.Parallel()
				w := suite().NewWorld(t)
				spec := drivertest.Spec("web", `trap "exit 0" TERM; touch ready; while :; do sleep 0.01; done`)
				spec.Isolation = i
				w.Run(spec)
				join(t, w, "web", shell("echo yes >talks; "+script))
				w.Wait("web", "talks")
				began := time.Now()
				w.Driver.Stop("abcdefgh", "web", time.Minute)
				w.Expect(runner.Exited)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the task took %v to end", took)
				}
			})
		}
	}
}

// A terminal that no process has open for a moment is still one.
func TestTerminalOutlivesAMomentWithoutProcesses(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			w.Run(idle(i, ""))
			c := shell("exec <&- >&- 2>&-; sleep 0.3; echo late >/dev/tty")
			c.Terminal = true
			k := join(t, w, "web", c)
			if got := k.end(); got != "x0" || !strings.Contains(k.out.String(), "late") {
				t.Errorf("ended with %q, and said %q, want late", got, k.out.String())
			}
		})
	}
}

func TestMemoryOfACommandIsOfItsTask(t *testing.T) {
	for _, i := range limited(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			s := idle(i, "")
			s.Resources.Memory = 64 * mesh.MiB
			w.Run(s)
			k := join(t, w, "web", runner.Command{Command: []string{"sh", "-c", "head -c 200000000 /dev/zero | tail"}})
			if got := k.end(); got != "x137" {
				t.Errorf("ended with %q, want it killed", got)
			}
		})
	}
}

func TestWhatCannotBeStartedSaysWhy(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			w.Run(idle(i, ""))
			for want, c := range map[string]runner.Command{
				`find command "nothing": not in PATH`: {Command: []string{"nothing", "-x"}},
				"the command is empty":                {},
				"longer than 64 bytes":                {Command: []string{"true"}, Term: strings.Repeat("x", 65)},
				"no such file":                        {Command: []string{"/nowhere/true"}, Terminal: true},
			} {
				if got := join(t, w, "web", c).end(); got[0] != 'f' || !strings.Contains(got, want) {
					t.Errorf("%+v: got %q, want %q", c, got, want)
				}
			}
			long := runner.Command{Command: []string{strings.Repeat("x", frames.PayloadMax)}}
			if _, err := w.Driver.(*Driver).Join("abcdefgh", "web", long); err == nil || !strings.Contains(err.Error(), "longer") {
				t.Errorf("got %v, want that it is too long", err)
			}
			if _, err := w.Driver.(*Driver).Join("abcdefgh", "no", shell("true")); !errors.Is(err, runner.ErrNotRunning) {
				t.Errorf("of no task: got %v, want that it does not run", err)
			}
		})
	}
}

func TestOnlySoManyCommandsAreInATask(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run(fmt.Sprintf("isolation %q", i), func(t *testing.T) {
			w := suite().NewWorld(t)
			w.Run(idle(i, ""))
			var all []*talk
			for range 8 {
				all = append(all, join(t, w, "web", shell("echo there; sleep 1000")))
			}
			if _, err := w.Driver.(*Driver).Join("abcdefgh", "web", shell("true")); err == nil ||
				!strings.Contains(err.Error(), "already 8 commands") {
				t.Errorf("the ninth: got %v, want it refused", err)
			}
			all[0].until("there")
			all[0].conn.Close()
			w.Until("there is room again", func() bool {
				conn, err := w.Driver.(*Driver).Join("abcdefgh", "web", shell("true"))
				if err == nil {
					conn.Close()
				}
				return err == nil
			})
		})
	}
}

// Whoever sends what is no conversation is put out, and what it had run is killed.
func TestWhoTalksNonsenseIsPutOut(t *testing.T) {
	w := suite().NewWorld(t)
	w.Run(idle(mesh.IsolateNone, ""))
	alone := len(w.Marked())
	for name, say := range map[string]func(*talk){
		"no kind":        func(k *talk) { k.send('?', "") },
		"too long":       func(k *talk) { fmt.Fprint(k.conn, "i\xff\xff\xff\xff") },
		"no size":        func(k *talk) { k.send(frames.Size, "1") },
		"input behind":   func(k *talk) { k.send(frames.Closed, ""); k.send(frames.Input, "x") },
		"another start":  func(k *talk) { k.send(frames.Start, "{}") },
		"without a wait": func(k *talk) { k.flood() },
	} {
		k := join(t, w, "web", shell("echo there; sleep 1000"))
		k.until("there")
		say(k)
		if got := k.end(); got != "fnobody waits for it" {
			t.Errorf("%s: ended with %q, want it put out", name, got)
		}
		w.Until(name+": it is gone", func() bool { return len(w.Marked()) == alone })
	}
}

// flood sends more than was taken, until nobody listens.
func (k *talk) flood() {
	for range 1000 {
		if frames.Write(k.conn, frames.Input, make([]byte, frames.PayloadMax)) != nil {
			return
		}
	}
}

func TestSupervisorThatLetsNobodyInIsNotWaitedForForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() {
			_, _ = io.WriteString(theirs, "{}\n")
			_, _ = io.Copy(io.Discard, theirs) // and says nothing more
		}()
		err := introduce(ours, bufio.NewReader(ours), []byte("{}"))
		if f := mesh.FaultOf(err); f.Kind != mesh.Unavailable || len(f.Hints) == 0 {
			t.Errorf("got %v, want a hint", err)
		}
		ours.Close()
	})
}
