package mesh

import (
	"reflect"
	"strings"
	"testing"
)

// flow is a batch job of single tasks, each "name" or "name<before,before".
func flow(tasks ...string) *Job {
	j := &Job{Name: "flow", Type: Batch}
	for _, text := range tasks {
		name, before, after := strings.Cut(text, "<")
		t := Task{Name: name, Command: []string{"run"}}
		if after {
			t.After = strings.Split(before, ",")
		}
		j.Tasks = append(j.Tasks, t)
	}
	return j
}

func TestOrderOfGroupsIsValidated(t *testing.T) {
	grouped := flow("a", "b", "c<a")
	grouped.Tasks[0].Group, grouped.Tasks[1].Group = "g", "g"
	within := flow("a", "b<a")
	within.Tasks[0].Group, within.Tasks[1].Group = "g", "g"
	twice := flow("a", "b", "c<a,g")
	twice.Tasks[0].Group, twice.Tasks[1].Group = "g", "g"
	service := flow("a", "b<a")
	service.Type = Service
	with := func(j *Job, rule AfterRule, quorum int) *Job {
		last := &j.Tasks[len(j.Tasks)-1]
		last.AfterRule, last.AfterQuorum = rule, quorum
		return j
	}
	tests := []struct {
		name string
		job  *Job
		want string // all faults, in order
	}{
		{"none", flow("a", "b"), ""},
		{"a line", flow("c<b", "b<a", "a"), ""},
		{"a diamond", flow("a", "b<a", "c<a", "d<b,c"), ""},
		{"of a group", grouped, ""},
		{"with a quorum", with(flow("a", "b", "c<a,b"), QuorumSuccess, 2), ""},
		{"unknown", flow("load", "b<laod,elsewhere"), `task "b": after: there is no task or group "laod" in the job; did you mean "load"?` + "\n" +
			`task "b": after: there is no task or group "elsewhere" in the job`},
		{"itself", flow("a<a"), `task "a": after: "a" is the group itself: the order of tasks within a group is their lifecycle`},
		{"its own group", within, `task "b": after: differs from that of task "a" of the same group "g", ` +
			`with after_rule and after_quorum: write the same in both`},
		{"a group twice", twice, `task "c": after: names the group "g" twice`},
		{"a circle", flow("z<a", "a<b", "b<c", "c<a"), `task "a": after: goes in a circle: "a" after "b" after "c" after "a"`},
		{"two circles", flow("a<b", "b<a", "c<d", "d<c"), `task "a": after: goes in a circle: "a" after "b" after "a"` + "\n" +
			`task "c": after: goes in a circle: "c" after "d" after "c"`},
		{"a service", service, `task "b": after: is for jobs of type "batch": the groups of type "service" run side by side`},
		{"rule", with(flow("a", "b<a"), "some", 0), `task "b": after_rule: has unsupported value "some"; supported: ` +
			`"all_success", "all_done", "one_success", "one_done", "one_failed", "none_failed_min_one_success", "quorum_success"`},
		{"a rule for nothing", with(flow("a"), AllDone, 0), `task "a": after_rule: says which outcomes to wait for, and after names no group`},
		{"a quorum of nothing", with(flow("a"), "", 1), `task "a": after_quorum: says how many to wait for, and after names no group`},
		{"no quorum", with(flow("a", "b<a"), QuorumSuccess, 0), `task "b": after_quorum: must be from 1 to 1, as many as after names, not 0`},
		{"a quorum of too many", with(flow("a", "b<a"), QuorumSuccess, 2), `task "b": after_quorum: must be from 1 to 1, as many as after names, not 2`},
		{"another rule's quorum", with(flow("a", "b<a"), AllDone, 1), `task "b": after_quorum: is for after_rule "quorum_success", which this is not`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range tt.job.Validate() {
				got = append(got, f.Error())
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

func TestGroupsComeAfterGroups(t *testing.T) {
	j := flow("a", "b", "c<b,d", "d")
	j.Tasks[0].Group, j.Tasks[1].Group = "g", "g"
	g, _ := j.Group("c")
	if want := []string{"g", "d"}; !reflect.DeepEqual(g.After, want) || g.AfterRule != AllSuccess {
		t.Errorf("it comes after %v, %s; want %v, %s", g.After, g.AfterRule, want, AllSuccess)
	}
}
