package configs

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mn/mesh"
)

// TestWhatIsWrittenReadsTheSame writes each example and reads it again.
func TestWhatIsWrittenReadsTheSame(t *testing.T) {
	files, err := Examples.ReadDir("examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := Examples.ReadFile("examples/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		job, err := ParseJob(f.Name(), data)
		if err != nil {
			t.Fatal(err)
		}
		again(t, job)
	}
}

// again demands that a job is the same when it was written and read.
func again(t interface{ Fatalf(string, ...any) }, job *mesh.Job) {
	text := WriteJob(job)
	got, err := ParseJob("job.toml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(got, job) {
		t.Fatalf("got\n%+v\nwant\n%+v\nfrom\n%s", got, job, text)
	}
}

func TestAnyTextIsWrittenAndReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 1, 30, -1)
		key := rapid.StringMatching(`[a-z][a-z._-]{0,8}`)
		arg := text.Draw(t, "argument")
		job := &mesh.Job{
			Name: "a", Meta: map[string]string{key.Draw(t, "key"): text.Draw(t, "value")},
			Tasks: []mesh.Task{{
				Name: "a", Command: []string{"echo", strings.ReplaceAll(arg, "${", "")},
				Resources: mesh.Resources{
					CPU:    mesh.Cores(rapid.IntRange(0, 9999).Draw(t, "cpu")),
					Memory: mesh.Bytes(rapid.Int64Range(4<<20, 1<<40).Draw(t, "memory")),
					Disk:   mesh.Bytes(rapid.IntRange(0, 9999).Draw(t, "disk")) * mesh.MiB,
				},
			}},
		}
		again(t, job)
	})
}

func TestWhatAJobIsWrittenLike(t *testing.T) {
	no, none := false, mesh.Duration(0)
	job := &mesh.Job{
		Name: "a", Type: mesh.Service, Recovery: mesh.Recovery{LostAfter: &none},
		Reschedule: &mesh.ReschedulePolicy{Enabled: &no}, Meta: map[string]string{"an owner": "\"me\"\n"},
		Tasks: []mesh.Task{
			{Name: "a", Command: []string{"sh", "-c", "a\tb"}, Resources: mesh.Resources{CPU: 250, Memory: 5e8}},
			{Name: "b", Command: []string{"b"}, Restart: &mesh.RestartPolicy{}},
		},
	}
	want := `name = "a"
type = "service"

[meta]
"an owner" = "\"me\"\n"

[recovery]
lost_after = "0s"

[reschedule]
enabled = false

[[task]]
name = "a"
command = ["sh", "-c", "a\tb"]

[task.resources]
cpu = 0.25
memory = "500MB"

[[task]]
name = "b"
command = ["b"]

[task.restart]
`
	if got := string(WriteJob(job)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDiff(t *testing.T) {
	parse := func(text string) *mesh.Job {
		job, err := ParseJob("job.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return job
	}
	before := parse(`
name = "lab"
[restart]
attempts = 3
[[task]]
name = "web"
count = 2
command = ["web"]
env = { A = "1", B = "2" }
[[task]]
name = "old"
command = ["old"]
`)
	after := parse(`
name = "lab"
type = "batch"
priority = 60
[[task]]
name = "db"
command = ["db"]
[[task]]
name = "web"
count = 3
command = ["web", "-v"]
env = { A = "1", B = "3" }
[task.resources]
memory = "1GiB"
`)
	var got []string
	for _, c := range Diff(before, after) {
		got = append(got, c.String())
	}
	want := `priority: 50 -> 60
restart.attempts: 3 -> unset
task "db": added
task "db": group: unset -> "db"
task "db": count: unset -> 1
task "db": driver: unset -> "exec"
task "db": command: unset -> ["db"]
task "db": kill_grace: unset -> "5s"
task "web": count: 2 -> 3
task "web": command: ["web"] -> ["web", "-v"]
task "web": env.B: "2" -> "3"
task "web": resources.memory: unset -> "1GiB"
task "old": removed
task "old": group: "old" -> unset
task "old": count: 1 -> unset
task "old": driver: "exec" -> unset
task "old": command: ["old"] -> unset
task "old": kill_grace: "5s" -> unset`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if changes := Diff(after, after); len(changes) > 0 {
		t.Errorf("a job differs from itself: %v", changes)
	}
}
