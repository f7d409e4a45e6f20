package cases

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// diskBytes is the size of a small disk: more than what the store keeps free.
const diskBytes = 64 << 20

// disks are the cases of disks that are full or broken.
func disks() []Case {
	return []Case{
		{
			Name: "disk-full", Faults: "F25", disk: diskBytes, run: (*scene).diskFull,
			Shows: "one disk is full, then all are: nothing is acknowledged there, and all go on by themselves",
		},
		{
			Name: "power-loss", Faults: "F7", CI: true, disk: diskBytes, power: true, run: (*scene).powerLoss,
			Shows: "all lose power, and what their disks were not told to keep: what was acknowledged is there",
		},
		{
			Name: "torn-store", Faults: "F27", Limit: 6 * time.Minute, run: (*scene).tornStore,
			Shows: "files of a store are cut off: it mends them or says which is damaged; no peer suffers",
		},
	}
}

// powerLoss is F7: two times, for the second finds what the first has left.
func (s *scene) powerLoss() {
	n := len(s.lab.Nodes())
	s.start(
		s.service("eager", mesh.Eager, n), s.service("majority", mesh.Majority, 2), s.service("keep", mesh.Keep, n),
	)
	for range 2 {
		end := s.stream(300 * time.Millisecond)
		s.pass(8 * time.Second)
		over := s.burst()
		s.pass(time.Second)
		s.powerOff(s.lab.Nodes()...)
		over()
		for _, node := range s.lab.Nodes() {
			s.must(s.images[node.Name].Fail(s.hosts[node.Name]))
		}
		end()
		s.powerOn(s.shuffled()...)
		s.healed = watch.Now()
		s.seesAll()
		for _, node := range s.lab.Nodes() {
			s.must(s.end(node, burstJob(node)))
		}
	}
}

// tears is how many places of each file are tried, of the last so many bytes.
const (
	tears     = 3
	tornBytes = 64 << 10
	sector    = 512
)

// tornStore is F27, at some of the places where a file can be cut.
func (s *scene) tornStore() {
	n := len(s.lab.Nodes())
	s.start(s.service("eager", mesh.Eager, n), s.service("keep", mesh.Keep, n))
	end := s.stream(200 * time.Millisecond)
	s.pass(5 * time.Second)
	end()
	victim := s.shuffled()[0]
	s.must(victim.Stop(s.ctx))
	store := filepath.Join(victim.Dir, "store")
	whole := filepath.Join(s.dir, "whole")
	s.must(os.CopyFS(whole, os.DirFS(store)))
	files, err := os.ReadDir(whole)
	s.must(err)
	mended, damaged := 0, 0
	for _, f := range files {
		used, err := usedBytes(filepath.Join(whole, f.Name()))
		s.must(err)
		for range tears {
			last := (used - 1) / sector
			at := (last - s.rand.Int64N(min(last, tornBytes/sector)+1)) * sector
			s.must(os.RemoveAll(store))
			s.must(os.CopyFS(store, os.DirFS(whole)))
			s.must(os.Truncate(filepath.Join(store, f.Name()), at))
			if s.startsOrSays(victim, f.Name()) {
				mended++
			} else {
				damaged++
			}
		}
	}
	s.measure("mended", "%d", mended)
	s.measure("called damaged", "%d", damaged)
	// What an agent advises whose store is damaged: the peers have the data.
	s.must(os.RemoveAll(store))
	s.startAgents(victim)
	s.healed = watch.Now()
}

// usedBytes is where the last byte of a file is that is not zero.
func usedBytes(path string) (int64, error) {
	text, err := os.ReadFile(path)
	return int64(max(1, len(bytes.TrimRight(text, "\x00")))), err
}

// startsOrSays starts an agent on a spoiled store: it runs and has what all
// have, or it ends and says which file is damaged.
func (s *scene) startsOrSays(n *lab.Node, file string) (runs bool) {
	err := n.Start(s.ctx)
	if err == nil {
		s.within(convergeMax, "I9: digests are equal after a cut of "+file, s.digests)
		s.must(n.Stop(s.ctx))
		return true
	}
	if !strings.Contains(err.Error(), "damaged") {
		s.fail("I9 corruption", "%s with a cut %s: %v", n.Name, file, err)
	}
	return false
}

// diskFull is F25.
func (s *scene) diskFull() {
	n := len(s.lab.Nodes())
	s.start(s.service("eager", mesh.Eager, n), s.service("keep", mesh.Keep, n), s.service("majority", mesh.Majority, 2))
	all := s.shuffled()
	at := watch.Now()
	s.fill(all[0])
	s.refuses(all[0])
	end := s.stream(time.Second)
	s.pass(15 * time.Second)
	end()
	s.newWork("meanwhile", all[1:])
	s.must(s.disks[all[0].Name].Free())
	s.takes(all[0])

	s.fill(all...)
	for _, node := range all {
		s.refuses(node)
	}
	s.pass(5 * time.Second)
	for _, node := range all {
		s.must(s.disks[node.Name].Free())
	}
	s.healed = watch.Now()
	for _, node := range all {
		s.takes(node)
	}
	s.undisturbed(at, nil, "keep", "eager")
}

// fill fills the disks of nodes.
func (s *scene) fill(nodes ...*lab.Node) {
	for _, n := range nodes {
		s.must(s.disks[n.Name].Fill())
	}
	s.say("the disks are full of %s", strings.Join(names(nodes), " "))
}

// refuses expects a node to take no job, and to say that it is the disk.
func (s *scene) refuses(n *lab.Node) {
	job := s.service("refused-by-"+n.Name, mesh.Eager, 1)
	job.Tasks[0].Env["AT"] = watch.Now().String() // to have what it was already is no write
	err := s.submit(n, job)
	switch {
	case err == nil:
		s.fail("I3 durability", "%s has acknowledged a job on a full disk", n.Name)
	case !strings.Contains(err.Error(), "cannot write to its disk"):
		s.fail("I12 honesty", "%s says of a full disk: %v", n.Name, err)
	}
}

// takes waits until a node takes jobs again, without having been restarted.
func (s *scene) takes(n *lab.Node) {
	took := s.until(noticeMax, n.Name+" takes jobs again", func() (bool, string) {
		err := s.submit(n, s.service("taken-by-"+n.Name, mesh.Eager, 1))
		if err != nil {
			return false, err.Error()
		}
		return true, ""
	})
	s.atMost("writes again", took)
}
