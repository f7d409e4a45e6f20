package api

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"mn/mesh"
)

// Result is what is kept of the outputs of one task of a copy.
type Result struct {
	Alloc  mesh.AllocID `json:"id"`
	Job    mesh.JobID   `json:"job"`
	Task   string       `json:"task"`
	Index  int          `json:"index"`
	Node   string       `json:"node"` // where it ran
	NodeID mesh.NodeID  `json:"node_id"`
	Each   bool         `json:"each"` // of a job that runs on every node: there is one of each
	At     *time.Time   `json:"at"`
	Tree   string       `json:"tree"` // names all of it
	Bytes  mesh.Bytes   `json:"bytes"`
	Count  int          `json:"count"` // of files
	Kept   []string     `json:"kept"`  // on the disks of these nodes
	Fault  string       `json:"fault"` // why nothing was kept, or its files cannot be listed now
	Files  []File       `json:"files"` // by path
}

// File is a file that is kept.
type File struct {
	Path string     `json:"path"`
	Size mesh.Bytes `json:"size"`
	// Hash is the SHA-256 of its bytes; of a file of more than 1 MiB, of the SHA-256 of each
	// MiB of it, one after the other.
	Hash string `json:"sha256"`
}

// ResultsRequest asks what is kept of a job's outputs.
type ResultsRequest struct {
	Job   mesh.JobID `json:"job"`
	Names bool       `json:"names,omitempty"` // without the files
}

// results are the outputs of the current copies of a job, of which of each seat the latest
// that has some.
func (p picture) results(id mesh.JobID) ([]Result, []*mesh.Kept, error) {
	if p.View.Job(id) == nil {
		return nil, nil, p.noJob(id)
	}
	type seat struct {
		mesh.Seat
		task string
	}
	type found struct {
		*mesh.AllocView
		*mesh.TaskStatus
	}
	latest := map[seat]found{}
	allocs := p.View.AllocsOf(id)
	for i := range allocs {
		a := &allocs[i]
		if a.Status == nil {
			continue
		}
		for i := range a.Status.Tasks {
			t := &a.Status.Tasks[i]
			if !mesh.ValidName(t.Name) {
				continue // no task of a job is called so
			}
			at := seat{a.Seat(), t.Name}
			if before, ok := latest[at]; t.Outputs != nil && (!ok || t.Outputs.At.After(before.Outputs.At)) {
				latest[at] = found{a, t}
			}
		}
	}
	var all []found
	for _, f := range latest {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Seat().Compare(b.Seat()))
	})
	rows, kept := []Result{}, []*mesh.Kept{}
	for _, f := range all {
		k := f.Outputs
		r := Result{
			Alloc: f.ID, Job: id, Task: f.Name, Index: f.Index, Node: p.nodeName(f.Node), NodeID: f.Node,
			Each: f.Target != "", At: known(k.At), Tree: k.Tree, Bytes: mesh.Bytes(k.Bytes), Count: k.Files,
			Fault: k.Fault, Files: []File{},
		}
		r.Kept = p.left(k).Nodes
		rows, kept = append(rows, r), append(kept, k)
	}
	return rows, kept, nil
}

// Bounds of listing outputs: for all copies of a job together.
const (
	listTime     = 30 * time.Second
	listFilesMax = 20_000
)

// results lists what is kept of a job's outputs. What nobody in sight has is listed without
// its files, and so is what is too much to be listed at once.
func results(ctx context.Context, b Backend, r ResultsRequest) ([]Result, error) {
	snap, err := b.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	rows, kept, err := picture{snap}.results(r.Job)
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	room := listFilesMax
	for i := range rows {
		if r.Names || kept[i].Tree == "" {
			continue
		}
		var files []File
		var err error
		if kept[i].Files <= room {
			files, err = b.KeptFiles(ctx, kept[i])
		}
		if max(kept[i].Files, len(files)) > room {
			rows[i].Fault = fmt.Sprintf("no more than %d files are listed at once", listFilesMax)
			continue
		}
		room -= len(files)
		if err != nil {
			rows[i].Fault = mesh.FaultOf(err).Text
			continue
		}
		rows[i].Files = files
	}
	return rows, err
}

// pathResult gives the objects of what is kept, in the form that package content writes.
const pathResult = "/v1/jobs/{job}/results/{tree}"

func (s *Server) routeResults(b Backend) {
	serve(s, callResults, func(ctx context.Context, r ResultsRequest) ([]Result, error) { return results(ctx, b, r) })
	s.table = append(s.table, Endpoint{Method: "GET", Path: pathResult, Doc: "get the outputs of a task"})
	s.mux.HandleFunc("GET "+pathResult, func(w http.ResponseWriter, r *http.Request) {
		snap, err := b.Snapshot(r.Context())
		var kept []*mesh.Kept
		if err == nil {
			_, kept, err = picture{snap}.results(mesh.JobID(r.PathValue("job")))
		}
		if err != nil {
			fail(w, err)
			return
		}
		tree := r.PathValue("tree")
		i := slices.IndexFunc(kept, func(k *mesh.Kept) bool { return k.Tree == tree && tree != "" })
		if i < 0 {
			fail(w, mesh.Faultf(mesh.NotFound, "job %q has no such outputs", r.PathValue("job")).
				Hint("mn result ls %s", r.PathValue("job")))
			return
		}
		out := &begun{ResponseWriter: w}
		if err := b.Send(r.Context(), kept[i], out); err != nil && !out.begun {
			fail(w, err)
		} else if err != nil {
			panic(http.ErrAbortHandler) // so that the reader sees that it is not all
		}
	})
}

// begun is a reply of which one knows whether it has begun.
type begun struct {
	http.ResponseWriter
	begun bool
}

func (w *begun) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.Header().Set("Content-Type", contentType)
	}
	return w.ResponseWriter.Write(p)
}

// Results lists what is kept of a job's outputs.
func (c *Client) Results(ctx context.Context, r ResultsRequest) ([]Result, error) {
	return do(ctx, c, callResults, r)
}

// Result reads the objects of outputs, as package content writes them.
func (c *Client) Result(ctx context.Context, job mesh.JobID, tree string, read func(io.Reader) error) error {
	path := "http://localhost/v1/jobs/" + url.PathEscape(string(job)) + "/results/" + url.PathEscape(tree)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	resp, err := c.perform(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return read(resp.Body)
}
