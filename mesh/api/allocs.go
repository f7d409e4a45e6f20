package api

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mn/health"
	"mn/mesh"
)

// Alloc is one task of an allocation, in a list: a copy of a group of several
// tasks has several rows with one id.
type Alloc struct {
	ID         mesh.AllocID   `json:"id"`
	Job        mesh.JobID     `json:"job"`
	Version    uint64         `json:"version"`
	Group      string         `json:"group"`
	Task       string         `json:"task"`
	Lifecycle  mesh.Lifecycle `json:"lifecycle"` // "" for a main task
	Index      int            `json:"index"`
	ArrayIndex *int           `json:"array_index"` // of the group's array; null if it has none
	Generation int            `json:"generation"`
	Node       string         `json:"node"`
	NodeID     mesh.NodeID    `json:"node_id"`
	Status     string         `json:"status"` // a mesh.AllocState, or "lost" or "unseen" as its node is
	Want       mesh.Want      `json:"want"`
	PID        int            `json:"pid"`
	Fence      string         `json:"fence"`
	StartedAt  *time.Time     `json:"started_at"`
	ExitCode   *int           `json:"exit_code"`
	Restarts   int            `json:"restarts"`
	Reason     string         `json:"reason"`
	Trouble    string         `json:"trouble"` // what is wrong with the devices that it uses now; "" if nothing
	Role       mesh.Standing  `json:"role"`    // what it is to the job's deployment
}

// AllocDetail is the state of an allocation.
type AllocDetail struct {
	ID            mesh.AllocID   `json:"id"`
	Job           mesh.JobID     `json:"job"`
	Version       uint64         `json:"version"`
	Group         string         `json:"group"`
	Index         int            `json:"index"`
	Generation    int            `json:"generation"`
	Replaces      mesh.AllocID   `json:"replaces"`
	Node          string         `json:"node"`
	NodeID        mesh.NodeID    `json:"node_id"`
	Status        string         `json:"status"`
	Want          mesh.Want      `json:"want"`
	Reason        string         `json:"reason"` // of the decision
	Fence         string         `json:"fence"`
	Degraded      bool           `json:"degraded"` // decided without a voter majority
	Coordinator   string         `json:"coordinator"`
	CoordinatorID mesh.NodeID    `json:"coordinator_id"`
	PlacedAt      time.Time      `json:"placed_at"`
	ReportedAt    *time.Time     `json:"reported_at"` // when its node last said something about it
	Resources     mesh.Resources `json:"resources"`
	Grants        mesh.Grants    `json:"grants"` // its ports and devices
	Tasks         []TaskDetail   `json:"tasks"`
	Services      []Service      `json:"services"` // that it offers
	Role          mesh.Standing  `json:"role"`     // what it is to the job's deployment
}

// TaskDetail is the state of one task of an allocation.
type TaskDetail struct {
	Task       string         `json:"task"`
	Lifecycle  mesh.Lifecycle `json:"lifecycle"`
	Status     string         `json:"status"`
	PID        int            `json:"pid"`
	StartedAt  *time.Time     `json:"started_at"`
	FinishedAt *time.Time     `json:"finished_at"`
	ExitCode   *int           `json:"exit_code"`
	Restarts   int            `json:"restarts"`
	NextStart  *time.Time     `json:"next_start"`
	Reason     string         `json:"reason"`
	Checkpoint *Checkpoint    `json:"checkpoint"` // the latest; null if there is none
	Kept       *Checkpoint    `json:"kept"`       // the latest that other nodes have too; null if there is none
	Outputs    *Left          `json:"outputs"`    // of the last attempt; null if it has none
	Log        *Left          `json:"log"`        // the end of its log; null if it is not kept yet
	Unrestored *time.Time     `json:"unrestored"` // since when nothing can be had of what was saved of it
	Trouble    string         `json:"trouble"`    // what is wrong with the devices that it uses now; "" if nothing
	IdleSince  *time.Time     `json:"idle_since"` // since when it leaves its devices idle, if that is too long
}

// Checkpoint is what was saved of a task.
type Checkpoint struct {
	Number uint64     `json:"number"` // of those of this copy and all before it
	Label  string     `json:"label"`  // what the task has said of it
	Bytes  mesh.Bytes `json:"bytes"`
	At     time.Time  `json:"at"`
	Nodes  []string   `json:"nodes"` // who has it on disk
}

// Left is what is kept of a task.
type Left struct {
	Bytes mesh.Bytes `json:"bytes"`
	Files int        `json:"files"`
	At    *time.Time `json:"at"`
	Nodes []string   `json:"nodes"` // who has it on disk
	Fault string     `json:"fault"` // why there is nothing
}

