package api

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// Resources is what a node shares out, and who has it.
type Resources struct {
	Node      string         `json:"node"`
	NodeID    mesh.NodeID    `json:"node_id"`
	Status    mesh.Liveness  `json:"status"`
	Resources mesh.Resources `json:"resources"` // what it shares out
	Used      mesh.Resources `json:"used"`      // of them
	Share     mesh.Allowance `json:"share"`     // of the node that people let the mesh have, in percent; {} is all
	Over      string         `json:"over"`      // what of it is more in use than that; "" if nothing
	Devices   []Device       `json:"devices"`   // by kind and index
	Ports     []Port         `json:"ports"`     // in use, by number
}

// Device is a device of a node.
type Device struct {
	ID            string     `json:"id"`
	Kind          string     `json:"kind"`
	Index         int        `json:"index"`
	Vendor        string     `json:"vendor"`
	Model         string     `json:"model"`
	Driver        string     `json:"driver"`
	DriverVersion string     `json:"driver_version"`
	APIVersion    string     `json:"api_version"`
	Memory        mesh.Bytes `json:"memory"`
	Foreign       mesh.Bytes `json:"foreign"`    // of its memory, what programs have that are not of the mesh
	ForeignBy     []string   `json:"foreign_by"` // the biggest of those, as user/pid, where its driver names them
	Free          mesh.Bytes `json:"free"`       // of its memory, what can be given out
	Capabilities  []string   `json:"capabilities"`
	Sick          string     `json:"sick"`  // why it takes no work
	State         string     `json:"state"` // "free", "shared", "used", "foreign" or "sick"
	Users         []User     `json:"users"`
}

// User is a task that has something of a node.
type User struct {
	Alloc mesh.AllocID `json:"alloc"`
	Job   mesh.JobID   `json:"job"`
	Task  string       `json:"task"`
	Part  mesh.Bytes   `json:"part"` // of a device's memory; 0 for the whole device
}

// Port is a port that is in use on a node.
type Port struct {
	Port      uint16         `json:"port"`
	Transport mesh.Transport `json:"transport"`
	Label     string         `json:"label"`
	Foreign   bool           `json:"foreign"` // a program listens on it that is not of the mesh
	Agent     string         `json:"agent"`   // the node whose agent has it; "" if none does
	User      *User          `json:"user"`    // the task that has it; null if none does
}

func (p picture) resources() []Resources {
	rows := make([]Resources, 0, len(p.View.Nodes))
	jobs := p.granted()
	for i := range p.View.Nodes {
		n := &p.View.Nodes[i]
		rows = append(rows, Resources{
			Node: p.nodeName(n.ID), NodeID: n.ID, Status: n.Liveness, Resources: n.Capacity, Used: n.Used.Resources,
			Share: n.Allowance, Over: over(n),
			Devices: devices(n, jobs), Ports: p.ports(n, jobs),
		})
	}
	slices.SortStableFunc(rows, func(a, b Resources) int { return strings.Compare(a.Node, b.Node) })
	return rows
}

// granted are the jobs of the copies that have devices or ports.
func (p picture) granted() map[mesh.AllocID]mesh.JobID {
	jobs := map[mesh.AllocID]mesh.JobID{}
	for i := range p.View.Allocs {
		if a := &p.View.Allocs[i]; a.Grants != nil {
			jobs[a.ID] = a.Job
		}
	}
	return jobs
}

// trouble is what is wrong with the devices of a task that has not ended: that one is gone, or
// sick, whether the task has noticed or not.
func (p picture) trouble(a *mesh.AllocView, t *mesh.TaskStatus) string {
	n := p.View.Node(a.Node)
	if a.Grants == nil || t.State.Final() || n == nil || !n.Known || n.Liveness != mesh.Alive {
		return ""
	}
	var all []string
	for i := range a.Grants.Devices {
		g := &a.Grants.Devices[i]
		if g.Task != t.Name {
			continue
		}
		for _, given := range g.Given {
			at := slices.IndexFunc(n.Devices, func(d mesh.Device) bool { return d.ID == given.ID })
			switch {
			case at < 0:
				all = append(all, fmt.Sprintf("its device %s is not there any more", given.ID))
			case n.Devices[at].Sick != "":
				all = append(all, fmt.Sprintf("its device %s is sick: %s", given.ID, n.Devices[at].Sick))
			}
		}
	}
	return strings.Join(all, ", ")
}

