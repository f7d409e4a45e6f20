package mesh

import (
	"slices"
	"strconv"
	"strings"
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
func (n *ServiceNeed) Met(by *ServiceDef) bool {
	return by.Name == n.Name && !slices.ContainsFunc(n.Tags, func(tag string) bool {
		return !slices.Contains(by.Tags, tag)
	})
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