func (p picture) left(k *mesh.Kept) *Left {
	if k == nil {
		return nil
	}
	row := &Left{Bytes: mesh.Bytes(k.Bytes), Files: k.Files, At: known(k.At), Nodes: []string{}, Fault: k.Fault}
	for _, n := range k.Nodes {
		row.Nodes = append(row.Nodes, p.nodeName(n))
	}
	return row
}

// status is a state as it can be known: what a node that we do not see said
// last may not be so any more.
func (p picture) status(a *mesh.AllocView, s mesh.AllocState) string {
	n := p.View.Node(a.Node)
	switch {
	case s.Final() || n != nil && n.Liveness == mesh.Alive:
		return string(s)
	case n != nil && n.Liveness == mesh.Unseen:
		return string(mesh.Unseen)
	}
	return string(mesh.Lost)
}

// current are the allocations of a job that matter now: those that run or
// should, and the last of each index that the job still has.
func (p picture) current(j *mesh.JobView) []mesh.AllocView {
	all := p.View.AllocsOf(j.ID())
	last := map[mesh.Seat]mesh.AllocView{}
	for _, a := range all {
		if l, ok := last[a.Seat()]; !ok || a.Version > l.Version ||
			a.Version == l.Version && a.Generation > l.Generation {
			last[a.Seat()] = a
		}
	}
	count := map[string]int{}
	for _, g := range j.Job.Groups() {
		count[g.Name] = g.Count
	}
	perNode := j.Job.Type.PerNode()
	var out []mesh.AllocView
	for _, a := range all {
		// Else it has gone with its node, unless it had done its work before.
		there := p.View.Node(a.Node) != nil || a.State() == mesh.Complete && !j.Job.Type.Long()
		latest := a.Index < count[a.Group] && perNode == (a.Target != "") && last[a.Seat()].ID == a.ID
		if latest && (there || !perNode) || there && !a.State().Final() {
			out = append(out, a)
		}
	}
	return out
}