// over is what of a node more is in use than the mesh may have by now: it stays until it
// ends, and nothing new is placed beside it.
func over(n *mesh.NodeView) string {
	used, has := n.Used.Resources, n.Capacity
	var all []string
	add := func(name string, over bool, used, has any) {
		if over {
			all = append(all, fmt.Sprintf("%s: %v of %v in use", name, used, has))
		}
	}
	add("cpu", used.CPU > has.CPU, used.CPU, has.CPU)
	add("memory", used.Memory > has.Memory, used.Memory, has.Memory)
	add("disk", used.Disk > has.Disk, used.Disk, has.Disk)
	held := map[string]bool{}
	for _, c := range n.Used.Claims {
		for _, g := range c.Devices {
			for _, given := range g.Given {
				held[given.ID] = true
			}
		}
	}
	gpus, busy := 0, 0
	for i := range n.Devices {
		if n.Devices[i].Kind == mesh.GPU {
			gpus++
			if held[n.Devices[i].ID] {
				busy++
			}
		}
	}
	add("gpu", busy > n.Allowance.GPUs(gpus), busy, n.Allowance.GPUs(gpus))
	return strings.Join(all, ", ")
}

// devices are those of a node, with the tasks that have something of them.
func devices(n *mesh.NodeView, jobs map[mesh.AllocID]mesh.JobID) []Device {
	users := map[string][]User{}
	for _, c := range n.Used.Claims {
		if jobs[c.Alloc] == "" {
			continue // it is being asked for
		}
		for _, g := range c.Devices {
			for _, given := range g.Given {
				users[given.ID] = append(users[given.ID], User{c.Alloc, jobs[c.Alloc], g.Task, given.Part})
			}
		}
	}
	rows := make([]Device, 0, len(n.Devices))
	for _, d := range n.Devices {
		rows = append(rows, deviceRow(d, users[d.ID]))
	}
	slices.SortStableFunc(rows, func(a, b Device) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.Index, b.Index), strings.Compare(a.ID, b.ID))
	})
	return rows
}

func deviceRow(d mesh.Device, users []User) Device {
	row := Device{
		ID: d.ID, Kind: d.Kind, Index: d.Index, Vendor: d.Vendor, Model: d.Model, Driver: d.Driver,
		DriverVersion: d.DriverVersion, APIVersion: d.APIVersion, Memory: d.Memory, Foreign: d.Foreign,
		ForeignBy: listed(d.ForeignBy),
		Free:      max(d.Memory-d.Foreign, 0), Capabilities: listed(d.Capabilities), Sick: d.Sick, Users: users,
	}
	row.State = "free"
	if !d.Whole() {
		row.State = "foreign"
	}
	for _, u := range users {
		if u.Part == 0 {
			row.State, row.Free = "used", 0
			break
		}
		row.State, row.Free = "shared", max(row.Free-u.Part, 0)
	}
	if d.Sick != "" {
		row.State, row.Free = "sick", 0
	}
	if row.Users == nil {
		row.Users = []User{}
	}
	return row
}

// agents are the nodes by the ports of their agents, of those on the machine of one.
func (p picture) agents(of *mesh.NodeView) map[mesh.Port]string {
	all := map[mesh.Port]string{}
	host, _, _ := net.SplitHostPort(of.Address)
	for i := range p.View.Nodes {
		n := &p.View.Nodes[i]
		at, port, err := net.SplitHostPort(n.Address)
		if number, wrong := strconv.ParseUint(port, 10, 16); err == nil && wrong == nil && at == host {
			all[mesh.Port{Number: uint16(number), Transport: mesh.UDP}] = p.nodeName(n.ID)
		}
	}
	return all
}

// ports are those in use on a node.
func (p picture) ports(n *mesh.NodeView, jobs map[mesh.AllocID]mesh.JobID) []Port {
	rows, agents := []Port{}, p.agents(n)
	for _, c := range n.Used.Claims {
		if jobs[c.Alloc] == "" {
			continue
		}
		for i := range c.Ports {
			p := c.Ports[i].Port()
			rows = append(rows, Port{
				Port: p.Number, Transport: p.Transport, Label: c.Ports[i].Label,
				User: &User{Alloc: c.Alloc, Job: jobs[c.Alloc], Task: c.Ports[i].Task},
			})
		}
	}
	for _, p := range n.Foreign {
		agent := agents[p]
		rows = append(rows, Port{Port: p.Number, Transport: p.Transport, Foreign: agent == "", Agent: agent})
	}
	slices.SortStableFunc(rows, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Transport, b.Transport))
	})
	return rows
}
