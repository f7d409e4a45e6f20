package core

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/placement/reconcile"
)

// The mesh tells some things by itself, where a job has a trigger of them, so that nobody else
// pays for it: whoever decides about a job that it has ended, the coordinator of a slot of the
// node's own that a node was let in or is lost, and a node what happens on it. The id says what it
// is about, so that whoever tells it again tells nothing new; and it is dated when it happened,
// not when it is told, so that what is old has nothing run.

// lostRecently bounds for how long a coordinator tells of a node that it is lost.
const lostRecently = 10 * time.Minute

// notice is what is handed to runs of what the mesh tells.
type notice struct {
	Job     mesh.JobID     `json:"job,omitempty"`
	Version uint64         `json:"version,omitempty"`
	Status  mesh.JobStatus `json:"status,omitempty"`
	Alloc   mesh.AllocID   `json:"allocation,omitempty"`
	Node    string         `json:"node,omitempty"`
	Task    string         `json:"task,omitempty"`
	Service string         `json:"service,omitempty"`
	Devices []string       `json:"devices,omitempty"`
	Path    string         `json:"path,omitempty"`
	Size    int64          `json:"size,omitempty"`
}

// notice tells something that a job waits for: about a job, if there is one.
func (c *Core) notice(event, id string, at time.Time, n notice) {
	if !c.Wanted(event) {
		return
	}
	payload, err := json.Marshal(n)
	if err != nil {
		panic("core: a notice cannot be encoded: " + err.Error())
	}
	o := mesh.Occurrence{
		ID: mesh.OccurrenceID(event + "/" + id), Event: event, Source: n.Node, Payload: payload, At: at.UTC(),
	}
	if n.Job != "" {
		o.Source = string(n.Job)
	}
	if job, ok := c.records.job(n.Job); ok && job.Job.Origin != nil {
		from := job.Job.Origin
		o.Source, o.Template, o.Depth = string(from.Job), from.Job, from.Depth+1
	}
	c.occur(o)
}

// awaited says whether a job would have a run of what has happened, were it not paused. What nobody
// waits for is not told: a job that comes later, or with another filter, is too late for it.
func (c *Core) awaited(o *mesh.Occurrence) bool {
	for id := range c.records.course.triggered[o.Event] {
		job, ok := c.records.job(id)
		if ok && !job.Stopped && o.Template != id && reconcile.Since(&job, o.At) &&
			slices.ContainsFunc(job.Job.Triggers, func(t mesh.Trigger) bool { return t.Matches(o) }) {
			return true
		}
	}
	return false
}

// noticeEnd tells that a job has ended: as it must be told also if who decided before could not,
// each look at what has ended recently does.
func (c *Core) noticeEnd(job *mesh.JobView, status mesh.JobStatus) {
	event := mesh.JobFinished
	switch {
	case len(c.records.course.triggered) == 0 || job.Job.Template():
		return
	case status == mesh.JobFailed && !c.lives(job.ID()):
		event = mesh.JobHasFailed
	case status != mesh.JobCompleted:
		return
	}
	var at time.Time
	for _, a := range c.records.allocsOf(job.ID()) {
		if a.Status != nil && a.Status.At.After(at) {
			at = a.Status.At
		}
	}
	if !at.IsZero() {
		id := fmt.Sprintf("%s/%d-%s", job.ID(), job.Number, job.Hash)
		c.notice(event, id, at, notice{Job: job.ID(), Version: job.Number, Status: status})
	}
}

// noticeNodes tells which nodes were let in, and which are lost. Without a majority nobody does:
// all the others would be.
func (c *Core) noticeNodes() {
	if !c.Wanted(mesh.NodeHasJoined) && !c.Wanted(mesh.NodeIsLost) {
		return
	}
	for _, m := range c.records.admitted() {
		slot := mesh.SlotOf(mesh.JobID("node/" + string(m.ID)))
		if _, granted, ok := c.right(slot); !ok || !granted || !c.informed(slot) {
			continue
		}
		n := notice{Node: c.name(m.ID)}
		c.notice(mesh.NodeHasJoined, string(m.ID), m.AdmittedAt, n)
		p, said := c.peers[m.ID], c.records.nodes[m.ID]
		if p == nil || p.liveness != mesh.Lost || said.ID == "" || c.now.Boot-p.since > lostRecently {
			continue
		}
		// A machine may lose its agent more than once between two boots.
		id := fmt.Sprintf("%s/%d", m.ID, said.StartedAt.UnixMilli())
		c.notice(mesh.NodeIsLost, id, c.now.Wall.Add(p.since-c.now.Boot), n)
	}
}

// noticeServices tells which services of a copy here are critical.
func (c *Core) noticeServices(s *mesh.Status) {
	if !c.Wanted(mesh.ServiceCritical) {
		return
	}
	for i := range s.Tasks {
		t := &s.Tasks[i]
		for _, v := range t.Services {
			if v.Health != mesh.Critical {
				continue
			}
			id := fmt.Sprintf("%s/%s/%s/%d", s.Alloc, t.Name, v.Name, v.Since.UnixMilli())
			c.notice(mesh.ServiceCritical, id, v.Since, notice{
				Job: s.Job, Alloc: s.Alloc, Node: c.cfg.Self.Name, Task: t.Name, Service: v.Name,
			})
		}
	}
}

// noticeFreed tells that a copy here has given back the devices that it had.
func (c *Core) noticeFreed(id mesh.AllocID) {
	a, ok := c.records.effective(id)
	if !ok || a.Grants == nil || !c.Wanted(mesh.DeviceFreed) {
		return
	}
	n := notice{Job: a.Job, Alloc: id, Node: c.cfg.Self.Name}
	for _, d := range a.Grants.Devices {
		for _, g := range d.Given {
			n.Devices = append(n.Devices, g.ID)
		}
	}
	if len(n.Devices) > 0 {
		c.notice(mesh.DeviceFreed, string(id), c.now.Wall, n)
	}
}

// appeared tells of a file on this node.
func (c *Core) appeared(f Appeared) {
	sum := sha256.Sum256([]byte(f.Path))
	id := fmt.Sprintf("%s/%s/%d/%d", c.self, hex.EncodeToString(sum[:12]), f.Size, f.Changed.UnixNano())
	c.notice(mesh.FileAppeared, id, f.At, notice{Node: c.cfg.Self.Name, Path: f.Path, Size: f.Size})
}

// Patterns are those of files that jobs wait for on nodes, at most so many.
func (c *Core) Patterns(most int) []string {
	var all []string
	seen := map[string]bool{}
	for _, job := range c.records.jobs() {
		if !job.Job.Template() || job.Stopped || job.Paused {
			continue
		}
		for _, t := range job.Job.Triggers {
			if p := t.Path; t.Event == mesh.FileAppeared && p != "" && !seen[p] && len(all) < most {
				seen[p] = true
				all = append(all, p)
			}
		}
	}
	return all
}