// allocRows are the rows of those allocations that keep says, or of all.
func (p picture) allocRows(allocs []mesh.AllocView, keep func(*mesh.AllocView) bool) []Alloc {
	rows := []Alloc{}
	allocs = slices.Clone(allocs)
	slices.SortStableFunc(allocs, func(a, b mesh.AllocView) int {
		return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Index, b.Index),
			cmp.Compare(p.targetName(&a), p.targetName(&b)))
	})
	arrays := map[mesh.JobID]map[string]array{}
	for i := range allocs {
		a := &allocs[i]
		if keep != nil && !keep(a) {
			continue
		}
		for _, t := range p.tasks(a) {
			row := Alloc{
				ID: a.ID, Job: a.Job, Version: a.Version, Group: a.Group, Task: t.Name, Lifecycle: t.Lifecycle,
				Index: a.Index, ArrayIndex: p.arrayIndex(a, arrays),
				Generation: a.Generation, Node: p.nodeName(a.Node), NodeID: a.Node,
				Status: p.status(a, t.State), Want: a.Want, PID: t.PID, Fence: a.Fence.String(),
				StartedAt: known(t.StartedAt), ExitCode: t.ExitCode, Restarts: max(t.Restarts-t.Looks, 0),
				Reason: t.Reason, Trouble: p.trouble(a, &t), Role: a.Role(),
			}
			if row.Reason == "" {
				row.Reason = a.Reason
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// targetName is the name of the node that a copy is for, of a job with a copy on each.
func (p picture) targetName(a *mesh.AllocView) string {
	if a.Target == "" {
		return ""
	}
	return p.nodeName(a.Target)
}

// array is a group that is one, and what its copies run.
type array struct {
	mesh.Group
	hash string
}

// arrayIndex is the index of a copy in its group's array, or nil if it is not of the array
// that the job has now. Arrays that were looked for are kept in known.
func (p picture) arrayIndex(a *mesh.AllocView, known map[mesh.JobID]map[string]array) *int {
	if _, looked := known[a.Job]; !looked {
		known[a.Job] = map[string]array{}
		if j := p.View.Job(a.Job); j != nil {
			for _, g := range j.Job.Groups() {
				if g.Array.Len() > 0 {
					known[a.Job][g.Name] = array{g, mesh.HashGroup(&j.Job, g.Name)}
				}
			}
		}
	}
	g, is := known[a.Job][a.Group]
	if !is || a.Index >= g.Array.Len() || a.Content != g.ContentOf(g.hash, a.Index) {
		return nil
	}
	index := g.Array.At(a.Index)
	return &index
}

// tasks are the tasks of an allocation, as its node reports them, or as the
// job names them while it has not.
func (p picture) tasks(a *mesh.AllocView) []mesh.TaskStatus {
	if a.Status != nil && len(a.Status.Tasks) > 0 {
		return a.Status.Tasks
	}
	tasks := []mesh.TaskStatus{{Name: a.Group, State: a.State()}}
	if j := p.View.Job(a.Job); j != nil {
		if g, ok := j.Job.Group(a.Group); ok {
			tasks = tasks[:0]
			for _, t := range g.Tasks {
				tasks = append(tasks, mesh.TaskStatus{Name: t.Name, Lifecycle: t.Lifecycle, State: a.State()})
			}
		}
	}
	return tasks
}

func (p picture) allocs(r AllocsRequest) ([]Alloc, error) {
	if r.Job != "" && p.View.Job(r.Job) == nil {
		return nil, p.noJob(r.Job)
	}
	var node mesh.NodeID
	if r.Node != "" {
		n, err := p.findNode(r.Node)
		if err != nil {
			return nil, err
		}
		node = n.ID
	}
	allocs := p.View.Allocs
	if !r.All {
		allocs = nil
		for i := range p.View.Jobs {
			allocs = append(allocs, p.current(&p.View.Jobs[i])...)
		}
	}
	return p.allocRows(allocs, func(a *mesh.AllocView) bool {
		return (r.Job == "" || a.Job == r.Job) && (node == "" || a.Node == node)
	}), nil
}

func (p picture) allocDetail(ref mesh.AllocID) (AllocDetail, error) {
	var found []*mesh.AllocView
	for i := range p.View.Allocs {
		a := &p.View.Allocs[i]
		if a.ID == ref {
			return p.detail(a), nil
		}
		if len(ref) >= mesh.IDPrefixMin && strings.HasPrefix(string(a.ID), string(ref)) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
		return p.detail(found[0]), nil
	case 0:
		return AllocDetail{}, mesh.Faultf(mesh.NotFound, "no allocation %q", ref).
			Hint("mn alloc ls lists them")
	}
	return AllocDetail{}, mesh.Faultf(mesh.Invalid,
		"%d allocations have an id that begins with %q", len(found), ref)
}

func (p picture) checkpoint(c *mesh.Checkpoint) *Checkpoint {
	if c == nil {
		return nil
	}
	row := &Checkpoint{Number: c.Seq, Label: c.Label, Bytes: mesh.Bytes(c.Bytes), At: c.At, Nodes: []string{}}
	for _, id := range c.Nodes {
		row.Nodes = append(row.Nodes, p.nodeName(id))
	}
	return row
}

func (p picture) detail(a *mesh.AllocView) AllocDetail {
	d := AllocDetail{
		ID: a.ID, Job: a.Job, Version: a.Version, Group: a.Group, Index: a.Index,
		Generation: a.Generation, Replaces: a.Replaces, Node: p.nodeName(a.Node), NodeID: a.Node,
		Status: p.status(a, a.State()), Want: a.Want, Reason: a.Reason, Fence: a.Fence.String(),
		Degraded: a.Degraded, Coordinator: p.nodeName(a.Coordinator),
		CoordinatorID: a.Coordinator, PlacedAt: a.At, Resources: a.Resources, Grants: grantsOf(a.Grants),
		Role: a.Role(),
	}
	if a.Status != nil {
		d.ReportedAt = known(a.Status.At)
	}
	d.Services = []Service{}
	for _, i := range health.Offered(p.View, a) {
		d.Services = append(d.Services, p.service(&i))
	}
	for _, t := range p.tasks(a) {
		d.Tasks = append(d.Tasks, TaskDetail{
			Task: t.Name, Lifecycle: t.Lifecycle, Status: p.status(a, t.State), PID: t.PID,
			StartedAt: known(t.StartedAt), FinishedAt: known(t.FinishedAt), ExitCode: t.ExitCode,
			Restarts: max(t.Restarts-t.Looks, 0), NextStart: known(t.NextStart), Reason: t.Reason,
			Checkpoint: p.checkpoint(t.Checkpoint), Kept: p.checkpoint(t.Elsewhere()), Unrestored: known(t.Unrestored),
			Outputs: p.left(t.Outputs), Log: p.left(t.Log), IdleSince: known(t.IdleSince),
			Trouble: p.trouble(a, &t),
		})
	}
	return d
}

// grantsOf is a copy's ports and devices, with lists that are never null.
func grantsOf(g *mesh.Grants) mesh.Grants {
	if g == nil {
		g = &mesh.Grants{}
	}
	return mesh.Grants{Ports: listed(g.Ports), Devices: listed(g.Devices)}
}
