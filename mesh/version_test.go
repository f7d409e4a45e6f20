package mesh

import (
	"fmt"
	"strings"
	"testing"
)

// chain takes a job through verbs, beginning with a run: "run other" changes its
// content, "retry all" leaves nothing completed, "scale gang" is of one.
func chain(steps ...string) []JobVersion {
	var all []JobVersion
	v := JobVersion{}
	for _, step := range steps {
		verb, rest, _ := strings.Cut(step, " ")
		next := v.Next(Verb(verb))
		if verb == "run" {
			next = v.NextRun(&Job{Name: "lab", Tasks: []Task{{Name: "work", Command: []string{"run", rest}}}})
		}
		if verb == "scale" {
			job := v.Job
			job.Gang = rest == "gang"
			next = v.NextScale(&job, ScaledTo("work", 2))
		}
		if rest == "all" {
			next.Since = 0
		}
		next.Hash = fmt.Sprintf("%04d", next.Number)
		all, v = append(all, next), next
	}
	return all
}

func TestWhatAVerbKeeps(t *testing.T) {
	for _, tt := range []struct {
		steps       string
		since, anew uint64
		stopped     bool
		paused      bool
	}{
		{"run", 1, 1, false, false},
		{"run,run other", 2, 2, false, false},
		{"run,pause", 1, 1, false, true},
		{"run,pause,resume", 1, 1, false, false},
		{"run,pause,run", 1, 1, false, false},
		{"run,pause,run other", 3, 3, false, false},
		{"run,retry", 1, 2, false, false},
		{"run,retry,pause,resume", 1, 2, false, false},
		{"run,retry,pause,resume,retry", 1, 5, false, false},
		{"run,retry all", 2, 2, false, false},
		{"run,run other,stop", 2, 2, true, false},
		{"run,stop,run", 3, 3, false, false},
		{"run,cancel,retry", 1, 3, false, false},
		{"run,pause,stop", 1, 1, true, false},
		{"run,retry,scale", 1, 2, false, false},
		{"run,retry,pause,scale", 1, 2, false, true},
		{"run,retry,pause,scale,resume,scale", 1, 2, false, false},
		{"run,retry,pause,scale gang", 4, 4, false, true},
	} {
		versions := chain(strings.Split(tt.steps, ",")...)
		v := versions[len(versions)-1]
		if v.since() != tt.since || v.anew() != tt.anew || v.Stopped != tt.stopped || v.Paused != tt.paused {
			t.Errorf("%s: got since %d, anew %d, stopped %v, paused %v; want %d, %d, %v, %v",
				tt.steps, v.since(), v.anew(), v.Stopped, v.Paused, tt.since, tt.anew, tt.stopped, tt.paused)
		}
	}
}

// Two versions made from the same one get the same name only if they ask for the
// same.
func TestContentsOfVersionsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, steps := range []string{"run,run other", "run,pause", "run,retry", "run,retry all", "run,stop", "run,cancel"} {
		v := chain(strings.Split(steps, ",")...)[1]
		if other := seen[v.Content()]; other != "" {
			t.Errorf("%s is the same as %s", steps, other)
		}
		seen[v.Content()] = steps
	}
	plain := chain("run")[0]
	if plain.Content() != HashJob(&plain.Job, false) {
		t.Error("a plain version is not named by its job alone, as it was in earlier releases")
	}
}

func TestTraceGoesBackToWhatCounts(t *testing.T) {
	versions := chain("run", "run other", "pause", "resume", "retry")
	here := map[string]JobVersion{}
	for _, v := range versions {
		here[v.Hash] = v
	}
	find := func(hash string) (JobVersion, bool) {
		v, ok := here[hash]
		return v, ok
	}
	last := versions[4]
	view := JobView{JobVersion: last, Line: last.Trace(find)}
	if len(view.Line) != 3 || view.Line[0].Number != 4 || view.Line[2].Number != 2 {
		t.Errorf("got %v, want the versions 4 to 2", view.Line)
	}
	if since, ok := view.SinceWhen(); !ok || since.Hash != "0002" {
		t.Errorf("completed work counts from %v, %v, want version 2", since, ok)
	}
	if anew, ok := view.AnewWhen(); !ok || anew.Hash != "0005" {
		t.Errorf("failures count from %v, %v, want version 5", anew, ok)
	}
	if !view.CameFrom(3, "0003") || view.CameFrom(3, "9999") || view.CameFrom(1, "0001") {
		t.Error("the line is not told from what is beside and before it")
	}
	delete(here, "0003")
	view.Line = last.Trace(find)
	if _, ok := view.SinceWhen(); ok || len(view.Line) != 1 {
		t.Errorf("with version 3 missing: got %v", view.Line)
	}
}

func TestFindVersion(t *testing.T) {
	job := Job{Name: "lab"}
	history := []JobVersion{
		{Job: job, Number: 1, Hash: "aaaa1111"},
		{Job: job, Number: 2, Hash: "bbbb1111", Parent: "aaaa1111"},
		{Job: job, Number: 2, Hash: "bbbb2222", Parent: "aaaa1111"},
		{Job: job, Number: 3, Hash: "cccc1111", Parent: "bbbb2222"},
	}
	view := &JobView{JobVersion: history[3], Tags: []Tag{
		{Name: "bbbb", Version: 1, Hash: "aaaa1111"}, {Name: "Best", Version: 2, Hash: "bbbb1111"}, {Name: "late", Hash: "dddd1111"},
	}}
	for ref, want := range map[string]string{
		"Best": "bbbb1111", "best": "not_found", "late": "unavailable", "current": "cccc1111", "1": "aaaa1111", "2": "bbbb2222", "bbbb1": "bbbb1111", "BBBB1111": "bbbb1111", "3": "cccc1111",
		"4": "not_found", "bbb": "not_found", "bbbb": "aaaa1111", "bbbb2": "bbbb2222", "": "not_found", "dead": "not_found",
	} {
		v, err := FindVersion(history, view, ref)
		got := ""
		if err != nil {
			got = string(FaultOf(err).Kind)
		} else {
			got = v.Hash
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", ref, got, want)
		}
	}
}
