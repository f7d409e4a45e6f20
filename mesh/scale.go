package mesh

import (
	"slices"
	"strings"
)

// Scaled is the job with another number of copies of one of its groups, and that
// group's name. A group is named by itself or by a task in it; a job's only one
// need not be named. What the job may be as a whole is for [Job.Validate].
func (j *Job) Scaled(name string, count int) (Job, string, *Fault) {
	g, f := j.scalable(name)
	if f != nil {
		return Job{}, "", f
	}
	if count < 1 {
		return Job{}, "", Faultf(Invalid, "count must be at least 1, not %d", count).
			Hint("mn job stop %s stops the job", j.Name)
	}
	next := *j
	next.Tasks = slices.Clone(j.Tasks)
	for i := range next.Tasks {
		if t := &next.Tasks[i]; t.group() == g.Name {
			t.Count = count
		}
	}
	return next, g.Name, nil
}

// scalable is the group of that name, if it is its count that says how many copies
// there are of it.
func (j *Job) scalable(name string) (Group, *Fault) {
	groups := j.Groups()
	known := namesOf(groups)
	switch {
	case j.Type.PerNode():
		return Group{}, Faultf(Invalid, "job %q is of type %q: it has one copy on each node, and no count",
			j.Name, j.Type)
	case name == "" && len(groups) > 1:
		return Group{}, Faultf(Invalid, "job %q has several groups: say which to scale, of %s", j.Name,
			strings.Join(quoted(known), ", "))
	case name == "":
		name = groups[0].Name
	}
	g, found := j.Group(groupNamed(name, groups))
	if !found {
		f := Faultf(NotFound, "job %q has no task or group %q", j.Name, clip(name))
		if near := Nearest(name, known); near != "" {
			return Group{}, f.Hint("did you mean %q?", near)
		}
		return Group{}, f.Hint("it has %s", strings.Join(quoted(known), ", "))
	}
	if g.Array.Len() > 0 {
		return Group{}, Faultf(Invalid, "group %q of job %q is the array %q: its indexes say how many copies there are",
			g.Name, j.Name, clip(g.Tasks[0].Array)).Hint("change array in the job's file, and run that")
	}
	return g, nil
}

// namesOf are the names that groups can be called by: their own, and those of
// the tasks in them.
func namesOf(groups []Group) []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
		for _, t := range g.Tasks {
			if t.Name != g.Name {
				names = append(names, t.Name)
			}
		}
	}
	return names
}
