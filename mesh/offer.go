package mesh

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Offered are the services that a task of a copy offers while it runs, as its job has them, with their
// ports as numbers: its own, and of the job's those whose port is one of its; those that are external are
// the first main task's.
func (j *Job) Offered(a *Alloc, task string) []ServiceDef {
	var mates []*Task
	for i := range j.Tasks {
		if t := &j.Tasks[i]; t.group() == a.Group {
			mates = append(mates, t)
		}
	}
	var all []ServiceDef
	for _, t := range mates {
		if t.Name != task {
			continue
		}
		for _, s := range t.Services {
			all = append(all, a.resolved(s))
		}
		for _, s := range j.Services {
			if s.External() && t == firstMain(mates) || !s.External() && a.port(task, string(s.Port)) > 0 {
				all = append(all, a.resolved(s))
			}
		}
	}
	return all
}

// firstMain is the first task that is neither before, beside nor after the work.
func firstMain(tasks []*Task) *Task {
	i := slices.IndexFunc(tasks, func(t *Task) bool { return t.Lifecycle == "" })
	return tasks[max(i, 0)]
}

// resolved is a service with numbers for labels of the copy's ports.
func (a *Alloc) resolved(s ServiceDef) ServiceDef {
	s.Port = a.number(s.Port)
	s.Checks = slices.Clone(s.Checks)
	for i := range s.Checks {
		s.Checks[i].Port = a.number(s.Checks[i].Port)
	}
	return s
}

func (a *Alloc) number(p Value) Value {
	if n := a.port("", string(p)); n > 0 {
		return Value(strconv.Itoa(n))
	}
	return p
}

// port is the number that the copy was given for a label, of one task or of any if that is "".
func (a *Alloc) port(task, label string) int {
	if a.Grants == nil {
		return 0
	}
	for _, p := range a.Grants.Ports {
		if p.Label == label && (task == "" || p.Task == task) {
			return int(p.Number)
		}
	}
	return 0
}

// Met says whether a service is what is needed.
func (n *ServiceNeed) Met(by *ServiceDef) bool { return n.met(by.Name, by.Tags) }

// MetBy says whether what a copy offers is what is needed.
func (n *ServiceNeed) MetBy(o *Offer) bool { return n.met(o.Service, o.Tags) }

func (n *ServiceNeed) met(name string, tags []string) bool {
	return name == n.Name && !slices.ContainsFunc(n.Tags, func(tag string) bool {
		return !slices.Contains(tags, tag)
	})
}

// Offer is a service as one task of a copy offers it, for those who need it.
type Offer struct {
	Service string
	Tags    []string
	Job     JobID
	Group   string
	Alloc   AllocID
	Task    string
	Node    NodeID
	Usable  bool      // others may be sent there now
	Ended   time.Time // when the copy had ended; zero as long as it has not
}

// Offers are the services that a copy offers by its decision and its job, whatever they come
// to; none if its version is not here.
func (a *AllocView) Offers() []Offer {
	if a.Placed == nil {
		return nil
	}
	var all []Offer
	for i := range a.Placed.Tasks {
		if a.Placed.Tasks[i].group() != a.Group {
			continue
		}
		task := a.Placed.Tasks[i].Name
		for _, s := range a.Placed.Offered(&a.Alloc, task) {
			o := Offer{
				Service: s.Name, Tags: s.Tags, Job: a.Job, Group: a.Group, Alloc: a.ID, Task: task, Node: a.Node,
			}
			if a.State().Final() {
				o.Ended = a.Status.At
			}
			all = append(all, o)
		}
	}
	return all
}

// OfferedNames are the names of all services that copies of the job may offer.
func (j *Job) OfferedNames() []string {
	var names []string
	add := func(all []ServiceDef) {
		for i := range all {
			names = append(names, all[i].Name)
		}
	}
	add(j.Services)
	for i := range j.Tasks {
		add(j.Tasks[i].Services)
	}
	return names
}

// NeededNames are the names of all services that the job, or a task of it, cannot do without.
func (j *Job) NeededNames() []string {
	var names []string
	add := func(all []ServiceNeed) {
		for i := range all {
			names = append(names, all[i].Name)
		}
	}
	add(j.Requires)
	for i := range j.Tasks {
		add(j.Tasks[i].Requires)
	}
	return names
}

// Needs are the services that a copy of the group needs on its own node, each once.
func (g *Group) Needs() []ServiceNeed {
	var all []ServiceNeed
	for i := range g.Tasks {
		for _, n := range g.Tasks[i].Requires {
			same := func(o ServiceNeed) bool { return o.String() == n.String() }
			if !slices.ContainsFunc(all, same) {
				all = append(all, n)
			}
		}
	}
	return all
}

// String is the need for people: "vllm with tag embedding".
func (n *ServiceNeed) String() string {
	switch len(n.Tags) {
	case 0:
		return n.Name
	case 1:
		return n.Name + " with tag " + n.Tags[0]
	}
	return n.Name + " with tags " + strings.Join(n.Tags, ", ")
}
