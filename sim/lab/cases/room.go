package cases

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// Of the nodes of the case nearly-full.
const (
	roomFor   = 6 // copies that fit on a node, of taskCPU each
	leftFor   = 1 // of them on each node, for what comes and goes
	placeFor  = time.Minute
	placeWait = 1500 * time.Millisecond // between two jobs of one person
	placeMost = 4                       // copies of such a job
	openMost  = 4                       // jobs of one person that wait or run
)

// room are the cases of nodes that have little of it.
func room() []Case {
	return []Case{{
		Name: "nearly-full", Faults: "F37", run: (*scene).nearlyFull,
		config: fmt.Sprintf("[capacity]\ncpu = %g\n", roomFor*float64(taskCPU)/float64(mesh.Core)),
		Shows:  "all coordinators place at once for a minute where little fits: never over capacity, nothing lost",
	}}
}

// nearlyFull has people submit short work at every node, which has five coordinators
// compete for a few places, and much of it wait.
func (s *scene) nearlyFull() {
	n := len(s.lab.Nodes())
	s.start(s.service("majority", mesh.Majority, n*(roomFor-leftFor)))
	ctx, cancel := context.WithTimeout(s.ctx, placeFor)
	defer cancel()
	var (
		people sync.WaitGroup
		copies atomic.Int64
	)
	for _, node := range s.lab.Nodes() {
		rng := rand.New(rand.NewPCG(s.rand.Uint64(), s.rand.Uint64()))
		people.Go(func() { copies.Add(s.crowd(ctx, node, rng)) })
	}
	people.Wait()
	s.healed = watch.Now()
	s.measure("short copies", "%d", copies.Load())
	s.overCapacity()
	if refused := s.told("msg=alloc_refused "); refused == 0 {
		s.fail("lab", "no two coordinators ever wanted the same place: this shows nothing")
	} else {
		s.measure("places that were taken", "%d", refused)
	}
	s.until(settleMax, "all short work is done", func() (bool, string) {
		open := s.open(s.lab.Nodes()[0], "")
		return len(open) == 0, fmt.Sprintf("%d are not: %.3q", len(open), open)
	})
	s.overCapacity()
}

// open are the batch jobs with a prefix that a node does not call completed.
func (s *scene) open(n *lab.Node, prefix string) (open []string) {
	jobs, err := ask(s, n.Client().Jobs)
	s.must(err)
	for _, j := range jobs {
		if j.Type == mesh.Batch && j.Status != mesh.JobCompleted && strings.HasPrefix(j.Name, prefix) {
			open = append(open, fmt.Sprintf("%s is %s", j.Name, j.Status))
		}
	}
	return open
}

// crowd submits one short batch job after the other at a node, as long as not too many of
// them wait, and counts the copies of those that were acknowledged.
func (s *scene) crowd(ctx context.Context, n *lab.Node, rng *rand.Rand) (copies int64) {
	mine := n.Name + "-short-"
	for i := 0; ; {
		pause := time.NewTimer(placeWait/2 + time.Duration(rng.Int64N(int64(placeWait))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return copies
		case <-pause.C:
		}
		if len(s.open(n, mine)) >= openMost {
			continue // or a slow machine has work left for long
		}
		i++
		job := s.batch(fmt.Sprint(mine, i), 1+rng.IntN(placeMost), 300*time.Millisecond)
		if err := s.submit(n, job); err != nil {
			s.fail("I3 durability", "%s does not take %q: %v", n.Name, job.Name, err)
			return copies
		}
		copies += int64(job.Tasks[0].Count)
	}
}

// overCapacity is an oracle: no node has ever run more copies at once than fit.
func (s *scene) overCapacity() {
	byNode := map[string][]watch.Life{}
	for _, l := range s.watcher.Lives(s.dir) {
		byNode[l.Node] = append(byNode[l.Node], l)
	}
	for _, n := range slices.Sorted(maps.Keys(byNode)) {
		if most, at := atOnce(byNode[n]); most > roomFor {
			s.fail("capacity", "%s ran %d copies at once at %.3f s, and %d fit", n, most, at.Seconds(), roomFor)
		}
	}
}

// atOnce is how many of some were alive together at most, for sure, and when.
func atOnce(lives []watch.Life) (most int, at time.Duration) {
	for _, a := range lives {
		together := 0
		for _, b := range lives {
			if b.Seen <= a.Seen && (b.Last >= a.Seen || !b.Ended) {
				together++
			}
		}
		if together > most {
			most, at = together, a.Seen
		}
	}
	return most, at
}

// told is how often the agents' logs have a text.
func (s *scene) told(text string) int {
	count := 0
	for _, n := range s.lab.Nodes() {
		log, err := os.ReadFile(n.Log())
		s.must(err)
		count += bytes.Count(log, []byte(text))
	}
	return count
}
