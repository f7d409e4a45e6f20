package api

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// leaving is a world in which both copies of a seat, and another, have left something.
func leaving() *fake {
	f := newFake()
	keep := func(i int, k mesh.Kept) {
		k.At = monday.Add(time.Duration(i) * time.Minute)
		f.snap.View.Allocs[i].Status.Tasks[0].Outputs = &k
	}
	keep(0, mesh.Kept{Fault: "more than 10000 files"})
	keep(1, mesh.Kept{Tree: "t1", Bytes: 3, Files: 1, Nodes: []mesh.NodeID{"aaaa1111", "bbbb2222"}})
	keep(2, mesh.Kept{Tree: "old", Nodes: []mesh.NodeID{"bbbb2222"}})
	keep(3, mesh.Kept{Tree: "t3", Bytes: 3, Files: 1, Nodes: []mesh.NodeID{"bbbb2222"}})
	return f
}

// TestResultsAreThoseOfTheLatestCopies, each once, with who has them, or why there are none.
func TestResultsAreThoseOfTheLatestCopies(t *testing.T) {
	f := leaving()
	_, c := serving(t, f, Socket)
	f.snap.View.Allocs[2].Index = 1 // the same seat as the one after it
	all, err := c.Results(t.Context(), ResultsRequest{Job: "web"})
	if err != nil || len(all) != 2 || all[0].Tree != "t1" || all[1].Tree != "t3" {
		t.Fatalf("got %+v, %v", all, err)
	}
	if r := all[0]; strings.Join(r.Kept, " ") != "n1 n2" || len(r.Files) != 1 || r.Files[0].Path != "out/a.csv" {
		t.Errorf("got %+v", r)
	}
	all, err = c.Results(t.Context(), ResultsRequest{Job: "sum"})
	if err != nil || len(all) != 1 || all[0].Fault != "more than 10000 files" || all[0].Files == nil {
		t.Errorf("got %+v, %v", all, err)
	}
	many := f.snap.View.Allocs[1].Status.Tasks[0].Outputs
	many.Files = listFilesMax + 1
	all, err = c.Results(t.Context(), ResultsRequest{Job: "web"})
	if err != nil || len(all) != 2 || len(all[0].Files) > 0 || all[0].Fault == "" || all[0].Count != many.Files {
		t.Errorf("of too many: got %+v, %v", all, err)
	}
	asked := len(f.asked)
	if all, err := c.Results(t.Context(), ResultsRequest{Job: "web", Names: true}); err != nil || len(f.asked) != asked {
		t.Errorf("without files: got %+v, %v, and the backend was asked", all, err)
	}
	if _, err := c.Results(t.Context(), ResultsRequest{Job: "none"}); mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("of no job: got %v", err)
	}
}

// TestResultIsSentOnlyOfItsJob: whoever knows the name of some content gets none but outputs.
func TestResultIsSentOnlyOfItsJob(t *testing.T) {
	f := leaving()
	_, c := serving(t, f, Socket)
	got := ""
	read := func(r io.Reader) error {
		b, err := io.ReadAll(r)
		got = string(b)
		return err
	}
	if err := c.Result(t.Context(), "web", "t1", read); err != nil || got != "objects of t1" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, of := range [][2]string{{"web", "other"}, {"sum", "t1"}, {"none", "t1"}, {"sum", ""}} {
		if err := c.Result(t.Context(), mesh.JobID(of[0]), of[1], read); err == nil {
			t.Errorf("%v: it is sent", of)
		}
	}
	f.fault = errors.New("gone")
	if err := c.Result(t.Context(), "web", "t1", read); err == nil {
		t.Error("a failure is no failure")
	}
}
