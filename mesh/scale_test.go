package mesh

import (
	"fmt"
	"strings"
	"testing"
)

func TestScaled(t *testing.T) {
	shop := &Job{Name: "shop", Type: Service, Tasks: []Task{
		{Name: "web", Group: "front", Count: 2},
		{Name: "log", Group: "front", Count: 2},
		{Name: "db"},
		{Name: "sweep", Array: "0-9"},
	}}
	one := &Job{Name: "one", Tasks: []Task{{Name: "work"}}}
	for _, tt := range []struct {
		job   *Job
		name  string
		count int
		want  string // group and the counts of all tasks, or why it is refused
	}{
		{shop, "front", 5, "front 5 5 0 0"},
		{shop, "log", 1, "front 1 1 0 0"},
		{shop, "db", 3, "db 2 2 3 0"},
		{one, "", 4, "work 4"},
		{one, "work", 4, "work 4"},
		{one, "", 0, "count must be at least 1, not 0; mn job stop one stops the job"},
		{shop, "", 3, `job "shop" has several groups: say which to scale, of "front", "web", "log", "db", "sweep"`},
		{shop, "fronnt", 3, `job "shop" has no task or group "fronnt"; did you mean "front"?`},
		{one, "web", 3, `job "one" has no task or group "web"; it has "work"`},
		{
			shop, "sweep", 3, `group "sweep" of job "shop" is the array "0-9": its indexes say how many copies there are; ` +
				"change array in the job's file, and run that",
		},
		{&Job{Name: "each", Type: SysBatch, Tasks: one.Tasks}, "", 2, `job "each" is of type "sysbatch": it has one copy on each node, and no count`},
	} {
		before := HashJob(tt.job, false)
		next, group, f := tt.job.Scaled(tt.name, tt.count)
		got := group
		for _, task := range next.Tasks {
			got += fmt.Sprintf(" %d", task.Count)
		}
		if f != nil {
			got = strings.Join(append([]string{f.Text}, f.Hints...), "; ")
		}
		if got != tt.want {
			t.Errorf("%s %q to %d: got %s, want %s", tt.job.Name, tt.name, tt.count, got, tt.want)
		}
		if HashJob(tt.job, false) != before {
			t.Fatalf("%s %q to %d: the job itself was changed", tt.job.Name, tt.name, tt.count)
		}
	}
}
