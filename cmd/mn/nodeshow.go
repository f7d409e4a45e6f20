package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
	"mn/mesh/api"
)

func (c *command) showNode(n api.NodeDetail, all bool) {
	c.field("node", "%s (%s)", n.Name, n.ID)
	status := c.paint(stateColour(string(n.Status)), string(n.Status))
	if n.LostFor > 0 {
		status += fmt.Sprintf(" for %v", n.LostFor)
	}
	c.field("status", "%s", status)
	c.field("state", "%s", c.paint(stateColour(n.State), n.State))
	if d := &n.Drain; d.Mode != mesh.InService {
		c.field("since", "%s, by way of %s", ago(d.At), d.By)
		if d.Reason != "" {
			c.field("reason", "%s", d.Reason)
		}
		if d.Deadline != nil {
			c.field("drain", "%s, %s left, deadline %s", d.Status, copies(d.Left),
				d.Deadline.Local().Format("2006-01-02 15:04:05"))
		}
	}
	c.field("address", "%s", n.Address)
	c.field("agent", "mn %s on %s/%s, started %s", n.Release, n.OS, n.Arch, ago(n.StartedAt))
	role := string(n.Role)
	if n.Voter {
		role += ", voter"
	}
	c.field("role", "%s, drivers %s", role, strings.Join(n.Drivers, ", "))
	c.field("pool", "%s", n.Pool)
	if len(n.Programs) > 0 {
		c.field("programs", "%s", strings.Join(n.Programs, ", "))
	}
	c.showIsolation(n.Isolation)
	if n.Quarantined != "" {
		c.field("quarantined", "%s", n.Quarantined)
	}
	if e := n.Engine; e != nil {
		if e.Lacks != "" {
			c.field("no containers", "%s", e.Lacks)
		} else {
			c.field("containers", "%s", e)
		}
	}
	if len(n.Volumes) > 0 {
		c.field("volumes", "%s", strings.Join(n.Volumes, ", "))
	}
	for _, k := range slices.Sorted(maps.Keys(n.Labels)) {
		c.field("label", "%s = %s", k, n.Labels[k])
	}
	c.field("cpu", "%v of %s used", n.Used.CPU, n.Resources.CPU.Words())
	c.field("memory", "%v of %v used", n.Used.Memory, n.Resources.Memory)
	c.field("disk", "%v of %v used", n.Used.Disk, n.Resources.Disk)
	if n.Share != (mesh.Allowance{}) {
		c.field("share", "%v of what it has: mn resource set", n.Share)
	}
	c.showEquipment(n)
	if len(n.Allocations) > 0 {
		c.printf("\n")
		c.showAllocs(n.Allocations, all)
	}
}

// showIsolation says how tasks can be kept apart on a node, and what it cannot do and why.
func (c *command) showIsolation(of map[mesh.Isolation]string) {
	has := []string{string(mesh.IsolateNone)}
	for _, k := range slices.Sorted(maps.Keys(of)) {
		if of[k] == "" && k != mesh.IsolateNone {
			has = append(has, string(k))
		}
	}
	c.field("isolation", "%s", strings.Join(has, ", "))
	for _, k := range slices.Sorted(maps.Keys(of)) {
		if why := of[k]; why != "" {
			c.field("no "+string(k), "%s", why)
		}
	}
}

// showEquipment shows the devices of a node, and its ports that are in use.
func (c *command) showEquipment(n api.NodeDetail) {
	var foreign []string
	ours := newTable("PORT", "TRANSPORT", "LABEL", "USED BY")
	for _, p := range n.Ports {
		if p.Agent != "" {
			continue // it is its address, or another's
		}
		if p.User == nil {
			foreign = append(foreign, strconv.Itoa(int(p.Port))+"/"+string(p.Transport))
			continue
		}
		ours.add(p.Port, p.Transport, p.Label, usedBy([]api.User{*p.User}))
	}
	if len(foreign) > 0 {
		c.field("ports", "taken by others: %s", some(foreign, portsShown))
	}
	if len(n.Devices) > 0 {
		c.printf("\n")
		b := newDeviceTable()
		for _, d := range n.Devices {
			addDevice(b, d)
		}
		c.table(b)
	}
	if len(ours.rows) > 0 {
		c.printf("\n")
		c.table(ours)
	}
}

// portsShown is how many ports of others the status of a node names: `mn resource ports` has all.
const portsShown = 16

// some are the first of all, and how many more there are.
func some(all []string, n int) string {
	if len(all) <= n {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:n], ", "), len(all)-n)
}
