package cases

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// How long an agent lives in a storm, and how long it is dead.
const (
	livesFor = 9 * time.Second // from 1 s
	deadFor  = 3 * time.Second // from 0
)

// killAgain kills the agent of a node again and again until a deadline, and
// leaves it running.
func (s *scene) killAgain(n *lab.Node, seed uint64, deadline time.Duration, kills *atomic.Int64) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for {
		if err := s.sleep(time.Second + time.Duration(rng.Int64N(int64(livesFor)))); err != nil {
			return err
		}
		if watch.Now() >= deadline {
			return nil
		}
		if err := n.KillAgent(); err != nil {
			return err
		}
		kills.Add(1)
		if err := s.sleep(time.Duration(rng.Int64N(int64(deadFor)))); err != nil {
			return err
		}
		if err := n.Start(s.ctx); err != nil {
			return err
		}
	}
}

// restartAgain ends the agent of a node so many times as an upgrade does, and
// starts it again.
func (s *scene) restartAgain(n *lab.Node, seed uint64, times int, every time.Duration) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range times {
		began := watch.Now()
		if err := s.sleep(time.Duration(rng.Int64N(int64(every)))); err != nil {
			return err
		}
		if err := n.Stop(s.ctx); err != nil {
			return err
		}
		if err := n.Start(s.ctx); err != nil {
			return err
		}
		if err := s.sleep(every - (watch.Now() - began)); err != nil {
			return err
		}
	}
	return nil
}

// sleep lets time go by in a goroutine of a case.
func (s *scene) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// lose destroys the disk of a node that is off.
func (s *scene) lose(n *lab.Node) error {
	if err := os.RemoveAll(n.Dir); err != nil {
		return fmt.Errorf("destroy the disk of %s: %w", n.Name, err)
	}
	return nil
}

// unbrokenLogs expects the log of each copy of a job to have all that its task
// has said, in its order. A task counts aloud.
func (s *scene) unbrokenLogs(asked *lab.Node, job string) {
	last := map[mesh.AllocID]int{}
	ctx, cancel := context.WithTimeout(s.ctx, answerMax)
	defer cancel()
	err := asked.Client().Logs(ctx, api.LogsRequest{Job: mesh.JobID(job), Tail: -1}, func(l api.LogLine) error {
		count, err := strconv.Atoi(strings.TrimPrefix(l.Line, "tick "))
		if err != nil || count != last[l.Alloc]+1 {
			s.fail("logs", "%q follows tick %d in the log of %s[%d] on %s", l.Line, last[l.Alloc], job, l.Index, l.Node)
		}
		last[l.Alloc] = count
		return nil
	})
	if err != nil {
		s.fail("logs", "read the logs of %q: %v", job, err)
	}
	if live := s.live(job); len(last) != len(live) {
		s.fail("logs", "%d copies of %q have logs, %d run", len(last), job, len(live))
	}
}

// atMost measures the largest of several times.
func (s *scene) atMost(name string, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value := fmt.Sprintf("%.1f s", d.Seconds())
	i := slices.IndexFunc(s.measures, func(m Measure) bool { return m.Name == name })
	if i < 0 {
		s.measures = append(s.measures, Measure{name, value})
	} else if was, _ := strconv.ParseFloat(strings.TrimSuffix(s.measures[i].Value, " s"), 64); d.Seconds() > was {
		s.measures[i].Value = value
	}
}
