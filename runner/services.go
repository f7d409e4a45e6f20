package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// Offer is what an attempt of a task offers for as long as it runs.
type Offer struct {
	Task    string
	Attempt int
	Started time.Time
	// Services have their ports as numbers.
	Services []mesh.ServiceDef
	Known    []mesh.ServiceStatus // what was said of them last
}

// Checked is what the services of an attempt have come to, and why the task is to be restarted, or "".
type Checked struct {
	Task     string
	Attempt  int
	Services []mesh.ServiceStatus
	Restart  string
}

func (Checked) input() {}

// Offers are what the tasks of the copy offer that run.
func (c *Copy) Offers() []Offer {
	var all []Offer
	for _, t := range c.tasks {
		if t.status.State != mesh.Running {
			continue
		}
		if s := c.offered(t); len(s) > 0 {
			all = append(all, Offer{
				Task: t.def.Name, Attempt: t.attempt, Started: t.status.StartedAt,
				Services: s, Known: t.status.Services,
			})
		}
	}
	return all
}

// offered are the services of a task, their checks filled in.
func (c *Copy) offered(t *task) []mesh.ServiceDef {
	var e *environment
	fill := func(text string, _ ...string) (string, error) {
		if !strings.Contains(text, "${") {
			return text, nil
		}
		if e == nil {
			made := c.environment(t)
			e = &made
		}
		return e.expand(text, nil)
	}
	services := c.job.Offered(&c.alloc, t.def.Name)
	for i := range services {
		for j := range services[i].Checks { // they are this copy's own
			if filled, err := services[i].Checks[j].Fill(fill); err == nil {
				services[i].Checks[j] = filled
			} // else it is of a job that was taken by an earlier release, which filled nothing in
		}
	}
	return services
}

// fillable says why a check of the task's services cannot be filled in, as a node may have no LANG.
func (t *task) fillable(e environment) error {
	fill := func(text string, _ ...string) (string, error) { return e.expand(text, nil) }
	for i := range t.def.Services {
		s := &t.def.Services[i]
		for j := range s.Checks {
			if _, err := s.Checks[j].Fill(fill); err != nil {
				return fmt.Errorf("service %q: check %q: %w", s.Name, s.Checks[j].Title(), err)
			}
		}
	}
	return nil
}

// checked takes what the services of a task have come to.
func (c *Copy) checked(in Checked) {
	t := c.task(in.Task)
	if t == nil || !t.live || t.attempt != in.Attempt || t.status.State != mesh.Running {
		return
	}
	for i := range in.Services {
		s := &in.Services[i]
		before := healthOf(t.status.Services, s.Name)
		if before != s.Health && (before != "" || len(s.Checks) > 0) {
			c.event(mesh.ServiceChanged, t, fmt.Sprintf("service %q is %s%s", s.Name, s.Health, because(s)))
		}
	}
	t.status.Services = in.Services
	if in.Restart == "" || t.unwell != "" || c.ending() {
		return
	}
	t.unwell = in.Restart
	c.event(mesh.TaskUnhealthy, t, in.Restart)
	c.stopUnwell(t)
}

func healthOf(all []mesh.ServiceStatus, name string) mesh.Health {
	for i := range all {
		if all[i].Name == name {
			return all[i].Health
		}
	}
	return ""
}

// because says which checks have a service be what it is.
func because(s *mesh.ServiceStatus) string {
	for _, c := range s.Checks {
		if c.Health != mesh.Passing && c.Reason != "" {
			return fmt.Sprintf(": check %q: %s", c.Name, c.Reason)
		}
	}
	return ""
}

// stopUnwell stops an attempt whose service fails, for another to be started as the policy says.
func (c *Copy) stopUnwell(t *task) {
	if t.unwell == "" || !t.live || c.ending() || t.status.State == mesh.Stopping && t.tellAgain > c.now.Boot {
		return
	}
	t.status.State, t.status.Reason = mesh.Stopping, t.unwell
	t.tellAgain = c.now.Boot + t.warnTime() + t.grace() + tellAgain
	c.order(Order{Verb: DoStop, Task: t.def.Name, Grace: t.grace()})
}

func sameServices(a, b mesh.ServiceStatus) bool {
	return a.Name == b.Name && a.Health == b.Health && slices.Equal(a.Checks, b.Checks)
}
