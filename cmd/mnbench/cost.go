package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
)

// Aims of what is measured here.
const (
	idleMemoryAim = 35  // MiB
	idleCPUAim    = 1   // percent of a core
	taskMemoryAim = 4   // MiB
	taskCPUAim    = 5.0 // ms
)

// How long and how often costs are measured.
const (
	idleSettle  = 10 * time.Second // after a mesh has formed
	idleWindow  = 5 * time.Second
	idleWindows = 6
	taskCopies  = 50
)

// idle measures agents with nothing to do.
func (r *runner) idle(ctx context.Context) error {
	for _, p := range r.profiles {
		err := r.mesh(ctx, nodes, p.config, func(l *lab.Lab) error { return r.idleMesh(ctx, l, p) })
		if err != nil {
			return fmt.Errorf("measure idle agents, %s settings: %w", p.name, err)
		}
	}
	return nil
}

func (r *runner) idleMesh(ctx context.Context, l *lab.Lab, p profile) error {
	var memory, cpu, traffic []float64
	if err := pause(ctx, idleSettle); err != nil {
		return err
	}
	for range idleWindows {
		before, err := agents(l)
		if err != nil {
			return err
		}
		if err := pause(ctx, idleWindow); err != nil {
			return err
		}
		after, err := agents(l)
		if err != nil {
			return err
		}
		seconds := after.at.Sub(before.at).Seconds()
		memory = append(memory, float64(after.Memory)/(1<<20)/nodes)
		cpu = append(cpu, 100*(after.CPU-before.CPU).Seconds()/seconds/nodes)
		traffic = append(traffic, float64(after.bytes-before.bytes)/seconds/nodes)
	}
	r.report.values("idle agent, memory (PSS); "+p.name, memory, idleMemoryAim, "MiB")
	r.report.values("idle agent, CPU; "+p.name, cpu, idleCPUAim, "%")
	r.report.values("idle agent, sent over loopback; "+p.name, traffic, 0, "B/s")
	return nil
}

// account is what all agents have taken up to an instant.
type account struct {
	lab.Usage
	bytes int64
	at    time.Time
}

func agents(l *lab.Lab) (account, error) {
	sum := account{at: time.Now()}
	for _, n := range l.Nodes() {
		u, err := n.AgentUsage()
		if err != nil {
			return sum, err
		}
		sum.Memory += u.Memory
		sum.CPU += u.CPU
	}
	var err error
	sum.bytes, err = lab.LoopbackBytes()
	return sum, err
}

// tasks measures what the supervision of a task costs, beside the task.
func (r *runner) tasks(ctx context.Context) error {
	err := r.mesh(ctx, 1, "", func(l *lab.Lab) error {
		n := l.Nodes()[0]
		if err := r.runAll(ctx, l, r.job("bench-tasks", taskCopies, profile{})); err != nil {
			return err
		}
		if err := pause(ctx, idleSettle); err != nil {
			return err
		}
		u, err := n.SupervisorUsage()
		if err != nil {
			return err
		}
		if u.Processes != taskCopies {
			return fmt.Errorf("%d tasks have %d supervisors", taskCopies, u.Processes)
		}
		agent, err := n.AgentUsage()
		if err != nil {
			return err
		}
		memory := float64(u.Memory) / (1 << 20) / taskCopies
		cpu := float64(u.CPU) / float64(time.Millisecond) / taskCopies
		r.report.line("supervised task, memory (PSS) beside its own", memory, memory, taskMemoryAim, "MiB")
		r.report.line("supervised task, CPU of its supervisor since start", cpu, cpu, taskCPUAim, "ms")
		whole := float64(agent.Memory) / (1 << 20)
		r.report.line(fmt.Sprintf("agent with %d tasks, memory (PSS)", taskCopies), whole, whole, 0, "MiB")
		return nil
	})
	if err != nil {
		return fmt.Errorf("measure supervised tasks: %w", err)
	}
	return nil
}

// soak looks for false alarms: a mesh with the fast settings, on a machine with
// twice as much to compute as it can.
func (r *runner) soak(ctx context.Context, length time.Duration) error {
	p := profiles()[1]
	return r.mesh(ctx, nodes, p.config, func(l *lab.Lab) error {
		if err := r.runAll(ctx, l, r.job("bench-soak", lossCopies, p)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, length)
		defer cancel()
		var alarms atomic.Int64
		var all sync.WaitGroup
		for range 2 * runtime.NumCPU() {
			all.Go(func() { burn(ctx) })
		}
		since := time.Now()
		for _, n := range l.Nodes() {
			all.Go(func() {
				own := api.EventsRequest{Local: true, Follow: true}
				_ = n.Client().Events(ctx, own, func(e api.EventLine) error {
					if alarming[e.Kind] && e.At.After(since) {
						alarms.Add(1)
						fmt.Printf("%6.1f s  %s: %s: %s\n", e.At.Sub(since).Seconds(), n.Name, e.Kind, e.Text)
					}
					return nil
				})
			})
		}
		all.Wait()
		fmt.Printf("%d false alarms in %s, fast settings, %d busy loops on %d cores\n",
			alarms.Load(), mesh.Duration(length), 2*runtime.NumCPU(), runtime.NumCPU())
		if alarms.Load() > 0 {
			return fmt.Errorf("%d false alarms", alarms.Load())
		}
		return nil
	})
}

// alarming are events that nothing gave a reason for.
var alarming = map[mesh.EventKind]bool{
	mesh.NodeLost: true, mesh.AllocReplaced: true, mesh.AllocStopped: true, mesh.TaskExited: true,
}

// burn computes until ctx ends.
func burn(ctx context.Context) {
	for x := uint64(1); ctx.Err() == nil; {
		for range 1 << 16 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
}

// pause lets agents do what they do by themselves.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
