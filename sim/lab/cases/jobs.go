package cases

import (
	"context"
	"fmt"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// What the jobs of the lab ask for and are promised. The lease is shorter than
// mn's default for cases to be shorter.
const (
	taskCPU    = mesh.Core / 40 // it may have no more, and has to be on its way soon
	taskMemory = 8 * mesh.MiB
	taskLease  = 6 * time.Second
	killGrace  = time.Second
	// leadFor is for how long a coordinator may renew copies after it has lost its
	// majority: until its own lease ends.
	leadFor = 3 * time.Second
)

// What is promised, with the time that a busy machine may take on top.
const (
	noticeMax   = 12 * time.Second // until a dead node is called lost: gossip says so in 3 s
	eagerMax    = 15 * time.Second // until an eager copy runs elsewhere
	majorityMax = 40 * time.Second // until a majority copy does
	startMax    = 30 * time.Second // until a job runs that was just submitted
	slackMax    = 2 * time.Second  // for what must be over at once
)

// service is a job of so many copies that say who they are, again and again.
func (s *scene) service(name string, p mesh.OnPartition, copies int) mesh.Job {
	job := mesh.Job{
		Name: name, Type: mesh.Service, Strategy: mesh.Spread,
		Recovery: mesh.Recovery{OnPartition: p, Lease: mesh.Duration(taskLease)},
		Tasks:    []mesh.Task{s.task("tick", copies)},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[name], s.exclusive[name] = job, p != mesh.Eager
	return job
}

// leased is a majority job of one copy with the lease that mn gives by default:
// long enough for another coordinator to renew it when its own is lost.
func (s *scene) leased(name string) mesh.Job {
	job := s.service(name, mesh.Majority, 1)
	job.Recovery.Lease = 0
	return job
}

// batch is a job of copies that are done after a time.
func (s *scene) batch(name string, copies int, length time.Duration) mesh.Job {
	t := s.task("work", copies)
	t.Command = append(t.Command, length.String())
	return mesh.Job{Name: name, Type: mesh.Batch, Strategy: mesh.Spread, Tasks: []mesh.Task{t}}
}

// counting is a batch job of copies that count for ever, and go on from where they were saved.
func (s *scene) counting(name string, copies int) mesh.Job {
	t := s.task("count", copies)
	t.Checkpoint = &mesh.CheckpointPolicy{}
	return mesh.Job{Name: name, Type: mesh.Batch, Strategy: mesh.Spread, Tasks: []mesh.Task{t}}
}

// task is a task that does one of the things that the fixture knows.
func (s *scene) task(what string, copies int) mesh.Task {
	return mesh.Task{
		Name: what, Count: copies, Command: append(append([]string(nil), s.fixture...), what),
		Env:       map[string]string{"LAB_SINK": string(s.sink)},
		KillGrace: mesh.Duration(killGrace),
		Resources: mesh.Resources{CPU: taskCPU, Memory: taskMemory},
		Isolation: mesh.IsolateNone, // it reserves less than it takes, so that many fit
	}
}

// ask gives a call of the API the time in which it must have answered.
func ask[T any](s *scene, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(s.ctx, answerMax)
	defer cancel()
	return call(ctx)
}

// submit has a node take a job, and keeps what it has acknowledged.
func (s *scene) submit(n *lab.Node, job mesh.Job) error {
	got, err := ask(s, func(ctx context.Context) (api.Submitted, error) { return n.Client().Run(ctx, job) })
	s.ledger.note(mesh.JobID(job.Name), n.Name, got, false, err)
	return err
}

// end has a node take the stop of a job.
func (s *scene) end(n *lab.Node, id mesh.JobID) error {
	got, err := ask(s, func(ctx context.Context) (api.Submitted, error) { return n.Client().Stop(ctx, id) })
	s.ledger.note(id, n.Name, got, true, err)
	return err
}

// start submits jobs and waits until all their copies run.
func (s *scene) start(jobs ...mesh.Job) {
	for i, job := range jobs {
		s.must(s.submit(s.lab.Nodes()[i%len(s.lab.Nodes())], job))
	}
	for _, job := range jobs {
		want := job.Copies()
		s.until(startMax, fmt.Sprintf("%d copies of %q run", want, job.Name), func() (bool, string) {
			got := s.live(job.Name)
			return len(got) == want, fmt.Sprintf("%d do", len(got))
		})
	}
}

// job is what a node says of a job.
func (s *scene) job(n *lab.Node, id string) api.Job {
	j, err := ask(s, func(ctx context.Context) (api.Job, error) { return n.Client().Job(ctx, mesh.JobID(id)) })
	s.must(err)
	return j
}

// lives are the runs of a job's tasks so far.
func (s *scene) lives(job string) []watch.Life {
	var all []watch.Life
	for _, l := range s.watcher.Lives(s.dir) {
		if l.Job == job {
			all = append(all, l)
		}
	}
	return all
}

// live are the tasks of a job that run now, on some of the nodes or on any.
func (s *scene) live(job string, on ...string) []watch.Life {
	var all []watch.Life
	for _, l := range s.lives(job) {
		if !l.Ended && among(l.Node, on) {
			all = append(all, l)
		}
	}
	return all
}

func among(name string, set []string) bool {
	for _, s := range set {
		if s == name {
			return true
		}
	}
	return len(set) == 0
}

// restarts are the runs that began or ended since, of some jobs.
func (s *scene) restarts(since time.Duration, jobs ...string) (begun, ended []watch.Life) {
	for _, l := range s.watcher.Lives(s.dir) {
		if !among(l.Job, jobs) {
			continue
		}
		if l.Seen > since {
			begun = append(begun, l)
		} else if l.Ended && l.Last > since {
			ended = append(ended, l)
		}
	}
	return begun, ended
}

// undisturbed is an oracle: no task of some jobs began or ended since, but
// those that a case says may have.
func (s *scene) undisturbed(since time.Duration, may func(watch.Life) bool, jobs ...string) {
	begun, ended := s.restarts(since, jobs...)
	for what, lives := range map[string][]watch.Life{"began": begun, "ended": ended} {
		for _, l := range lives {
			if may == nil || !may(l) {
				s.fail("undisturbed", "a task %s: %v", what, l)
			}
		}
	}
}
