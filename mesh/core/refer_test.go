package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/health"
	"mn/mesh"
	"mn/runner"
)

// offered is a job of some copies that offer a service, each on a node of its own.
func offered(copies int) *mesh.Job {
	return &mesh.Job{Name: "vllm", Type: mesh.Service, Tasks: []mesh.Task{{
		Name: "vllm", Count: copies, Command: []string{"./vllm"},
		Services:    []mesh.ServiceDef{{Name: "vllm", Port: "8000", Tags: []string{"gpu"}}},
		Constraints: []mesh.Constraint{{Operator: mesh.DistinctHosts}},
	}}}
}

// referring is a job of one copy that refers to it.
func referring() *mesh.Job {
	return &mesh.Job{Name: "web", Type: mesh.Service, Tasks: []mesh.Task{{
		Name: "web", Command: []string{"./web", "${service.vllm.tag.gpu.hostport}", "${node.address}"},
		Templates: []mesh.Template{{Path: "conf", Content: "${service.vllm.all} ${node.label.rack}"}},
	}}}
}

// said has each host say what the checks of its copies of a job have come to.
func (l *lab) said(h *host, job string, health mesh.Health) {
	for key, o := range h.tasks {
		if !strings.HasSuffix(key, "/"+job) {
			continue
		}
		l.post(h, 0, Checked{o.Alloc, runner.Checked{
			Task: o.Task, Attempt: o.Attempt, Services: []mesh.ServiceStatus{{Name: job, Health: health}},
		}})
	}
}

// runsTask are the hosts that run a task.
func (l *lab) runsTask(name string) (hosts []*host) {
	for _, h := range l.nodes {
		for key := range h.tasks {
			if strings.HasSuffix(key, "/"+name) {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// last is the latest order of a kind to a host.
func (h *host) last(verb runner.Verb, task string) (o runner.Order, n int) {
	for _, one := range h.orders {
		if one.Verb == verb && one.Task == task {
			o, n = one, n+1
		}
	}
	return o, n
}

func TestACopyStartsOnceTheServiceIsThereThatItRefersTo(t *testing.T) {
	l := newLab(t, 4)
	for _, h := range l.nodes {
		h.core.cfg.Self.Labels = map[string]string{"rack": "3"}
		h.core.describe()
	}
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: referring()})
	l.after(20 * time.Second)
	waits := l.nodes[3].core.records.allocsOf("web")
	if len(waits) != 1 || waits[0].Status == nil || waits[0].State() != mesh.Pending ||
		waits[0].Status.Tasks[0].Reason != "waits for service vllm with tag gpu: no instance passes" {
		t.Fatalf("got %+v\n%s", waits, l.events())
	}
	serve := func(copies int) []*host {
		t.Helper()
		if _, ok := l.until(20*time.Second, func() bool { return len(l.runsTask("vllm")) == copies }); !ok {
			t.Fatalf("runs on %v\n%s", l.running(), l.events())
		}
		l.after(10 * time.Millisecond)
		for _, h := range l.nodes {
			l.said(h, "vllm", mesh.Passing)
		}
		return l.runsTask("vllm")
	}
	l.ask(l.nodes[1], Submit{Job: offered(1)})
	first := serve(1)[0]
	if took, ok := l.until(time.Second, func() bool { return len(l.runsTask("web")) == 1 }); !ok || took > 100*time.Millisecond {
		t.Fatalf("started: %v, after %v\n%s", ok, took, l.events())
	}
	web := l.runsTask("web")[0]
	address := func(h *host) string { return strings.TrimSuffix(h.self.Address, ":7000") }
	start, _ := web.last(runner.DoStart, "web")
	if want := []string{"./web", address(first) + ":8000", address(web)}; !slices.Equal(start.Spec.Command, want) ||
		start.Spec.Templates[0].Text != want[1]+" 3" {
		t.Errorf("started %q with %+v, want %q", start.Spec.Command, start.Spec.Templates, want)
	}

	renders := func(want string, count int) {
		t.Helper()
		l.after(12 * time.Second)
		got, n := web.last(runner.DoRender, "web")
		if n != count || n > 0 && got.Files[0].Text != want {
			t.Fatalf("rendered %d times, last %+v, want %d and %q\n%s", n, got, count, want, l.events())
		}
	}
	renders("", 0)
	l.ask(l.nodes[2], Scale{Job: "vllm", Count: 2})
	serve(2)
	var both []string
	for _, a := range l.nodes[0].core.records.allocsOf("vllm") {
		i := slices.IndexFunc(l.nodes, func(h *host) bool { return h.self.ID == a.Node })
		both = append(both, address(l.nodes[i])+":8000")
	}
	all := strings.Join(both, ",") + " 3"
	renders(all, 1)

	// A node that has slept believes nobody until it has compared data: that is no change.
	web.core.slept()
	l.step(web, Tick{})
	renders(all, 1)
}

// An agent that comes back leaves what runs alone, until it has had time to see the others.
func TestAnAgentThatComesBackIsSlowToMissOthers(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := referring()
	job.Tasks[0].Templates[0].Content = "${service.vllm.all}"
	l.ask(l.nodes[0], Submit{Job: offered(3)})
	l.ask(l.nodes[1], Submit{Job: job})
	l.until(20*time.Second, func() bool { return len(l.runsTask("vllm")) == 3 })
	l.after(time.Second)
	for _, h := range l.nodes {
		l.said(h, "vllm", mesh.Passing)
	}
	l.until(20*time.Second, func() bool { return len(l.runsTask("web")) == 1 })
	l.after(20 * time.Second)
	web := l.runsTask("web")[0]
	_, before := web.last(runner.DoRender, "web")
	l.kill(web, false)
	l.after(time.Second)
	l.start(web)
	l.meet(web)
	l.step(web, Tick{})
	l.after(7 * time.Second)
	if o, n := web.last(runner.DoRender, "web"); n != before {
		t.Fatalf("rendered %+v at once\n%s", o, l.events())
	}
	l.after(5 * time.Second)
	if o, n := web.last(runner.DoRender, "web"); n != before+1 || strings.Count(o.Files[0].Text, ":8000") != 3 {
		t.Fatalf("rendered %d times, last %+v\n%s", n-before, o.Files, l.events())
	}
}

// The instances of a copy's own node come first, and else all copies do not go to the same; one more
// instance moves only those that go to it.
func TestCopiesAreSpreadOverInstances(t *testing.T) {
	c := &Core{self: "here"}
	var found []health.Instance
	for i := range 5 {
		found = append(found, health.Instance{Job: "vllm", Index: i, Node: mesh.NodeID(fmt.Sprint("n", i)), Task: "t"})
	}
	count, moved := map[int]int{}, 0
	for i := range 1000 {
		copy := &tended{refers: &referral{seat: fmt.Sprintf("web/web[%d]", i)}}
		before, after := c.nearest(copy, found[:4]), c.nearest(copy, found)
		count[before]++
		if before != after {
			moved++
			if after != 4 {
				t.Errorf("copy %d moves from %d to %d", i, before, after)
			}
		}
		found[2].Node = "here"
		if got := c.nearest(copy, found); got != 2 {
			t.Errorf("copy %d goes to %d, and one is here", i, got)
		}
		found[2].Node = "n2"
	}
	for i := range 4 {
		if count[i] < 200 || count[i] > 300 {
			t.Errorf("%d of 1000 copies go to instance %d of 4", count[i], i)
		}
	}
	if moved < 150 || moved > 250 {
		t.Errorf("%d of 1000 copies go to the fifth", moved)
	}
}
