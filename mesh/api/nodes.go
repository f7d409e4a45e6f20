package api

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// Node is a node in a list.
type Node struct {
	ID                 mesh.NodeID       `json:"id"`
	Name               string            `json:"name"`
	Address            string            `json:"address"`
	Status             mesh.Liveness     `json:"status"`
	SchedulingEligible bool              `json:"scheduling_eligible"`
	Mode               mesh.AdminMode    `json:"mode"`  // what people want of it
	State              string            `json:"state"` // both together, see [nodeState]
	BootID             mesh.BootID       `json:"boot_id"`
	Role               mesh.Role         `json:"role"`
	Voter              bool              `json:"voter"`     // a majority of them decides who may decide
	Resources          mesh.Resources    `json:"resources"` // what it shares out
	Used               mesh.Resources    `json:"used"`      // of them
	Share              mesh.Allowance    `json:"share"`     // of it that the mesh may have, in percent
	Release            string            `json:"release"`
	OS                 string            `json:"os"`
	Arch               string            `json:"arch"`
	Pool               string            `json:"pool"`
	Labels             map[string]string `json:"labels"`
	Drivers            []string          `json:"drivers"`
	Programs           []string          `json:"programs"` // that tasks may need before they start
	// Isolation has each that was tried, and why it cannot be had; "" if it can.
	Isolation map[mesh.Isolation]string `json:"isolation,omitempty"`
	Engine    *mesh.Engine              `json:"engine,omitempty"`  // what runs containers, or why there is none
	Volumes   []string                  `json:"volumes,omitempty"` // folders that it shares
	// Quarantined is why it takes no work for a while, by its own judgement.
	Quarantined string     `json:"quarantined,omitempty"`
	StartedAt   *time.Time `json:"started_at"` // of its agent
}

// NodeDetail is the state of a node, and what is placed on it.
type NodeDetail struct {
	Node
	LostFor     mesh.Duration `json:"lost_for"` // how long it has not been alive
	Drain       Drain         `json:"drain"`    // what people want of it, and how far that is
	Devices     []Device      `json:"devices"`  // by kind and index
	Ports       []Port        `json:"ports"`    // in use, by number
	Allocations []Alloc       `json:"allocations"`
}

func (p picture) nodes() []Node {
	rows := make([]Node, 0, len(p.View.Nodes))
	for i := range p.View.Nodes {
		rows = append(rows, nodeRow(&p.View.Nodes[i]))
	}
	slices.SortStableFunc(rows, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

func nodeRow(n *mesh.NodeView) Node {
	row := Node{
		ID:                 n.ID,
		Name:               n.Name,
		Address:            n.Address,
		Status:             n.Liveness,
		SchedulingEligible: n.Eligible,
		Mode:               n.Admin.Mode,
		State:              nodeState(n),
		BootID:             n.Boot,
		Role:               n.Role,
		Voter:              n.Voter,
		Resources:          n.Capacity,
		Used:               n.Used.Resources,
		Share:              n.Allowance,
		Release:            n.Release,
		OS:                 n.OS,
		Arch:               n.Arch,
		Pool:               cmp.Or(n.Pool, mesh.DefaultPool),
		Labels:             n.Labels,
		Drivers:            listed(n.Drivers),
		Programs:           listed(n.Programs),
		Isolation:          n.Isolation,
		Engine:             n.Engine,
		Volumes:            n.Volumes,
		Quarantined:        n.Quarantined,
		StartedAt:          known(n.StartedAt),
	}
	if row.Labels == nil {
		row.Labels = map[string]string{}
	}
	return row
}

// nodeState is what a node is up to, in one word: what people want of it first, then
// what is seen of it.
func nodeState(n *mesh.NodeView) string {
	switch {
	case n.Evicted:
		return "evicted"
	case n.Drained(), n.Admin.Mode == mesh.Maintenance:
		return "maintenance"
	case n.Admin.Mode == mesh.Draining:
		return "draining"
	case n.Liveness == mesh.Alive && n.Quarantined != "":
		return "quarantined"
	case n.Liveness == mesh.Left:
		return "offline"
	case n.Liveness == mesh.Lost:
		return "disconnected"
	case n.Liveness == mesh.Unseen || !n.Known:
		return "joining"
	}
	return "healthy"
}

func (p picture) nodeDetail(ref string) (NodeDetail, error) {
	n, err := p.findNode(ref)
	if err != nil {
		return NodeDetail{}, err
	}
	d := NodeDetail{Node: nodeRow(n)}
	if d.Drain, err = p.drain(string(n.ID)); err != nil {
		return NodeDetail{}, err
	}
	if n.Liveness != mesh.Alive {
		d.LostFor = mesh.Duration(n.LostFor.Truncate(time.Second))
	}
	jobs := p.granted()
	d.Devices, d.Ports = devices(n, jobs), p.ports(n, jobs)
	var here []mesh.AllocView
	for i := range p.View.Jobs {
		here = append(here, p.current(&p.View.Jobs[i])...)
	}
	d.Allocations = p.allocRows(here, func(a *mesh.AllocView) bool { return a.Node == n.ID })
	return d, nil
}

// Evicted answers an [EvictRequest].
type Evicted struct {
	Name   string      `json:"name"`
	ID     mesh.NodeID `json:"id"`
	Copies int         `json:"copies"` // nodes on whose disks that is by now
}

// known is t, or nil if it is no time at all.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
