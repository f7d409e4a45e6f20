package cases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// stream is people at work: at every node somebody submits batch jobs, edits
// services of each kind and stops them, about once in a while each. Nobody touches the jobs
// of another node, so that what was acknowledged last is what must hold. It
// returns what ends it.
func (s *scene) stream(every time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	var all sync.WaitGroup
	for _, n := range s.lab.Nodes() {
		rng := rand.New(rand.NewPCG(s.rand.Uint64(), s.rand.Uint64()))
		all.Go(func() { s.person(ctx, n, every, rng) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// person works at one node.
func (s *scene) person(ctx context.Context, n *lab.Node, every time.Duration, rng *rand.Rand) {
	kinds := []mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep}
	for i := 0; ; i++ {
		pause := time.NewTimer(every/2 + time.Duration(rng.Int64N(int64(every))))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		kind := kinds[rng.IntN(len(kinds))]
		service := fmt.Sprintf("%s-%s", n.Name, kind)
		// What a node does not take now is noted, and no fault: it may be dead.
		switch {
		case i%3 == 0:
			_ = s.submit(n, s.batch(fmt.Sprintf("%s-batch-%d", n.Name, i), 1, 300*time.Millisecond))
		case i%7 == 6:
			_ = s.end(n, mesh.JobID(service))
		default:
			job := s.service(service, kind, 1)
			job.Tasks[0].Env["EDIT"] = fmt.Sprint(i)
			_ = s.submit(n, job)
		}
	}
}

// burst has each node take one change after another of a job that never runs,
// so that there are some at any instant that were acknowledged just now. It
// returns what ends it.
func (s *scene) burst() (end func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	var all sync.WaitGroup
	for _, n := range s.lab.Nodes() {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				job := s.impossible(string(burstJob(n)))
				job.Tasks[0].Env["EDIT"] = fmt.Sprint(i, " ", watch.Now())
				if err := s.submit(n, job); err != nil {
					return
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// burstJob is what burst changes at a node.
func burstJob(n *lab.Node) mesh.JobID { return mesh.JobID(n.Name + "-burst") }
