package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"mn/mesh"
)

// Bounds of a request about content.
const (
	lacksMax    = 8192        // names
	contentMax  = 40 << 20    // bytes of objects
	contentWait = time.Minute // for them
)

// contentType is that of objects, one after the other.
const contentType = "application/vnd.mn.objects"

// LacksRequest asks which of some objects a node does not have.
type LacksRequest struct {
	Objects []string `json:"objects"` // at most 8192 names
}

// Kept says how much content has come.
type Kept struct {
	Bytes int64 `json:"bytes"`
}

// pathContent takes objects, in the form that package content writes.
const pathContent = "/v1/content"

func (s *Server) routeContent(b Backend) {
	serve(s, callLacks, func(ctx context.Context, r LacksRequest) ([]string, error) {
		if len(r.Objects) > lacksMax {
			return nil, mesh.Faultf(mesh.Invalid, "%d names, more than %d", len(r.Objects), lacksMax)
		}
		lacks, err := b.Lacks(ctx, r.Objects)
		return listed(lacks), err
	})
	s.table = append(s.table, Endpoint{Method: "POST", Path: pathContent, Doc: "take files of a job"})
	s.mux.HandleFunc("POST "+pathContent, func(w http.ResponseWriter, r *http.Request) {
		if kind := r.Header.Get("Content-Type"); kind != contentType {
			fail(w, mesh.Faultf(mesh.Invalid, "content type %q is not %s", kind, contentType))
			return
		}
		kept, err := b.Keep(r.Context(), r.Body)
		if err != nil {
			fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, Kept{kept})
	})
}

// Lacks says which of some objects the peer does not have.
func (c *Client) Lacks(ctx context.Context, objects []string) ([]string, error) {
	var all []string
	for len(objects) > 0 {
		n := min(len(objects), lacksMax)
		lacks, err := do(ctx, c, callLacks, LacksRequest{objects[:n]})
		if err != nil {
			return nil, err
		}
		all, objects = append(all, lacks...), objects[n:]
	}
	return all, nil
}

// Keep has the peer keep the objects that a reader gives, as package content writes them.
func (c *Client) Keep(ctx context.Context, objects io.Reader) (Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost"+pathContent, objects)
	if err != nil {
		return Kept{}, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := c.perform(ctx, req)
	if err != nil {
		return Kept{}, err
	}
	defer resp.Body.Close()
	var kept Kept
	if err := json.NewDecoder(io.LimitReader(resp.Body, replyMax)).Decode(&kept); err != nil {
		return Kept{}, c.garbled(err)
	}
	return kept, nil
}
