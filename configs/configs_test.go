package configs

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file, or rewrites the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\ngot:\n%s\nwant:\n%s", file, got, want)
	}
}

// Each wrong file gives exactly the message beside it.
func TestWrongFilesGiveGoodMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("got %d wrong files, want 20 at least", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var wrong error
			if name := filepath.Base(file); strings.HasPrefix(name, "agent-") {
				_, wrong = ParseDaemon("agent.toml", data)
			} else {
				_, wrong = ParseJob("job.toml", data)
			}
			if wrong == nil {
				t.Fatal("got no error")
			}
			if kind := mesh.FaultOf(wrong).Kind; kind != mesh.Invalid {
				t.Errorf("got a fault of kind %q, want %q", kind, mesh.Invalid)
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".txt", wrong.Error()+"\n")
		})
	}
}

func TestExamplesAreGood(t *testing.T) {
	names, err := fs.Glob(Examples, "examples/*.toml")
	if err != nil || len(names) == 0 {
		t.Fatalf("got %d examples, %v", len(names), err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(Examples, name)
		if err != nil {
			t.Fatal(err)
		}
		job, err := ParseJob(name, data)
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if len(job.Groups()) == 0 {
			t.Errorf("%s: got no group", name)
		}
	}
}

func TestReadJobTakesAFileOrAFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "job.toml")
	if _, err := ReadJob(dir, Variables{}); mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("of an empty folder: got %v, want a fault of kind not_found", err)
	}
	const text = "name = \"a\"\n[[task]]\nname = \"a\"\ncommand = [\"true\"]\n"
	for _, begin := range []string{"", "\ufeff"} {
		if err := os.WriteFile(file, []byte(begin+text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{dir, file} {
			if job, err := ReadJob(path, Variables{}); err != nil || job.Name != "a" {
				t.Errorf("ReadJob(%q) of a file that begins with %q: got %v, %v", path, begin, job, err)
			}
		}
	}
	if err := os.WriteFile(file, make([]byte, fileMax+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadJob(file, Variables{}); err == nil || !strings.Contains(err.Error(), "larger than 256 KiB") {
		t.Errorf("of a huge file: got %v", err)
	}
}

// Every setting of the example that has them all reaches the job.
func TestEverySettingIsRead(t *testing.T) {
	data, err := fs.ReadFile(Examples, "examples/patient.toml")
	if err != nil {
		t.Fatal(err)
	}
	job, err := ParseJob("patient.toml", data)
	if err != nil {
		t.Fatal(err)
	}
	unset := map[string]bool{ // cannot stand beside others, or need a user
		"Job.IncludeLate": true, "Job.Preemptible": true, "Job.Payload": true, "Job.Recovery.Lease": true, "Job.Recovery.StopAfter": true, "Job.Recovery.Reconcile": true,
		"Job.Restart.Enabled": true, "Job.Reschedule.MaxDelay": true,
		"Job.Reschedule.Unlimited": true, "Job.Reschedule.Enabled": true, "Job.Tasks[0].User": true,
		"Job.Tasks[0].Array": true, "Job.Gang": true, "Job.Limit": true,
		"Job.Schedule": true, "Job.Triggers": true, "Job.Parameters": true, "Job.Origin": true, // of work that has an end
		"Job.After": true, "Job.AfterRule": true, "Job.AfterQuorum": true,
		"Job.Tasks[0].After": true, "Job.Tasks[0].AfterRule": true, "Job.Tasks[0].AfterQuorum": true,
		"Job.Tasks[0].Checkpoint": true, // of a prestart task
		// A prestart task has none, and one of the job runs nothing.
		"Job.Tasks[0].Services": true, "Job.Tasks[1].Services[0].Address": true,
		"Job.Tasks[1].Services[0].Checks[0].Service": true, "Job.Tasks[1].Services[0].Checks[0].Command": true,
		// A file, and a repository.
		"Job.Tasks[0].Artifacts[0].Commit": true, "Job.Tasks[0].Artifacts[1].Checksum": true,
		"Job.Tasks[0].Artifacts[1].Destination": true, "Job.Tasks[0].Artifacts[1].Unpack": true,
		"Job.Tasks[0].Artifacts[1].Executable": true, "Job.Tasks[0].Artifacts[1].MaxSize": true,
		"Job.Tasks[0].Artifacts[1].Timeout": true,
		"Job.Tasks[0].Container":            true, // of a process
		"Job.Tasks[0].Templates[0].Source":  true, // which was read
		// One of the two.
		"Job.Tasks[0].Devices[0].Memory": true,
		"Job.Constraints[0].Value":       true, "Job.Constraints[1].Values": true, "Job.Affinities[0].Values": true,
		"Job.Affinities[1].Value": true, "Job.Tasks[0].Constraints[0].Values": true,
		"Job.Tasks[0].Constraints[1].Value": true, "Job.Tasks[0].Affinities[0].Values": true,
		"Job.Tasks[0].Affinities[1].Value": true,
	}
	eachField("Job", reflect.ValueOf(*job), func(path string, v reflect.Value) {
		other := strings.HasPrefix(path, "Job.Tasks[1].") && !strings.HasPrefix(path, "Job.Tasks[1].Services[0]") ||
			strings.HasPrefix(path, "Job.Tasks[1].Services[0].Checks[1]") ||
			strings.HasPrefix(path, "Job.Tasks[1].Services[0].Checks[2]") || strings.HasPrefix(path, "Job.Services[0].")
		if strings.HasPrefix(path, "Job.Tasks[0].Restart.") || other {
			return
		}
		if v.IsZero() != unset[path] {
			t.Errorf("%s: got unset %v, want %v", path, v.IsZero(), unset[path])
		}
	})
}

// Every setting of what makes runs reaches the job.
func TestEverySettingOfAScheduleIsRead(t *testing.T) {
	const text = `
name = "nightly"

[variables]
root = "/data"

[schedule]
cron = ["0 2 * * *"]
timezone = "Europe/Berlin"
at = 2026-12-24T18:00:00.5+01:00
in = "10m"
overlap = "queue"
missed = "catchup_all"
catchup_limit = 3
missed_grace = "5m"
window = "2h"
window_end = "none"
keep = 5

[[trigger]]
event = "file_appeared"
path = "/srv/*.csv"

[trigger.filter]
source = "gpu1"
size = [1, 2.5, true, "x"]
path = { prefix = "${var.root}/", contains = "eval" }
"payload.kind" = { is = "a" }

[parameterized]
payload = "required"
meta_required = ["owner"]
meta_optional = ["ticket"]

[[task]]
name = "eval"
command = ["true"]
`
	job, err := ParseJob("job.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []any{*job.Schedule, job.Triggers[0], *job.Parameters} {
		eachField(reflect.TypeOf(of).Name(), reflect.ValueOf(of), func(path string, v reflect.Value) {
			if v.IsZero() {
				t.Errorf("%s is unset", path)
			}
		})
	}
	want := map[string]mesh.Condition{
		"source": {Is: []mesh.Value{"gpu1"}}, "size": {Is: []mesh.Value{"1", "2.5", "true", "x"}},
		"path": {Prefix: "/data/", Contains: "eval"}, "payload.kind": {Is: []mesh.Value{"a"}},
	}
	if got := job.Triggers[0].Filter; !reflect.DeepEqual(got, want) {
		t.Errorf("got the filter %v, want %v", got, want)
	}
	if got := job.Schedule.At.UTC().Format(time.RFC3339Nano); got != "2026-12-24T17:00:00.5Z" {
		t.Errorf("got at = %s", got)
	}
	again, err := ParseJob("job.toml", WriteJob(job))
	if err != nil {
		t.Fatal(err)
	}
	if mesh.HashJob(job, false) != mesh.HashJob(again, false) || len(Diff(job, again)) > 0 {
		t.Errorf("as mn writes it, it is another job:\n%s", WriteJob(job))
	}
	if err := conforms(t)([]byte(text)); err != nil {
		t.Error(err)
	}
}

// Every setting of a container reaches the job.
func TestEverySettingOfAContainerIsRead(t *testing.T) {
	data, err := fs.ReadFile(Examples, "examples/container.toml")
	if err != nil {
		t.Fatal(err)
	}
	job, err := ParseJob("container.toml", data)
	if err != nil {
		t.Fatal(err)
	}
	eachField("Container", reflect.ValueOf(*job.Tasks[0].Container), func(path string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s is unset", path)
		}
	})
}

func eachField(path string, v reflect.Value, visit func(string, reflect.Value)) {
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
		for i := range v.NumField() {
			eachField(path+"."+v.Type().Field(i).Name, v.Field(i), visit)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			eachField(element(path, i), v.Index(i), visit)
		}
	default:
		visit(path, v)
	}
}

// A setting that is not in the documents does not exist for those who write
// files.
func TestEverySettingIsDocumented(t *testing.T) {
	for file, v := range map[string]any{"jobs.md": mesh.Job{}, "cli.md": Daemon{}} {
		text, err := os.ReadFile(filepath.Join("..", "docs", file))
		if err != nil {
			t.Fatal(err)
		}
		eachKey(reflect.TypeOf(v), func(key string) {
			if !regexp.MustCompile("[`.\\[ ]" + key + "[`\\] ]").Match(text) {
				t.Errorf("docs/%s does not have %q", file, key)
			}
		})
	}
}

func eachKey(t reflect.Type, visit func(key string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("toml"); key != "" {
			visit(key)
		}
		eachKey(t.Field(i).Type, visit)
	}
}

func TestAChangeMendsAFile(t *testing.T) {
	const text = `name = "a"
[schedule]
overlap = "queue"
[[task]]
name = "a"
command = ["echo", "${MN_PAYLOAD}"]
%s`
	daily := func(j *mesh.Job) error {
		j.Schedule.Crons = []string{"@daily"}
		return nil
	}
	path := file(t, "job.toml", fmt.Sprintf(text, ""))
	if _, err := ReadJob(path, Variables{}); err == nil || !strings.Contains(err.Error(), ":2:2: schedule: says no time") {
		t.Errorf("without a change: %v", err)
	}
	if job, err := ReadChanged(path, Variables{}, daily); err != nil || job.Schedule.Crons[0] != "@daily" {
		t.Errorf("with a time: got %+v, %v", job, err)
	}
	refused := errors.New("refused")
	refuse := func(*mesh.Job) error { return refused }
	if _, err := ReadChanged(path, Variables{}, refuse); !errors.Is(err, refused) {
		t.Errorf("a change that is refused: got %v", err)
	}
	path = file(t, "job.toml", fmt.Sprintf(text, `env.X = "${NOPE}"`))
	want := path + ":7:9: task \"a\": env.X: unknown variable ${NOPE}"
	_, err := ReadChanged(path, Variables{}, daily)
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("what it does not mend: got %v, want %s", err, want)
	}
	path = file(t, "job.toml", "name = \"a\"\n[schedule]\ncron = 5\n")
	_, err = ReadChanged(path, Variables{}, refuse)
	if err == nil || !strings.Contains(err.Error(), `:3:8: schedule.cron: want a list of texts, such as`) {
		t.Errorf("what cannot be read: got %v", err)
	}
}

