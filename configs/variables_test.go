package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mn/mesh"
)

const modelled = `name = "train-${var.model}"
max_running = "${var.running}"
gang = "${var.gang}"

[variables]
running = 2
gang = false
memory = "64MiB"
half = 0.5

[[task]]
name = "worker"
count = "${var.running}"
command = ["train", "--${var.model}=${var.model}", "$${var.model}", "${MN_NODE}"]

[task.resources]
cpu = "${var.half}"
memory = "${var.memory}"
`

// file writes a file of a test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVariablesStandForValues(t *testing.T) {
	job, err := ReadJob(file(t, "job.toml", modelled), Variables{
		Files: []string{
			file(t, "lab.toml", "running = 3\nmemory = \"1GiB\"\nof-other-jobs = true\n"),
			file(t, "mine.toml", "running = 4\n"),
		},
		Given: []string{"model=small", "memory=2GiB"},
	})
	if err != nil {
		t.Fatal(err)
	}
	task := job.Tasks[0]
	for _, tt := range []struct{ what, got, want string }{
		{"name", job.Name, "train-small"},
		{"command", strings.Join(task.Command, " "), "train --small=small $${var.model} ${MN_NODE}"},
		{"memory", task.Resources.Memory.String(), "2 GiB"},
		{"cpu", task.Resources.CPU.String(), "0.5"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.what, tt.got, tt.want)
		}
	}
	if job.MaxRunning != 4 || task.Count != 4 || job.Gang {
		t.Errorf("got %d at once, %d copies, gang %v, want 4, 4, false", job.MaxRunning, task.Count, job.Gang)
	}
}

func TestWrongVariablesGiveGoodMessages(t *testing.T) {
	path := file(t, "job.toml", modelled)
	shared := file(t, "vars.toml", "model = [1]\n\"a b\" = 1\n")
	for _, tt := range []struct {
		name string
		with Variables
		want []string
	}{
		{"missing", Variables{}, []string{
			path + ":1:8: name: ${var.model} has no value; give it with --var model=VALUE, or in [variables]",
			path + `:14:21: task "worker": command[1]: ${var.model} has no value; ` +
				"give it with --var model=VALUE, or in [variables]",
		}},
		{"misspelled", Variables{Given: []string{"modl=a"}}, []string{path + ` has no variable "modl"`}},
		{"no pair", Variables{Given: []string{"model"}}, []string{`"model" is no variable`}},
		{"no name", Variables{Given: []string{"=a"}}, []string{`"=a" is no variable`}},
		{"no number", Variables{Given: []string{"model=a", "running=two"}}, []string{
			path + `:2:15: max_running: want a whole number, not the text "two"`,
			path + `:13:9: task "worker": count: want a whole number, not the text "two"`,
		}},
		{"no truth", Variables{Given: []string{"model=a", "gang=1"}}, []string{
			path + `:3:8: gang: want true or false, not the text "1"`,
		}},
		{"no size", Variables{Given: []string{"model=a", "memory=much"}}, []string{
			path + `:18:10: task "worker": resources.memory: size "much": want a number with a unit, such as "512MiB" or "8GB"`,
		}},
		{"wrong file", Variables{Files: []string{shared}}, []string{
			shared + ":1:1: model: want text, a number, true or false, not a list",
			shared + `:2:1: the name "a b" of a variable has more than letters, digits, - and _`,
		}},
		{"no file", Variables{Files: []string{"none.toml"}}, []string{`no variable file "none.toml"`}},
		{"too long", Variables{Given: []string{"model=" + strings.Repeat("x", mesh.ValueMax)}}, []string{
			path + ":1:8: name: with its variables it is longer than 128 KiB",
			path + `:14:21: task "worker": command[1]: with its variables it is longer than 128 KiB`,
		}},
	} {
		_, err := ReadJob(path, tt.with)
		if err == nil {
			t.Errorf("%s: got no error", tt.name)
			continue
		}
		if got := strings.Split(err.Error(), "\n"); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: got\n%v\nwant\n%s", tt.name, err, strings.Join(tt.want, "\n"))
		}
	}
}

// A file of variables has no others, and text that only looks like a reference stays.
func TestWhatIsNoReferenceStays(t *testing.T) {
	const text = small + `env = { A = "$${var.x} ${var.y", B = "${var.z}$${var.z}" }
[variables]
z = "$"
`
	job, err := ParseJob("job.toml", []byte(text))
	if err == nil {
		t.Fatalf("an open brace was taken: %v", job.Tasks[0].Env)
	}
	if want := `"${var.y" has no closing brace`; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSchemaTakesVariables(t *testing.T) {
	check := conforms(t)
	if err := check([]byte(modelled)); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{`gang = "var.gang"`, `max_running = "2"`, "variables = { a = [1] }", `variables = { "a b" = 1 }`} {
		if check([]byte(wrong+"\n"+small)) == nil {
			t.Errorf("the schema takes %s", wrong)
		}
	}
}
