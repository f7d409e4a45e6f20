package configs

import (
	"regexp"
	"slices"
	"testing"

	"mn/mesh"
)

func TestStartsAreGoodAlsoWithTheirSuggestions(t *testing.T) {
	suggestion := regexp.MustCompile(`(?m)^# (\[[a-z.]+\]|[a-z_]+ = .*)$`)
	for _, of := range []mesh.JobType{mesh.Service, mesh.Batch, mesh.System, mesh.SysBatch} {
		text, job, err := Start(of, "mine")
		if err != nil {
			t.Fatalf("%s: %v", of, err)
		}
		if job.Name != "mine" || job.Type != of {
			t.Errorf("%s: got the job %q of type %q", of, job.Name, job.Type)
		}
		if read, err := ParseJob("job.toml", text); err != nil || mesh.HashJob(read, false) != mesh.HashJob(job, false) {
			t.Errorf("%s: its file is another job, or none: %v", of, err)
		}
		if !suggestion.Match(text) {
			t.Errorf("%s suggests nothing", of)
		}
		if _, err := ParseJob("job.toml", suggestion.ReplaceAll(text, []byte("$1"))); err != nil {
			t.Errorf("%s, with what it suggests: %v", of, err)
		}
	}
	for of, name := range map[mesh.JobType]string{"": "a", "gang": "a", mesh.Batch: "a b"} {
		if _, _, err := Start(of, name); mesh.FaultOf(err).Kind != mesh.Invalid {
			t.Errorf("%q named %q: got %v, want invalid", of, name, err)
		}
	}
}

func TestExamplesTakeAnotherName(t *testing.T) {
	all, err := ListExamples()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.About == "" || e.Type == "" {
			t.Errorf("%s: got type %q, %q", e.Name, e.Type, e.About)
		}
		_, was, err := FromExample(e.Name, "")
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := FromExample(e.Name, "mine")
		if err != nil {
			t.Fatal(err)
		}
		is, err := ParseJob(e.Name, text)
		if err != nil {
			t.Fatal(err)
		}
		if changes := Diff(was, is); len(changes) != 1 || changes[0].String() != `name: "`+was.Name+`" -> "mine"` {
			t.Errorf("%s: got %v", e.Name, changes)
		}
	}
	i := slices.IndexFunc(all, func(e Example) bool { return e.Name == "hello" })
	if i < 0 || all[i] != (Example{"hello", mesh.Service, "A service of six copies, spread over the mesh"}) {
		t.Errorf("got %v", all)
	}
	if _, _, err := FromExample("helo", ""); mesh.FaultOf(err).Hints[0] != `did you mean "hello"?` {
		t.Errorf("got %v", err)
	}
}
