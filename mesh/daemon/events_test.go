package daemon

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// follower follows the events of a mesh.
type follower struct {
	t     *testing.T
	lines chan api.EventLine
	stop  func()
	seen  []api.EventLine
}

func (a *agent) follow(r api.EventsRequest) *follower {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	f := &follower{t: a.t, lines: make(chan api.EventLine, 4096)}
	go func() {
		defer close(f.lines)
		_ = a.client.Events(ctx, r, func(l api.EventLine) error { // it ends when it is stopped
			select {
			case f.lines <- l:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	f.stop = func() {
		cancel()
		for range f.lines { //nolint:revive // until it has ended
		}
	}
	a.t.Cleanup(f.stop)
	return f
}

// wait reads on until is says that the line has come.
func (f *follower) wait(what string, is func(api.EventLine) bool) api.EventLine {
	f.t.Helper()
	for l := range f.lines {
		f.seen = append(f.seen, l)
		if is(l) {
			return l
		}
	}
	f.t.Fatalf("no %s came; but %+v", what, f.seen)
	return api.EventLine{}
}

func kindOn(kind mesh.EventKind, node string) func(api.EventLine) bool {
	return func(l api.EventLine) bool { return l.Kind == kind && l.Node == node }
}

// listed are the events that a request gives at once.
func (a *agent) listed(r api.EventsRequest) []api.EventLine {
	a.t.Helper()
	var lines []api.EventLine
	err := a.client.Events(a.t.Context(), r, func(l api.EventLine) error { lines = append(lines, l); return nil })
	if err != nil {
		a.t.Fatal(err)
	}
	return lines
}

// same says whether two lines are of the same event.
func same(a, b api.EventLine) bool {
	return a.At.Equal(b.At) && a.NodeID == b.NodeID && a.Kind == b.Kind && a.Alloc == b.Alloc &&
		a.PeerID == b.PeerID && a.Text == b.Text
}

// checkOnce says so if a list has an event twice.
func checkOnce(t *testing.T, lines []api.EventLine) {
	t.Helper()
	for i, l := range lines {
		if slices.ContainsFunc(lines[:i], func(o api.EventLine) bool { return same(l, o) }) {
			t.Errorf("twice: %+v", l)
		}
	}
}

// everywhere is a job with a copy on every node, also on one that has just joined.
func everywhere(name string) mesh.Job {
	job := loopJob(name, 1)
	job.Type = mesh.System
	return job
}

func TestAnyNodeHasTheEventsOfAll(t *testing.T) {
	agents := newMesh(t, 3)
	f := agents[2].follow(api.EventsRequest{Tail: -1, Follow: true})
	agents[0].run(everywhere("web"))
	agents[0].waitJob("web", running(3))
	for started := map[string]bool{}; len(started) < 3; {
		l := f.wait("start on every node", func(l api.EventLine) bool { return l.Kind == mesh.TaskStarted })
		if l.Job != "web" || l.Alloc == "" {
			t.Errorf("a start of what? %+v", l)
		}
		started[l.Node] = true
	}
	checkOnce(t, f.seen)
	placed := agents[1].listed(api.EventsRequest{Job: "web", Kinds: api.Kinds{"alloc_placed"}, Tail: -1})
	if len(placed) != 3 {
		t.Errorf("placed are %+v, want 3", placed)
	}
	for _, l := range placed {
		if l.Fence == "" || l.Peer == "" || l.Text == "" || l.Node == "" {
			t.Errorf("it does not say who decided what under which fence: %+v", l)
		}
	}
	all := agents[1].listed(api.EventsRequest{Job: "web", Tail: -1})
	if !slices.IsSortedFunc(all, func(a, b api.EventLine) int { return a.At.Compare(b.At) }) {
		t.Errorf("they are not in order of time: %+v", all)
	}
	last := agents[1].listed(api.EventsRequest{Job: "web", Tail: 2})
	if n := len(all); len(last) != 2 || !same(last[0], all[n-2]) || !same(last[1], all[n-1]) {
		t.Errorf("the last two are %+v,\nof %+v", last, all)
	}
	for i, l := range all { // wherever somebody stopped to read
		at, err := api.ParseCursor(l.Cursor)
		if err != nil {
			t.Fatal(err)
		}
		rest := agents[i%3].listed(api.EventsRequest{Job: "web", After: at})
		if !slices.EqualFunc(rest, all[i+1:], same) {
			t.Errorf("after %d of %d are %d events, want %d", i+1, len(all), len(rest), len(all)-i-1)
		}
	}
}

// TestEventsGoOnOverRestarts: of the one who reads, of a node that is read while
// it is, and between two readings.
func TestEventsGoOnOverRestarts(t *testing.T) {
	agents := newMesh(t, 3)
	agents[0].run(everywhere("web"))
	agents[0].waitJob("web", running(3))
	f := agents[0].follow(api.EventsRequest{Tail: -1, Follow: true})
	for started := map[string]bool{}; len(started) < 3; {
		started[f.wait("start", func(l api.EventLine) bool { return l.Kind == mesh.TaskStarted }).Node] = true
	}
	agents[1].stop()
	l := f.wait("notice of the node that is gone", kindOn(api.EventUnasked, "n2"))
	agents[1].start()
	l = f.wait("adoption after the restart", kindOn(mesh.TaskAdopted, "n2"))
	checkOnce(t, f.seen)
	f.stop()

	at, err := api.ParseCursor(l.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	agents[1].waitPeers(3)
	agents[2].stop()
	agents[2].start()
	agents[0].stop() // the one that was asked
	agents[0].start()
	for _, a := range agents {
		a.waitPeers(3)
	}
	again := agents[1].follow(api.EventsRequest{After: at, Follow: true})
	adopted := map[string]bool{}
	for len(adopted) < 2 {
		l := again.wait("adoption", func(l api.EventLine) bool { return l.Kind == mesh.TaskAdopted })
		adopted[l.Node] = true
	}
	if !adopted["n1"] || !adopted["n3"] {
		t.Errorf("adopted on %v since", adopted)
	}
	checkOnce(t, append(f.seen, again.seen...))
	for _, l := range append(f.seen, again.seen...) {
		if l.Kind == api.EventGap {
			t.Errorf("all ended in order, and yet: %+v", l)
		}
	}
}

// TestEventsOfANodeThatWasAwayCome: it was out of sight when the list began, and in
// maintenance, as a machine is when it is rebooted.
func TestEventsOfANodeThatWasAwayCome(t *testing.T) {
	agents := newMesh(t, 2)
	if _, err := agents[0].client.Administer(t.Context(), api.AdminRequest{Node: "n2", Mode: mesh.Maintenance}); err != nil {
		t.Fatal(err)
	}
	agents[1].stop()
	agents[0].waitPeers(1)
	f := agents[0].follow(api.EventsRequest{Tail: 1, Follow: true})
	f.wait("notice", kindOn(api.EventUnasked, "n2"))
	agents[1].start()
	came := f.wait("event of the node that was away", func(l api.EventLine) bool {
		return l.Node == "n2" && !l.Notice()
	})
	if first := f.seen[1]; came.At.Before(first.At) {
		t.Errorf("it is of %v, before what the list begins with: %+v", came.At, first)
	}
	if n := f.seen[0]; n.Kind != api.EventUnasked || !strings.Contains(n.Text, "cannot be read now") {
		t.Errorf("the first line is %+v", n)
	}
	checkOnce(t, f.seen)
}
