package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

func TestFollowedLogsOfANodeThatIsBackAreNotRepeated(t *testing.T) {
	agents := newMesh(t, 2)
	job := loopJob("web", 2)
	job.Tasks[0].Command = []string{"/bin/sh", "-c", "echo one of $MN_ALLOC_INDEX; exec sleep 1000"}
	job.Recovery.Mode = mesh.LocalRestart // no other takes its place, however slow this machine is
	agents[0].run(job)
	agents[0].waitJob("web", running(2))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lines := make(chan api.LogLine, 64)
	followed := make(chan error, 1)
	go func() {
		followed <- agents[0].client.Logs(ctx, api.LogsRequest{Job: "web", Tail: -1, Follow: true},
			func(l api.LogLine) error { lines <- l; return nil })
	}()
	next := func() api.LogLine {
		select {
		case l := <-lines:
			return l
		case <-ctx.Done():
			t.Fatal("no line came")
			return api.LogLine{}
		}
	}
	seen := map[string]int{}
	for len(seen) < 2 {
		seen[next().Line]++
	}
	agents[1].stop()
	if l := next(); l.Stream != "mn" || l.Node != "n2" {
		t.Errorf("when the node is gone: %+v, want a notice", l)
	}
	agents[1].start()
	agents[0].waitPeers(2)
	other := loopJob("other", 1) // something to wait for, that is later than the node's return
	agents[0].run(other)
	agents[0].waitJob("other", running(1))
	cancel()
	<-followed
	for len(lines) > 0 {
		if l := <-lines; l.Stream != "mn" {
			t.Errorf("a line came again: %+v", l)
		}
	}
}

// What a task writes while its agent is away comes when it is back, each line once.
func TestFollowedLogsGoOnWhereTheyWere(t *testing.T) {
	agents := newMesh(t, 2)
	job := loopJob("web", 2)
	more := filepath.Join(t.TempDir(), "more")
	job.Tasks[0].Command = []string{
		"/bin/sh", "-c", `i=0; while :; do i=$((i+1)); echo $MN_ALLOC_INDEX $i
		[ -e ` + more + ` ] && echo $MN_ALLOC_INDEX $i >&2; sleep 0.1; done`,
	}
	job.Recovery.Mode = mesh.LocalRestart // no other takes its place, however slow this machine is
	agents[0].run(job)
	agents[0].waitJob("web", running(2))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lines := make(chan api.LogLine, 64)
	followed := make(chan error, 1)
	go func() {
		followed <- agents[0].client.Logs(ctx, api.LogsRequest{Job: "web", Tail: 2, Follow: true},
			func(l api.LogLine) error { lines <- l; return nil })
	}()
	last := map[string]int{}
	upTo := func(far, streams int) {
		for there := map[string]bool{}; len(there) < streams; {
			var l api.LogLine
			select {
			case l = <-lines:
			case <-ctx.Done():
				t.Fatalf("no line came after %v", last)
			}
			if l.Stream == "mn" {
				continue
			}
			if l.Place != "" || l.Begins {
				t.Errorf("the caller asked for no place: %+v", l)
			}
			index, number, _ := strings.Cut(l.Line, " ")
			n, err := strconv.Atoi(number)
			key := index + string(l.Alloc) + l.Stream
			if was, seen := last[key]; err != nil || seen && n != was+1 {
				t.Errorf("%q of %s follows %d", l.Line, l.Stream, was)
			}
			if last[key] = n; n >= far {
				there[key] = true
			}
		}
	}
	upTo(10, 2)
	agents[1].stop()
	if err := os.WriteFile(more, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Second) // in which the tasks write
	agents[1].start()
	agents[0].waitPeers(2)
	far := 0
	for _, n := range last {
		far = max(far, n)
	}
	upTo(far+30, 4) // of both streams of both copies
	cancel()
	<-followed
}

// All that the copies of a job wrote comes by time, wherever they run and whichever stream it was.
func TestLogsOfAllCopiesComeByTime(t *testing.T) {
	agents := newMesh(t, 2)
	job := loopJob("web", 2)
	turn := filepath.Join(t.TempDir(), "turn")
	job.Recovery.Mode = mesh.LocalRestart
	job.Tasks[0].Command = []string{"/bin/sh", "-c", `while :; do [ -e ` + turn + `$MN_ALLOC_INDEX.out ] &&
		cat ` + turn + `$MN_ALLOC_INDEX.out && rm ` + turn + `$MN_ALLOC_INDEX.out
		[ -e ` + turn + `$MN_ALLOC_INDEX.err ] &&
		cat ` + turn + `$MN_ALLOC_INDEX.err >&2 && rm ` + turn + `$MN_ALLOC_INDEX.err
		sleep 0.05; done`}
	agents[0].run(job)
	agents[0].waitJob("web", running(2))
	var want []string
	for i, to := range []string{"0.out", "1.out", "0.err", "1.err", "0.out", "1.out"} {
		word := strconv.Itoa(i)
		if err := errors.Join(os.WriteFile(turn+".tmp", []byte(word+"\n"), 0o666),
			os.Rename(turn+".tmp", turn+to)); err != nil {
			t.Fatal(err)
		}
		want = append(want, word)
		<-time.After(1100 * time.Millisecond) // times are exact to a second
	}
	for tail, want := range map[int][]string{-1: want, 1: want[4:], 2: want[2:]} {
		for _, a := range agents {
			var got []string
			r := api.LogsRequest{Job: "web", Tail: tail}
			err := a.client.Logs(t.Context(), r, func(l api.LogLine) error {
				if !l.At.IsZero() || l.Place != "" || l.Begins {
					t.Errorf("nobody asked for times and places: %+v", l)
				}
				got = append(got, l.Line)
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("the last %d lines of each copy: got %q, %v, want %q", tail, got, err, want)
			}
		}
	}
}
