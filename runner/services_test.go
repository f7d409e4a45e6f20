package runner

import (
	"slices"
	"strings"
	"testing"

	"mn/mesh"
)

// What a check is filled in with is what its task is told; the job itself stays as it was written.
func TestChecksAreFilledInAsTheirTaskIs(t *testing.T) {
	task := mesh.Task{
		Name: "web", Command: []string{"./run"}, Env: map[string]string{"TOKEN": "of ${MN_JOB}"},
		Ports: []mesh.PortRequest{{Label: "http"}},
		Services: []mesh.ServiceDef{{Name: "web", Port: "http", Checks: []mesh.Check{
			{
				Type: mesh.CheckHTTP, Path: "/${alloc.index}", Headers: map[string]string{"Authorization": "Bearer ${TOKEN}"},
				Body: "$${x}", Contains: "${node.name}",
			},
			{Type: mesh.CheckScript, Command: []string{"./check", "${MN_PORT_HTTP}", "$HOME"}},
		}}},
	}
	job := &mesh.Job{Name: "site", Type: mesh.Service, Tasks: []mesh.Task{task}}
	a := mesh.Alloc{ID: "abc", Job: "site", Group: "web", Index: 3, Grants: &mesh.Grants{
		Ports: []mesh.PortGrant{{Task: "web", Label: "http", Number: 4711}},
	}}
	job.Defaults()
	c := NewCopy(a, job.Groups()[0], job, Facts{Name: "n1"})
	if _, err := c.spec(c.tasks[0]); err != nil {
		t.Fatal(err)
	}
	services := c.offered(c.tasks[0])
	if len(services) != 1 {
		t.Fatalf("got %v", services)
	}
	checks := services[0].Checks
	if h := &checks[0]; h.Path != "/3" || h.Headers["Authorization"] != "Bearer of site" || h.Body != "${x}" || h.Contains != "n1" {
		t.Errorf("got %+v", h)
	}
	if want := []string{"./check", "4711", "$HOME"}; !slices.Equal(checks[1].Command, want) {
		t.Errorf("got %q, want %q", checks[1].Command, want)
	}
	if job.Tasks[0].Services[0].Checks[0].Headers["Authorization"] != "Bearer ${TOKEN}" ||
		job.Tasks[0].Services[0].Checks[1].Command[1] != "${MN_PORT_HTTP}" {
		t.Errorf("the job is another: %+v", job.Tasks[0].Services[0])
	}
}

// A node that cannot fill in a check does not start the task.
func TestATaskWhoseCheckCannotBeFilledInDoesNotStart(t *testing.T) {
	_, err := specOf(t, mesh.Task{Command: []string{"./run"}, Services: []mesh.ServiceDef{{
		Name: "web", Checks: []mesh.Check{{Type: mesh.CheckScript, Command: []string{"./check", "${LANG}"}}},
	}}})
	if err == nil || !strings.HasPrefix(err.Error(), `service "web": check "script": command[1]: unknown variable ${LANG}`) {
		t.Errorf("got %v", err)
	}
}
