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
	oneOf(v, t.AfterRule, afterRules, "after_rule")
	switch {
	case len(t.After) == 0 && t.AfterRule != "":
		v.fault("says which outcomes to wait for, and after names no group").at("after_rule")
	case len(t.After) == 0 && t.AfterQuorum != 0:
		v.fault("says how many to wait for, and after names no group").at("after_quorum")
	case len(t.After) == 0:
		return
	case of != Batch && of != "":
		v.fault("is for jobs of type %q: the groups of type %q run side by side", Batch, of).at("after")
	case len(t.After) > TasksMax:
		v.fault("has %d entries, more than %d", len(t.After), TasksMax).at("after")
	case t.AfterRule == QuorumSuccess && (t.AfterQuorum < 1 || t.AfterQuorum > len(t.After)):
		v.fault("must be from 1 to the %d that after names, not %d", len(t.After), t.AfterQuorum).at("after_quorum")
	case t.AfterRule != QuorumSuccess && t.AfterQuorum != 0:
		v.fault("is for after_rule %q, which this is not", QuorumSuccess).at("after_quorum")
	}
	v.names(t, groups)
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
