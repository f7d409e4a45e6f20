package cases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/host"
	"mn/sim/lab/watch"
)

// tasks are the cases of tasks that behave badly, and of many jobs.
func tasks() []Case {
	return []Case{
		{
			Name: "stubborn-task", Faults: "F41", Nodes: 3, run: (*scene).stubborn,
			Shows: "a task ignores SIGTERM, leaves processes behind, floods its log: all of it ends",
		},
		{
			Name: "out-of-memory", Faults: "F33", Nodes: 3, run: (*scene).outOfMemory,
			Shows: "the kernel kills a task, then an agent, for want of memory: the one restarts, the other adopts",
		},
		{
			Name: "many-jobs", Faults: "F37", Limit: 6 * time.Minute, run: (*scene).manyJobs,
			Shows: "thousands of edits: limits are stated, memory is bounded, all converge",
		},
	}
}

// logsMax bounds what mn keeps of a task's output: ten files of ten megabytes
// of each of two streams.
const logsMax int64 = 200e6

// stubborn is F41.
func (s *scene) stubborn() {
	job := s.service("stubborn", mesh.Eager, 2)
	job.Tasks[0].Name, job.Tasks[0].Command = "stubborn", append(append([]string(nil), s.fixture...), "stubborn")
	s.must(s.submit(s.lab.Nodes()[0], job))
	const groups = 4 // two copies, each of which leaves one process behind
	s.until(startMax, "the tasks and what they leave behind run", func() (bool, string) {
		live := s.live(job.Name)
		return len(live) == groups, describe(live)
	})
	s.pass(15 * time.Second)
	var kept int64
	for _, n := range s.lab.Nodes() {
		if _, err := ask(s, n.Client().Jobs); err != nil {
			s.fail("I12 honesty", "%s does not answer while a task floods its log: %v", n.Name, err)
		}
		size, err := logBytes(n)
		s.must(err)
		kept = max(kept, size)
	}
	s.measure("log at most", "%d MiB", kept>>20)
	if kept > logsMax {
		s.fail("F41", "the log of a flood takes %d bytes on a node, more than %d", kept, logsMax)
	}
	s.must(s.end(s.lab.Nodes()[1], mesh.JobID(job.Name)))
	took := s.until(killGrace+slackMax+slackMax, "nothing of it is left", func() (bool, string) {
		live := s.live(job.Name)
		return len(live) == 0, describe(live)
	})
	s.took("gone after", took)
	s.healed = watch.Now()
}

// logBytes is what a node keeps of its tasks' output.
func logBytes(n *lab.Node) (sum int64, err error) {
	files, err := filepath.Glob(filepath.Join(n.Dir, "allocs", "*", "*", "*", "logs", "*"))
	if err != nil || len(files) == 0 {
		files, err = filepath.Glob(filepath.Join(n.Dir, "allocs", "*", "*", "logs", "*"))
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			sum += info.Size()
		}
	}
	return sum, err
}

// outOfMemory is F33.
func (s *scene) outOfMemory() {
	job := s.service("hog", mesh.Eager, 1)
	job.Tasks[0].Name, job.Tasks[0].Command = "hog", append(append([]string(nil), s.fixture...), "hog")
	s.start(job, s.service("keep", mesh.Keep, 3))
	hog := s.live("hog")[0]
	group, err := host.LimitMemory(filepath.Base(filepath.Dir(s.dir))+"-hog", 16<<20)
	s.must(err)
	s.must(group.Add(hog.PID))
	s.must(syscall.Kill(hog.PID, syscall.SIGUSR1))
	s.until(startMax, "the task is killed for want of memory, and says so", func() (bool, string) {
		why := s.reason(s.lab.Nodes()[0], "hog")
		return strings.Contains(why, "out of memory"), why
	})
	s.until(startMax, "the task runs again", func() (bool, string) {
		live := s.live("hog")
		return len(live) == 1 && live[0].PID != hog.PID && live[0].Node == hog.Node, describe(live)
	})
	s.must(group.Close())

	victim := s.lab.Node(hog.Node)
	at := watch.Now()
	group, err = host.LimitMemory(filepath.Base(filepath.Dir(s.dir))+"-agent", 1<<20)
	s.must(err)
	victim.Doom()
	s.must(group.Add(victim.PID()))
	s.until(startMax, "the agent is killed for want of memory", func() (bool, string) {
		_, _ = ask(s, victim.Client().Jobs) // takes memory
		return !victim.Running(), "it runs"
	})
	s.must(group.Close())
	s.startAgents(victim)
	s.undisturbed(at, nil)
}

// manyJobs is F37, as far as two cores go: people who edit without a pause.
func (s *scene) manyJobs() {
	const (
		jobs   = 100 // at each node
		length = time.Minute
	)
	s.tooLarge()
	deadline := watch.Now() + length
	done := make(chan int)
	for _, n := range s.lab.Nodes() {
		go func() {
			count := 0
			for ; watch.Now() < deadline && s.ctx.Err() == nil; count++ {
				job := s.impossible(fmt.Sprintf("%s-%d", n.Name, count%jobs))
				job.Tasks[0].Env["EDIT"] = fmt.Sprint(count)
				_ = s.submit(n, job)
			}
			done <- count
		}()
	}
	sum := 0
	for range s.lab.Nodes() {
		sum += <-done
	}
	s.measure("edits", "%d, %.0f a second", sum, float64(sum)/length.Seconds())
	for _, n := range s.lab.Nodes() {
		for i := range jobs {
			s.must(s.end(n, mesh.JobID(fmt.Sprintf("%s-%d", n.Name, i))))
		}
	}
	s.healed = watch.Now()
}

// impossible is a job that no node has room for: only its text is moved about.
func (s *scene) impossible(name string) mesh.Job {
	job := s.service(name, mesh.Eager, 1)
	job.Tasks[0].Resources.Memory = 1 << 50
	return job
}

// tooLarge expects a job beyond the limit to be refused, with the limit.
func (s *scene) tooLarge() {
	job := s.impossible("too-large")
	for i := range 20 {
		job.Tasks[0].Env[fmt.Sprint("TEXT_", i)] = strings.Repeat("x", 50<<10)
	}
	_, err := ask(s, func(ctx context.Context) (api.Submitted, error) {
		return s.lab.Nodes()[0].Client().Run(ctx, job)
	})
	if err == nil || !strings.Contains(err.Error(), "256") {
		s.fail("F37", "a job of a megabyte: want a refusal that states the limit, got %v", err)
	}
}
