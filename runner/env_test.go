package runner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

func TestBaseEnvHidesTheAgents(t *testing.T) {
	got := BaseEnv([]string{"HOME=/root", "AWS_SECRET=x", "TZ=UTC", "LANG=", "PATHS=/x", "MN_DATA=/y"})
	want := []string{"HOME=/root", "PATH=" + defaultPath, "TZ=UTC"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// specOf is what a copy orders for its only task.
func specOf(t *testing.T, def mesh.Task) (Spec, error) {
	t.Helper()
	def.Name = "worker"
	job := &mesh.Job{Name: "train", Type: mesh.Batch, Tasks: []mesh.Task{def}}
	a := mesh.Alloc{ID: "abc", Job: "train", Index: 3, Fence: crdt.Fence{Epoch: 2, Ballot: 7}}
	facts := Facts{Name: "n1", Root: "/data/allocs", Base: []string{"HOME=/root", "PATH=/bin"}}
	c := NewCopy(a, job.Groups()[0], job, facts)
	return c.spec(c.tasks[0])
}

func TestEnvironmentTellsATaskWhatItIs(t *testing.T) {
	s, err := specOf(t, mesh.Task{
		Command: []string{"./run", "--dir=${MN_TASK_DIR}", "$HOME", "$${HOME}", "${A}"},
		Dir:     "${MN_ALLOC_DIR}/in",
		Env: map[string]string{
			"A": "a ${B}", "B": "b ${MN_ALLOC_INDEX}", "PATH": "/opt:${C}", "C": "", "MN_NODE": "lie",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"A=a b 3", "B=b 3", "C=", "HOME=/root",
		`MN_ALLOCATION_JSON={"id":"abc","job":"train","group":"","index":3,"node":"",` +
			`"resources":{"cpu":0,"memory":0,"disk":0},"ports":[],"devices":[]}`,
		"MN_ALLOC_DIR=/data/allocs/abc/shared", "MN_ALLOC_ID=abc",
		"MN_ALLOC_INDEX=3", "MN_FENCE=2199023255559", "MN_JOB=train", "MN_NODE=n1", "MN_TASK=worker",
		"MN_TASK_DIR=/data/allocs/abc/tasks/worker/work", "PATH=/opt:",
	}
	if !slices.Equal(s.Env, want) {
		t.Errorf("got environment\n%s\nwant\n%s", strings.Join(s.Env, "\n"), strings.Join(want, "\n"))
	}
	command := []string{"./run", "--dir=/data/allocs/abc/tasks/worker/work", "$HOME", "${HOME}", "a b 3"}
	if !slices.Equal(s.Command, command) || s.Dir != "/data/allocs/abc/shared/in" {
		t.Errorf("got command %q in %q", s.Command, s.Dir)
	}
	for _, name := range mesh.OwnVariables {
		if !slices.ContainsFunc(s.Env, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
			t.Errorf("validation knows %s, and the task is not told it", name)
		}
	}
}

func TestVolumesAreToldByTheirPlaces(t *testing.T) {
	volumes := []mesh.Volume{{Name: "a.b-c", Source: "/x", Target: "/y"}, {Name: "d", Source: "/z"}}
	for isolation, want := range map[mesh.Isolation]string{"": "/x /z", mesh.IsolateSandbox: "/y /z"} {
		s, err := specOf(t, mesh.Task{
			Volumes: volumes, Isolation: isolation, Command: []string{"./run", "${MN_VOLUME_A_B_C} ${MN_VOLUME_D}"},
		})
		if err != nil || s.Command[1] != want || !slices.Equal(s.Volumes, volumes) {
			t.Errorf("isolation %q: got %q, %v, %v, want %q", isolation, s.Command, s.Volumes, err, want)
		}
	}
}

// The home of the agent's user is not another's, and is not in a sandbox.
func TestHomeIsTheAgentsUsersOnly(t *testing.T) {
	for _, tt := range []struct {
		task mesh.Task
		want bool
	}{
		{mesh.Task{}, true},
		{mesh.Task{Isolation: mesh.IsolateCgroup}, true},
		{mesh.Task{Isolation: mesh.IsolateSandbox}, false},
		{mesh.Task{User: "nobody"}, false},
	} {
		tt.task.Command = []string{"./run"}
		s, err := specOf(t, tt.task)
		if got := slices.Contains(s.Env, "HOME=/root"); got != tt.want || err != nil {
			t.Errorf("isolation %q, user %q: home is told: %v, %v", tt.task.Isolation, tt.task.User, got, err)
		}
		if s.Isolation != tt.task.Isolation {
			t.Errorf("the driver is told isolation %q, want %q", s.Isolation, tt.task.Isolation)
		}
	}
}

func TestEnvironmentOfAnArrayTellsTheIndex(t *testing.T) {
	s, err := specOf(t, mesh.Task{Array: "10-40:10,7", Command: []string{"./run", "${MN_ARRAY_INDEX} of ${MN_ARRAY_SIZE}"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "40 of 5"; s.Command[1] != want { // place 3
		t.Errorf("got %q, want %q", s.Command[1], want)
	}
	for _, v := range []string{"MN_ALLOC_INDEX=3", "MN_ARRAY_INDEX=40", "MN_ARRAY_SIZE=5"} {
		if !slices.Contains(s.Env, v) {
			t.Errorf("the environment lacks %s:\n%s", v, strings.Join(s.Env, "\n"))
		}
	}
}

func TestEnvironmentOfAGangTellsTheRank(t *testing.T) {
	job := &mesh.Job{Name: "train", Gang: true, Tasks: []mesh.Task{{
		Name: "worker", Command: []string{"./run", "${MN_RANK} of ${MN_WORLD_SIZE} at ${MN_MASTER_ADDR}"},
	}}}
	a := mesh.Alloc{ID: "abc", Gang: &mesh.Gang{Rank: 3, Size: 8, Master: "10.0.0.1"}}
	c := NewCopy(a, job.Groups()[0], job, Facts{})
	s, err := c.spec(c.tasks[0])
	if err != nil || s.Command[1] != "3 of 8 at 10.0.0.1" {
		t.Errorf("got %q, %v", s.Command, err)
	}
}

func TestEnvironmentRefusesWhatItCannotExpand(t *testing.T) {
	tests := []struct {
		name string
		task mesh.Task
		want string
	}{
		{
			"unknown",
			mesh.Task{Command: []string{"x", "${NOPE}"}},
			"command[1]: unknown variable ${NOPE}; the known ones are HOME,",
		},
		{"open brace", mesh.Task{Command: []string{"${HOME"}}, `command[0]: "${HOME" has no closing brace`},
		{"itself", mesh.Task{Env: map[string]string{"A": "${A}"}}, `env "A": ${A} refers to itself`},
		{
			"a circle",
			mesh.Task{Env: map[string]string{"A": "${B}", "B": "${A}"}},
			"refers to itself by way of",
		},
		{"too long", mesh.Task{Env: map[string]string{
			"A": strings.Repeat("${B}", 1000), "B": strings.Repeat("x", 1000),
		}}, `env "A": expands to more than 128 KiB`},
		{"dir", mesh.Task{Dir: "${X}"}, "dir: unknown variable"},
		{
			"the agent's user's home",
			mesh.Task{User: "nobody", Command: []string{"${HOME}"}},
			"unknown variable ${HOME}",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := specOf(t, tt.task)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A chain in which each variable doubles the one before would take 2^64 steps.
func TestExpansionOfDoublingReferencesEnds(t *testing.T) {
	env := map[string]string{"V64": ""}
	for i := range 64 {
		next := fmt.Sprintf("${V%d}", i+1)
		env[fmt.Sprintf("V%d", i)] = next + next
	}
	if _, err := specOf(t, mesh.Task{Env: env}); err != nil {
		t.Error(err)
	}
}

// However variables refer to each other, expansion ends, and what it yields is
// bounded.
func FuzzExpand(f *testing.F) {
	f.Add("${A}", "${B}${B}", "x${MN_JOB}")
	f.Add("$${", "${", "}")
	f.Add("${A", "$${B}", "${C}")
	f.Add("${service.a.b.tag.c.all}", "${env.B}${node.label.x}", "${alloc.port.p}${env.A}")
	f.Fuzz(func(t *testing.T, s, a, b string) {
		e := environment{
			refer: func(r mesh.Reference) (string, error) { return r.Of, nil },
			vars:  map[string]string{"A": a, "B": b, "P": "${A}"},
			plain: map[string]bool{"P": true},
			done:  map[string]string{},
		}
		got, err := e.expand(s, nil)
		if err == nil && len(got) > mesh.ValueMax {
			t.Errorf("expands to %d bytes", len(got))
		}
		if err == nil && !strings.Contains(s, "${") && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func TestARunIsToldWhatItComesFrom(t *testing.T) {
	job := &mesh.Job{
		Name: "report-x", Type: mesh.Batch,
		Tasks:      []mesh.Task{{Name: "worker", Command: []string{"./run", "${MN_META_SHARD_NO}:${MN_META_HOST}"}}},
		Parameters: &mesh.Parameters{MetaRequired: []string{"shard-no"}, MetaOptional: []string{"host"}},
		Origin: &mesh.Origin{
			Job: "report", Cause: mesh.CauseEvent, Due: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Event: "landed",
			Payload: []byte(`{"a":"${HOME}"}`), Meta: map[string]string{"shard-no": "7"},
		},
	}
	c := NewCopy(mesh.Alloc{ID: "abc", Job: "report-x"}, job.Groups()[0], job, Facts{Name: "n1", Root: "/data/allocs"})
	s, err := c.spec(c.tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"MN_RUN_OF=report", "MN_RUN_CAUSE=event", "MN_SCHEDULED_AT=2030-01-02T03:04:05Z", "MN_TRIGGER_EVENT=landed",
		`MN_PAYLOAD={"a":"${HOME}"}`, "MN_META_SHARD_NO=7", "MN_META_HOST=",
	} {
		if !slices.Contains(s.Env, want) {
			t.Errorf("the task is not told %s:\n%s", want, strings.Join(s.Env, "\n"))
		}
	}
	if s.Command[1] != "7:" {
		t.Errorf("its command is %q", s.Command)
	}
}
