package mesh

import (
	"slices"
	"strconv"
	"strings"
)

// AfterRule says which outcomes of the groups that a group comes after let it
// begin. A group has succeeded when all of its copies have completed, and failed
// when one of them has failed for good; it is done when all of its copies have
// ended. A group whose own rule cannot come true is skipped: it is done, and has
// neither succeeded nor failed.
type AfterRule string

// The rules.
const (
	AllSuccess    AfterRule = "all_success" // the default
	AllDone       AfterRule = "all_done"
	OneSuccess    AfterRule = "one_success"
	OneDone       AfterRule = "one_done"
	OneFailed     AfterRule = "one_failed"
	NoneFailed    AfterRule = "none_failed_min_one_success" // all done, none failed, one succeeded
	QuorumSuccess AfterRule = "quorum_success"              // as many as after_quorum says
)

// Handles says whether a group with this rule is one to answer for a failure of
// those before it.
func (r AfterRule) Handles() bool { return r == OneFailed || r == AllDone || r == OneDone }

// Before are the jobs that this one comes after: as many as a job that is valid has.
func (j *Job) Before() []JobID {
	var ids []JobID
	for _, name := range j.After[:min(len(j.After), TasksMax)] {
		ids = append(ids, JobID(name))
	}
	return ids
}

// order fills in which groups each comes after. A name is that of a group, or
// else of a task in it; one that is neither stays, and is never done.
func (j *Job) order(groups []Group) {
	for i := range groups {
		g, t := &groups[i], &groups[i].Tasks[0]
		if len(t.After) == 0 {
			continue
		}
		g.AfterRule, g.AfterQuorum = t.AfterRule, t.AfterQuorum
		setIfZero(&g.AfterRule, AllSuccess)
		for _, name := range t.After {
			g.After = append(g.After, groupNamed(name, groups))
		}
	}
}

func groupNamed(name string, groups []Group) string {
	if slices.ContainsFunc(groups, func(g Group) bool { return g.Name == name }) {
		return name
	}
	for _, g := range groups {
		if slices.ContainsFunc(g.Tasks, func(t Task) bool { return t.Name == name }) {
			return g.Name
		}
	}
	return name
}

// order checks what the groups come after, each at its first task.
func (v *validator) order(j *Job) {
	groups := j.Groups()
	at := map[string]int{} // first task of each group
	for i := range j.Tasks {
		t := &j.Tasks[i]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(t.Name)
		first, known := at[t.group()]
		if !known {
			at[t.group()] = i
			v.after(t, j.Type, groups)
			continue
		}
		f := &j.Tasks[first]
		if !slices.Equal(t.After, f.After) || t.AfterRule != f.AfterRule || t.AfterQuorum != f.AfterQuorum {
			v.fault("differs from that of task %q of the same group %q, with after_rule and after_quorum: "+
				"write the same in both", clip(f.Name), clip(t.group())).at("after")
		}
	}
	for _, circle := range circles(groups) {
		i := at[circle[0]]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(j.Tasks[i].Name)
		v.fault("goes in a circle: %s", strings.Join(quoted(append(circle, circle[0])), " after ")).at("after")
	}
}

func (v *validator) after(t *Task, of JobType, groups []Group) {
	if len(t.After) > 0 && of != Batch && of != "" {
		v.fault("is for jobs of type %q: the groups of type %q run side by side", Batch, of).at("after")
	}
	v.rule(t.After, t.AfterRule, t.AfterQuorum, "group")
	v.names(t, groups)
}

// rule checks with which outcomes of what something comes after it begins.
func (v *validator) rule(after []string, rule AfterRule, quorum int, what string) {
	oneOf(v, rule, afterRules, "after_rule")
	switch {
	case len(after) == 0 && rule != "":
		v.fault("says which outcomes to wait for, and after names no %s", what).at("after_rule")
	case len(after) == 0 && quorum != 0:
		v.fault("says how many to wait for, and after names no %s", what).at("after_quorum")
	case len(after) == 0:
	case len(after) > TasksMax:
		v.fault("has %d entries, more than %d", len(after), TasksMax).at("after")
	case rule == QuorumSuccess && (quorum < 1 || quorum > len(after)):
		v.fault("must be from 1 to %d, as many as after names, not %d", len(after), quorum).at("after_quorum")
	case rule != QuorumSuccess && quorum != 0:
		v.fault("is for after_rule %q, which this is not", QuorumSuccess).at("after_quorum")
	}
}

// before checks what the job comes after. Whether there are such jobs shows only in the
// mesh, and later.
func (v *validator) before(j *Job) {
	v.rule(j.After, j.AfterRule, j.AfterQuorum, "job")
	for i, name := range j.After[:min(len(j.After), TasksMax)] {
		switch {
		case !ValidName(name):
			v.fault("%q is not a name of a job", clip(name)).at("after")
		case name == j.Name:
			v.fault("names the job itself").at("after")
		case slices.Contains(j.After[:i], name):
			v.fault("names the job %q twice", clip(name)).at("after")
		}
	}
}

// names checks that after names other groups, each once.
func (v *validator) names(t *Task, groups []Group) {
	known := namesOf(groups)
	var before []string
	for _, name := range t.After[:min(len(t.After), TasksMax)] {
		group := groupNamed(name, groups)
		switch {
		case group == t.group():
			v.fault("%q is the group itself: the order of tasks within a group is their lifecycle",
				clip(name)).at("after")
		case slices.Contains(before, group):
			v.fault("names the group %q twice", clip(group)).at("after")
		case slices.Contains(known, group):
		case Nearest(name, known) != "":
			v.fault("there is no task or group %q in the job; did you mean %q?",
				clip(name), clip(Nearest(name, known))).at("after")
		default:
			v.fault("there is no task or group %q in the job", clip(name)).at("after")
		}
		before = append(before, group)
	}
}

// circles are groups that come after themselves by way of others, some of them at
// least. One that names itself is told elsewhere.
func circles(groups []Group) [][]string {
	of := map[string][]string{}
	for _, g := range groups {
		of[g.Name] = g.After
	}
	var found [][]string
	over := map[string]bool{}
	var path []string
	var walk func(name string)
	walk = func(name string) {
		if at := slices.Index(path, name); at >= 0 {
			if len(path)-at > 1 {
				found = append(found, slices.Clone(path[at:]))
			}
			return
		}
		if over[name] {
			return
		}
		path = append(path, name)
		for _, next := range of[name] {
			walk(next)
		}
		path = path[:len(path)-1]
		over[name] = true
	}
	for _, g := range groups {
		walk(g.Name)
	}
	return found
}

func quoted(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, strconv.Quote(clip(n)))
	}
	return out
}
