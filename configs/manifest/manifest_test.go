package manifest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mn/configs"
	"mn/mesh"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each manifest gives exactly the job file beside it, which can be run.
func TestManifestsBecomeJobs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %v, %v, want two manifests at least", files, err)
	}
	for _, file := range files {
		text, _, _, err := File(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := configs.ParseJob(file, text); err != nil {
			t.Errorf("cannot be run: %v", err)
		}
		golden := strings.TrimSuffix(file, ".json") + ".toml"
		if *update {
			if err := os.WriteFile(golden, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", golden, text, want)
		}
	}
}

// When a job is due is said by its schedule, of each kind.
func TestSchedulesAreTakenOver(t *testing.T) {
	const job = `{"graph_id": "a", "nodes": [{"node_id": "n", "config": {"command": "true"}}], "schedule": `
	for _, tt := range []struct{ name, schedule, want, note string }{
		{
			"periodic", `{"kind": "periodic", "crons": ["0 2 * * *", "@hourly"], "timezone": "Europe/Berlin",
			"missed_policy": "catchup_all", "catchup_limit": 3, "missed_grace_ms": 120000,
			"window": {"duration_ms": 7200000, "end_action": "none"}}`,
			`{"cron":["0 2 * * *","@hourly"],"timezone":"Europe/Berlin","missed":"catchup_all","catchup_limit":3,` +
				`"missed_grace":"2m","window":"2h","window_end":"none"} null null`,
			"schedule.timezone: is gone by, where MirrorNeuron goes by UTC",
		},
		{
			"one cron", `{"cron": "0 2 * * *", "time_zone": "UTC", "prohibit_overlap": false, "missed_policy": "skip"}`,
			`{"cron":["0 2 * * *"],"overlap":"allow"} null null`, "",
		},
		{"paused", `{"cron": "@daily", "enabled": false}`, `{"cron":["@daily"]} null null`, "schedule.enabled: is false"},
		{"at", `{"run_at": "2030-12-24T18:00:00Z"}`, `{"at":"2030-12-24T18:00:00Z"} null null`, ""},
		{"no time", `{"run_at": "noon", "delay_ms": 1000}`, `{"in":"1s"} null null`, "schedule.run_at: is no time"},
		{"delay", `{"kind": "delayed", "delay_ms": 60000}`, `{"in":"1m"} null null`, ""},
		{
			"event", `{"kind": "event", "trigger": {"event_type": "up", "filters": {"path": {"prefix": "/d"}, "n": [1, 2],
			"x": null}, "payload": "required", "meta_required": ["who"]}}`,
			`{"overlap":"forbid"} [{"event":"up","filter":{"n":["1","2"],"path":{"prefix":"/d"}}}] ` +
				`{"payload":"required","meta_required":["who"]}`,
			"schedule.trigger.filters.x: want a value",
		},
		{
			"event in the schedule", `{"event_type": "up", "prohibit_overlap": false}`,
			`{"overlap":"allow"} [{"event":"up"}] null`, "",
		},
		{
			"unknown", `{"cron": "@daily", "metadata": {"a": 1}, "lunar": true}`, `{"cron":["@daily"]} null null`,
			"schedule.lunar: has no counterpart",
		},
	} {
		got, notes, err := Read("m.json", []byte(job+tt.schedule+"}"))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var text []string
		for _, part := range []any{got.Schedule, got.Triggers, got.Parameters} {
			b, err := json.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, string(b))
		}
		if is := strings.Join(text, " "); is != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, is, tt.want)
		}
		if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.note) || tt.note == "" && all != "" {
			t.Errorf("%s: got the notes %q, want %q", tt.name, all, tt.note)
		}
		if f := got.Check(); f != nil {
			t.Errorf("%s: %v", tt.name, f)
		}
	}
}

func TestFolderHasItsManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, manifestFile), []byte(runs("batch", `"true"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, job, notes, err := File(dir); err != nil || job.Name != "a" || len(notes) != 0 {
		t.Errorf("got %v, %v, %v", job, notes, err)
	}
}

// runs is a manifest with one command.
func runs(of, command string) string {
	return `{"graph_id": "a", "type": "` + of + `", "nodes": [{"node_id": "n", "config": {"command": ` + command + `}}]}`
}

func TestWhatIsNoManifestIsRefused(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{"", "m.json:1:1: EOF"},
		{"{\n  \"nodes\": [,", "m.json:2:13: invalid character ',' looking for beginning of value"},
		{"{\n\"nodes\": [", "m.json:2:11: unexpected EOF"},
		{"[]", "m.json:1:1: want an object, in braces, not array"},
		{"{}", "m.json: is no manifest: it has no nodes"},
		{`{"nodes": {}}`, "m.json: is no manifest: it has no nodes"},
		{`{"nodes": [{"node_id": "a"}]}`, "m.json: none of its nodes has a command"},
		{runs("batch", `"a"`) + "{}", "m.json:1:93: there is more after the manifest"},
		{`{"nodes": [` + strings.Repeat("{},", taskMax) + `{}]}`, "m.json: 1001 nodes, of at most 1000"},
	} {
		_, _, err := Read("m.json", []byte(tt.data))
		if err == nil || err.Error() != tt.want || mesh.FaultOf(err).Kind != mesh.Invalid {
			t.Errorf("%.40s: got %v, want %s", tt.data, err, tt.want)
		}
	}
}

// Messages went round in circles, and past tasks: what comes after what is between tasks.
func TestEdgesBecomeAfter(t *testing.T) {
	job, _, err := Read("m.json", []byte(`{"graph_id": "a", "nodes": [
		{"node_id": "a", "config": {"command": ["a"]}},
		{"node_id": "r"}, {"node_id": "s"},
		{"node_id": "b", "config": {"command": ["b"]}},
		{"node_id": "c", "config": {"command": ["c"], "trigger_rule": "one_done"}}],
	"edges": [{"from_node": "a", "to_node": "r"}, {"from_node": "r", "to_node": "s"}, {"from_node": "s", "to_node": "r"},
		{"from_node": "s", "to_node": "b"}, {"from_node": "s", "to_node": "c"}, {"from_node": "b", "to_node": "c"},
		{"from_node": "a", "to_node": "nobody"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{nil, {"a"}, {"a", "b"}} {
		if got := job.Tasks[i].After; !slices.Equal(got, want) {
			t.Errorf("task %s: got after %v, want %v", job.Tasks[i].Name, got, want)
		}
	}
	if rule := job.Tasks[2].AfterRule; rule != mesh.OneDone {
		t.Errorf("got the rule %q", rule)
	}
}

// Whatever a manifest holds, it is refused, or becomes a file that is TOML: what is told of
// it is about the job.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(runs("x\\ny", `["\u0000"]`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "m.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		text, job, notes, err := File(path)
		if err != nil {
			return
		}
		if len(notes) > notesMax+1 {
			t.Errorf("%d notes", len(notes))
		}
		read, err := configs.ParseJob("job.toml", text)
		switch {
		case err != nil && len(job.Validate()) == 0:
			t.Fatalf("%v\n%s", err, text)
		case err == nil && mesh.HashJob(read, false) != mesh.HashJob(job, false):
			t.Fatalf("it is another job when it is read:\n%s", text)
		}
	})
}