func TestOneExpressionNeedsNoList(t *testing.T) {
	const text = "name = \"a\"\n[variables]\nhour = 4\n[schedule]\n%s\n[[task]]\nname = \"a\"\ncommand = [\"true\"]\n"
	for _, tt := range []struct{ line, want, fault string }{
		{`cron = "@daily"`, "@daily", ""},
		{`cron = "0 ${var.hour} * * *"`, "0 4 * * *", ""},
		{`cron = ["@daily"]`, "@daily", ""},
		{`cron = "0 25 * * *"`, "", `:5:8: schedule.cron[0]: "0 25 * * *": hour "25": 25 is not from 0 to 23`},
		{`cron = 5`, "", `:5:8: schedule.cron: want a list of texts, such as ["sh", "-c", "date"], not 5`},
		{`at = 2026-12-24T18:00:00`, "", `:5:6: schedule.at: want a time with its zone, such as "2026-12-24T18:00:00+01:00"` +
			`, not a date`},
	} {
		path := file(t, "job.toml", fmt.Sprintf(text, tt.line))
		job, err := ReadJob(path, Variables{})
		switch {
		case tt.fault != "" && (err == nil || err.Error() != path+tt.fault):
			t.Errorf("%s: got %v, want %s", tt.line, err, tt.fault)
		case tt.fault == "" && (err != nil || !slices.Equal(job.Schedule.Crons, []string{tt.want})):
			t.Errorf("%s: got %+v, %v", tt.line, job, err)
		}
	}
}
