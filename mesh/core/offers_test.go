package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// check says what the services of a task have come to: those in h.sick fail.
func (l *lab) check(h *host, w Watch) {
	h.offers = slices.DeleteFunc(h.offers, func(o Watch) bool { return o.Alloc == w.Alloc && o.Task == w.Task })
	if w.Attempt == 0 {
		return
	}
	h.offers = append(h.offers, w)
	in := Checked{w.Alloc, runner.Checked{Task: w.Task, Attempt: w.Attempt}}
	for _, s := range w.Services {
		is := mesh.ServiceStatus{Name: s.Name, Health: mesh.Passing, Since: l.clock().Wall}
		if h.sick[s.Name] {
			is.Health = mesh.Critical
		}
		in.Services = append(in.Services, is)
	}
	l.post(h, labFork, in)
}

// sicken has the checks of a service fail everywhere, or pass.
func (l *lab) sicken(service string, sick bool) {
	for _, h := range l.nodes {
		h.sick = map[string]bool{service: sick}
		for _, w := range slices.Clone(h.offers) {
			l.check(h, w)
		}
	}
}

// offering is a service that offers one, on a node.
func offering(name, service string, on *host) *mesh.Job {
	j := serviceJob(name)
	j.Tasks[0].Services = []mesh.ServiceDef{{Name: service, Tags: []string{"embedding"}}}
	j.Constraints = []mesh.Constraint{{Attribute: "node.name", Operator: mesh.Equal, Value: mesh.Value(on.name)}}
	return j
}

func serviceJob(name string) *mesh.Job { return service(name, 1) }

// where is the node on which the copies of a job run, or "".
func (l *lab) where(job mesh.JobID) string {
	var names []string
	for _, h := range l.nodes {
		for _, o := range h.tasks {
			if a, ok := l.nodes[0].core.records.effective(o.Alloc); ok && a.Job == job {
				names = append(names, h.name)
			}
		}
	}
	return strings.Join(names, " ")
}

// told counts the events of a kind about a job that have a text in them.
func (l *lab) told(kind mesh.EventKind, job mesh.JobID, text string) int {
	n := 0
	for _, h := range l.nodes {
		for _, e := range h.log {
			if e.Kind == kind && e.Job == job && strings.Contains(e.Text, text) {
				n++
			}
		}
	}
	return n
}

func TestCopyFollowsTheServiceThatItNeeds(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	worker := serviceJob("worker")
	worker.Tasks[0].Requires = []mesh.ServiceNeed{{Name: "vllm", Tags: []string{"embedding"}}}
	l.ask(l.nodes[0], Submit{Job: worker})
	l.after(6 * time.Second)
	if l.where("worker") != "" || l.told(mesh.AllocBlocked, "worker", "no passing instance of vllm with tag embedding on this node") != 1 {
		t.Fatalf("it runs on %q\n%s", l.where("worker"), l.events())
	}
	l.sicken("vllm", true)
	l.ask(l.nodes[1], Submit{Job: offering("models", "vllm", l.nodes[1])})
	l.after(6 * time.Second)
	if l.where("models") != l.nodes[1].name || l.where("worker") != "" {
		t.Fatalf("models run on %q, the worker on %q\n%s", l.where("models"), l.where("worker"), l.events())
	}
	l.sicken("vllm", false)
	began := func() bool { return l.where("worker") == l.nodes[1].name }
	if took, ok := l.until(time.Second, began); !ok {
		t.Fatalf("it does not begin in %v after the service has passed\n%s", took, l.events())
	}
	l.sicken("vllm", true)
	l.ask(l.nodes[1], Submit{Job: offering("others", "vllm", l.nodes[2])})
	l.after(time.Minute)
	l.sicken("vllm", false)
	l.after(time.Minute)
	if l.where("worker") != l.nodes[1].name {
		t.Fatalf("it runs on %q, only for checks that failed\n%s", l.where("worker"), l.events())
	}
	l.ask(l.nodes[0], Act{Job: "models", Verb: mesh.VerbStop})
	if _, ok := l.until(40*time.Second, func() bool { return l.where("worker") == l.nodes[2].name }); !ok {
		t.Fatalf("it runs on %q, and has not followed\n%s", l.where("worker"), l.events())
	}
	if l.told(mesh.AllocReplaced, "worker", "service vllm with tag embedding has gone from node") != 1 {
		t.Errorf("nobody is told why\n%s", l.events())
	}
}

func TestJobBeginsWhenTheServicePassesThatItRequires(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	job := serviceJob("web")
	job.Requires = []mesh.ServiceNeed{{Name: "pharmacy", Tags: []string{"embedding"}}}
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(30 * time.Second)
	if l.where("web") != "" || l.told(mesh.JobBlocked, "web", "waits for service pharmacy with tag embedding; ") != 1 {
		t.Fatalf("it runs on %q\n%s", l.where("web"), l.events())
	}
	forced := l.ask(l.nodes[1], Submit{Job: job, Force: true})
	if s := forced.Value.(Submitted); forced.Fault != nil || s.Unchanged || !s.Version.Forced || s.Version.Number != 2 {
		t.Fatalf("got %+v", forced)
	}
	if took, ok := l.until(2*time.Second, func() bool { return l.where("web") != "" }); !ok {
		t.Fatalf("forced, it does not begin in %v\n%s", took, l.events())
	}
	if s := l.ask(l.nodes[1], Submit{Job: job, Force: true}).Value.(Submitted); !s.Unchanged {
		t.Errorf("there was nothing to force: got %+v", s)
	}
	again := *job
	again.Name = "web2"
	l.ask(l.nodes[2], Submit{Job: &again})
	l.after(10 * time.Second)
	if l.where("web2") != "" {
		t.Fatalf("it has begun\n%s", l.events())
	}
	l.ask(l.nodes[1], Submit{Job: offering("shop", "pharmacy", l.nodes[0])})
	if took, ok := l.until(2*time.Second, func() bool { return l.where("web2") != "" }); !ok {
		t.Fatalf("it does not begin in %v\n%s", took, l.events())
	}
	l.ask(l.nodes[1], Act{Job: "shop", Verb: mesh.VerbStop})
	l.after(time.Minute)
	if l.where("web2") == "" {
		t.Errorf("it was stopped with the service\n%s", l.events())
	}
}
