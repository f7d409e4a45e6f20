package core

import (
	"fmt"
	"slices"
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

// Whoever brings the files of a job hears that a peer has them, or after a while that none
// has; that some cannot be had keeps no others from being fetched.
func TestFilesAreSharedBeforeTheyArePromised(t *testing.T) {
	l := newLab(t, 4)
	l.after(15 * time.Second)
	tree := strings.Repeat("a", 64)
	copies := func() int { return l.ask(l.nodes[0], Share{Tree: tree}).Value.(Kept).Copies }
	begun := l.now
	if n := copies(); n != 1 || l.now-begun < shareWait {
		t.Errorf("after %v it is on %d disks, though nobody has it", l.now-begun, n)
	}
	for range 2 * fetchMax { // nobody has them
		job := service("none"+strings.Repeat("x", len(l.nodes[1].calls)), 1)
		job.Payload = &mesh.Payload{Tree: strings.Repeat("0", 50) + fmt.Sprintf("%014x", len(l.nodes[1].calls)), Bytes: 1, Files: 1}
		if r := l.ask(l.nodes[1], Submit{Job: job}); r.Fault != nil {
			t.Fatal(r.Fault)
		}
	}
	fetches := l.fetches
	l.after(time.Minute)
	if n := l.fetches - fetches; n > 4*2*fetchMax*len(l.nodes) { // four times for each, on each
		t.Errorf("what nobody has was asked for %d times in a minute", n)
	}
	l.nodes[0].trees[tree] = true
	begun = l.now
	if n := copies(); n != 2 || l.now-begun > 10*time.Second || l.keepers(tree) < 2 {
		t.Errorf("after %v it is on %d disks, and %d nodes have it", l.now-begun, n, l.keepers(tree))
	}
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
	said := func() (n int) {
		for _, h := range l.nodes {
			if h.core != nil && slices.Contains(l.nodes[0].core.records.nodes[h.self.ID].Files, tree("a")) {
				n++
			}
		}
		return n
	}
	if _, ok := l.until(30*time.Second, func() bool { return said() >= mesh.PayloadCopies }); !ok {
		t.Errorf("%d nodes say that they have the files, want %d", said(), mesh.PayloadCopies)
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
