package core

import (
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// keepers are the hosts that keep a content, of those whose agents run.
func (l *lab) keepers(tree string) int {
	n := 0
	for _, h := range l.nodes {
		if h.core != nil && h.trees[tree] {
			n++
		}
	}
	return n
}

// The files of a job are on as many nodes as they should be, also when some of these are
// gone; those of versions that nobody goes back to are nobody's any more.
func TestFilesOfJobsAreKept(t *testing.T) {
	l := newLab(t, 6)
	l.after(15 * time.Second)
	tree := func(c string) string { return strings.Repeat(c, 64) }
	submit := func(c string) {
		t.Helper()
		job := service("train", 1)
		job.Payload = &mesh.Payload{Tree: tree(c), Bytes: 1, Files: 1}
		l.nodes[0].trees[tree(c)] = true // it was sent there
		if r := l.ask(l.nodes[0], Submit{Job: job}); r.Fault != nil {
			t.Fatal(r.Fault)
		}
	}
	submit("a")
	if _, ok := l.until(30*time.Second, func() bool { return l.keepers(tree("a")) >= mesh.PayloadCopies }); !ok {
		t.Fatalf("%d nodes keep the files\n%s", l.keepers(tree("a")), l.events())
	}
	for range 2 { // whoever has them is gone
		for _, h := range l.nodes[1:] {
			if h.core != nil && h.trees[tree("a")] {
				l.kill(h, true)
				break
			}
		}
		l.after(40 * time.Second)
		if n := l.keepers(tree("a")); n < mesh.PayloadCopies {
			t.Errorf("%d nodes keep the files, want %d", n, mesh.PayloadCopies)
		}
	}
	wanted := func(c string) bool {
		for _, h := range l.nodes {
			if h.core != nil {
				for _, kept := range h.core.Trees() {
					if kept == tree(c) {
						return true
					}
				}
			}
		}
		return false
	}
	for _, c := range []string{"b", "c", "d"} {
		submit(c)
		l.after(20 * time.Second)
	}
	if wanted("a") || !wanted("b") || !wanted("c") || !wanted("d") {
		t.Errorf("kept of the versions: %v, %v, %v, %v", wanted("a"), wanted("b"), wanted("c"), wanted("d"))
	}
}
