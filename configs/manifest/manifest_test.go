package manifest

import (
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
