package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// tags are the tags of a job as a node knows them, and the versions that have them.
func tags(h *host, id mesh.JobID) string {
	var all []string
	for _, t := range h.core.View().Job(id).Tags {
		all = append(all, fmt.Sprintf("%s=%d", t.Name, t.Version))
	}
	return strings.Join(all, " ")
}

func TestTagsOfAJob(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	for i, tt := range []struct {
		call  Tag
		want  string // "changed", "unchanged", or part of why it is refused
		after string // the tags
	}{
		{Tag{Name: "first", Version: "1"}, "changed", "first=1"},
		{Tag{Name: "stable", Version: mesh.CurrentRef}, "changed", "first=1 stable=2"},
		{Tag{Name: "stable", Version: "2"}, "unchanged", "first=1 stable=2"},
		{Tag{Name: "stable", Version: "first"}, "changed from 2", "first=1 stable=1"},
		{Tag{Name: "7", Version: "1"}, "names a version already", "first=1 stable=1"},
		{Tag{Name: "current", Version: "1"}, "names a version already", "first=1 stable=1"},
		{Tag{Name: "a/b", Version: "1"}, "no name for a version", "first=1 stable=1"},
		{Tag{Name: "last", Version: "9"}, `no version "9"`, "first=1 stable=1"},
		{Tag{Job: "none", Name: "last", Version: "1"}, `no job "none"`, "first=1 stable=1"},
		{Tag{Name: "first", Remove: true}, "changed", "stable=1"},
		{Tag{Name: "first", Remove: true}, `no version of job "web" is tagged "first"`, "stable=1"},
		{Tag{Name: "last", Version: "first"}, `no version "first"`, "stable=1"},
	} {
		if tt.call.Job == "" {
			tt.call.Job = "web"
		}
		r, got := l.ask(l.nodes[i%3], tt.call), ""
		switch done, _ := r.Value.(Tagged); {
		case r.Fault != nil:
			got = r.Fault.Text
		case done.Unchanged:
			got = "unchanged"
		case done.Copies < 2:
			got = "on one disk only"
		case done.Before > 0:
			got = fmt.Sprintf("changed from %d", done.Before)
		default:
			got = "changed"
		}
		if got != tt.want && !(r.Fault != nil && strings.Contains(got, tt.want)) {
			t.Errorf("%+v: got %q, want %q", tt.call, got, tt.want)
		}
		l.after(3 * time.Second)
		for _, h := range l.nodes {
			if got := tags(h, "web"); got != tt.after {
				t.Errorf("after %+v: %s has %q, want %q", tt.call, h.self.Name, got, tt.after)
			}
		}
	}
}

// TestTheLaterTagStays has both sides of a split give one name to two versions, and one
// of them take another name away that the other side gives anew.
func TestTheLaterTagStays(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	l.ask(l.nodes[0], Submit{Job: service("web", 2)})
	l.ask(l.nodes[0], Tag{Job: "web", Name: "kept", Version: "1"})
	l.ask(l.nodes[0], Tag{Job: "web", Name: "gone", Version: "1"})
	l.after(2 * time.Second)
	lone := l.nodes[2]
	l.split(lone)
	l.after(10 * time.Second)
	l.ask(lone, Tag{Job: "web", Name: "stable", Version: "2"})
	l.ask(lone, Tag{Job: "web", Name: "kept", Remove: true})
	l.ask(l.nodes[0], Tag{Job: "web", Name: "gone", Version: "2"})
	l.after(time.Second)
	l.ask(l.nodes[0], Tag{Job: "web", Name: "stable", Version: "1"})
	l.ask(l.nodes[0], Tag{Job: "web", Name: "kept", Version: "2"})
	l.ask(lone, Tag{Job: "web", Name: "gone", Remove: true})
	l.after(time.Second)
	if got, want := tags(lone, "web"), "stable=2"; got != want {
		t.Errorf("while it was alone: got %q, want %q", got, want)
	}
	l.heal(lone)
	l.after(20 * time.Second)
	for _, h := range l.nodes {
		if got, want := tags(h, "web"), "kept=2 stable=1"; got != want {
			t.Errorf("%s has %q, want %q", h.self.Name, got, want)
		}
	}
}

func TestTagsAreBounded(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: service("web", 1)})
	for i := range mesh.TagsMax {
		if f := l.ask(l.nodes[0], Tag{Job: "web", Name: fmt.Sprintf("t%d", i), Version: "1"}).Fault; f != nil {
			t.Fatal(f)
		}
	}
	f := l.ask(l.nodes[0], Tag{Job: "web", Name: "more", Version: "1"}).Fault
	if f == nil || f.Kind != mesh.Conflict {
		t.Errorf("one more: got %v, want a conflict", f)
	}
	l.kill(l.nodes[0], true)
	l.start(l.nodes[0])
	l.after(time.Second)
	if got := len(l.nodes[0].core.View().Job("web").Tags); got != mesh.TagsMax {
		t.Errorf("after a restart there are %d tags", got)
	}
}
