package container

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// fake is an engine that goes wrong as it is told to.
type fake struct {
	socket string

	mu    sync.Mutex
	calls []string
	// answer is how it answers a call, such as "POST start": false to break the connection.
	answer func(call string, w http.ResponseWriter) bool
}

func newFake(t *testing.T, answer func(call string, w http.ResponseWriter) bool) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "eng") // the address of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &fake{socket: filepath.Join(dir, "s.sock"), answer: answer}
	l, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: f}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	call := r.Method + " " + parts[len(parts)-1]
	switch {
	case r.Method == http.MethodDelete:
		call = "DELETE"
	case strings.HasSuffix(r.URL.Path, "/containers/json"):
		call = "GET list"
	case strings.Contains(r.URL.Path, "/images/"):
		call = "GET image"
	}
	w.Header().Set("Api-Version", "1.44")
	w.Header().Set("Content-Type", "application/json")
	if call == "GET _ping" || call == "HEAD _ping" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	if !f.answer(call, w) {
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Close()
		}
	}
}

// count is how often it was called so.
func (f *fake) count(call string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

func say(w http.ResponseWriter, code int, body any) bool {
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(body)
	return true
}

func missing(w http.ResponseWriter) bool {
	return say(w, http.StatusNotFound, map[string]string{"message": "no such container"})
}

// keep is a keeper with a plan for a task, in the current folder.
func keep(t *testing.T, f *fake) (*keeper, supervise.Spec) {
	t.Helper()
	t.Chdir(t.TempDir())
	p := plan("Docker", func(s *runner.Spec) { s.Env = []string{mesh.VarTaskDir + "=" + t.TempDir()} })
	p.Socket = f.socket
	text, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(planFile, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return newKeeper(), supervise.Spec{Attempt: 3}
}

// ourContainer is what an engine says of the container of a plan.
func ourContainer(status string, pid int) map[string]any {
	return map[string]any{
		"Id":     "0123456789abcdef",
		"Config": map[string]any{"Labels": map[string]string{labelNode: string(node)}},
		"State":  map[string]any{"Status": status, "Running": status == "running", "Pid": pid, "ExitCode": 7},
	}
}

// An engine breaks off while it starts a container, and takes some tries to remove it: there
// is no word of failure before it has.
func TestFailedStartIsToldWhenNothingIsLeft(t *testing.T) {
	for _, failing := range []string{"POST create", "POST start"} {
		t.Run(strings.Fields(failing)[1], func(t *testing.T) {
			made, removes := false, 0
			f := newFake(t, func(call string, w http.ResponseWriter) bool {
				switch {
				case call == "POST create":
					made = true
				case call == "DELETE":
					if removes++; removes < 3 {
						return false
					}
					made = false
					w.WriteHeader(http.StatusNoContent)
					return true
				}
				switch {
				case call == failing:
					return false
				case call == "POST create":
					return say(w, http.StatusCreated, map[string]any{"Id": "0123456789abcdef"})
				case call == "GET list":
					return say(w, http.StatusOK, []any{})
				case call == "GET image":
					return say(w, http.StatusOK, map[string]any{"Id": "nginx"})
				case call == "GET json" && made:
					return say(w, http.StatusOK, ourContainer("created", 0))
				}
				return missing(w)
			})
			k, spec := keep(t, f)
			if _, err := k.Start(spec, io.Discard, io.Discard); err == nil {
				t.Fatal("it has started")
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if made || removes != 3 {
				t.Errorf("it is told of while the container is there: %v, %d removals tried", made, removes)
			}
		})
	}
}

func TestOtherAttemptsContainerIsInTheWay(t *testing.T) {
	f := newFake(t, func(call string, w http.ResponseWriter) bool {
		switch call {
		case "GET list":
			return say(w, http.StatusOK, []map[string]any{{"Id": "abc", "Labels": map[string]string{
				labelNode: string(node), labelAlloc: string(alloc), labelTask: "web", labelAttempt: "2",
			}}})
		case "DELETE":
			return say(w, http.StatusInternalServerError, map[string]string{"message": "device is busy"})
		}
		return missing(w)
	})
	k, spec := keep(t, f)
	_, err := k.Start(spec, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "attempt 2 still has a container") {
		t.Errorf("it starts, or not for that: %v", err)
	}
	if f.count("POST create") > 0 {
		t.Error("a second container was made")
	}
}

// An engine whose own process or files are gone says that a container has ended which runs.
func TestEngineIsNotBelievedThatWhatRunsHasEnded(t *testing.T) {
	for _, status := range []string{"exited", "dead", ""} {
		t.Run(fmt.Sprintf("%q", status), func(t *testing.T) {
			f := newFake(t, func(call string, w http.ResponseWriter) bool {
				if call == "GET json" && status != "" {
					return say(w, http.StatusOK, ourContainer(status, 0))
				}
				return missing(w)
			})
			k, _ := keep(t, f)
			if err := k.read(3); err != nil {
				t.Fatal(err)
			}
			k.id, k.first = "0123456789abcdef", newFirst(&k.plan.Spec)
			var err error
			if k.c, err = dial(f.socket); err != nil {
				t.Fatal(err)
			}
			own := process(t, k.plan.Spec.Env[0])
			if status != "exited" && !k.first.accept(k.id, own.Process.Pid) {
				t.Fatal("its process is not accepted")
			}
			over := make(chan supervise.Ending, 1)
			state, alive := own.Process, true
			go func() { over <- k.wait() }()
			reaped := make(chan struct{})
			go func() { state.Wait(); close(reaped) }()
			for e := (supervise.Ending{}); ; {
				select {
				case <-reaped:
					alive, reaped = false, nil
					continue
				case e = <-over:
				case <-time.After(20 * time.Second):
					t.Fatal("it does not end")
				}
				if want := map[string]int{"exited": 7, "dead": 7, "": -1}[status]; e.Code != want {
					t.Errorf("it has ended as %+v", e)
				}
				if alive && k.first.alive() {
					t.Error("the end is told while it runs")
				}
				return
			}
		})
	}
}

// What an engine watches a container with was killed: then it says for ever that it runs.
func TestEngineIsNotBelievedThatWhatHasEndedRuns(t *testing.T) {
	own := 0
	f := newFake(t, func(call string, w http.ResponseWriter) bool {
		if call == "GET json" {
			return say(w, http.StatusOK, ourContainer("running", own))
		}
		return missing(w)
	})
	k, _ := keep(t, f)
	if err := k.read(3); err != nil {
		t.Fatal(err)
	}
	k.id, k.first, k.patience = "0123456789abcdef", newFirst(&k.plan.Spec), time.Second
	var err error
	if k.c, err = dial(f.socket); err != nil {
		t.Fatal(err)
	}
	process := process(t, k.plan.Spec.Env[0])
	own = process.Process.Pid
	over := make(chan supervise.Ending, 1)
	go func() { over <- k.wait() }()
	select {
	case e := <-over:
		t.Fatalf("it has ended as %+v, and runs", e)
	case <-time.After(2 * k.patience):
	}
	process.Process.Kill()
	select {
	case e := <-over:
		if e.Code != -1 || !strings.Contains(e.Err, "it says that it runs") {
			t.Errorf("it has ended as %+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Error("its end is never told")
	}
}

func TestSwappedFoldersAreNotShown(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	device, inode := identity(info)
	k := &keeper{first: &first{mark: []byte("x=y")}}
	own := process(t, "x=y")
	if !k.first.accept("", own.Process.Pid) {
		t.Fatal("its process is not accepted")
	}
	for _, test := range []struct {
		bind runner.Bind
		want bool
	}{
		{runner.Bind{Source: dir, Target: dir, Device: device, Inode: inode}, true},
		{runner.Bind{Source: dir, Target: dir, Device: device, Inode: inode + 1}, false},
		{runner.Bind{Source: dir, Target: dir, Device: device + 1, Inode: inode}, false},
		{runner.Bind{Source: dir + "/none", Target: dir + "/none", Device: device, Inode: inode}, false},
		{runner.Bind{Source: dir + "/none", Target: dir + "/none"}, true},
	} {
		binds := []runner.Bind{test.bind}
		if err := unchanged(binds); (err == nil) != test.want {
			t.Errorf("before it starts: %+v: %v", test.bind, err)
		}
		if err := k.shows(binds); (err == nil) != test.want {
			t.Errorf("when it runs: %+v: %v", test.bind, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if unchanged([]runner.Bind{{Source: link, Device: device, Inode: inode}}) == nil {
		t.Error("a link to it is as good")
	}
}

func identity(info os.FileInfo) (device, inode uint64) {
	is := info.Sys().(*syscall.Stat_t)
	return is.Dev, is.Ino
}
