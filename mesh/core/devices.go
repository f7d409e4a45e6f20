package core

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// ownUse is a node's record without what programs of others use, and what it has fetched.
func ownUse(n mesh.Node) mesh.Node {
	n.Foreign, n.Fetched, n.Devices = nil, nil, slices.Clone(n.Devices)
	for i := range n.Devices {
		n.Devices[i].Foreign = 0
	}
	return n
}

// Devices are those of this node. Nobody may change them.
func (c *Core) Devices() []mesh.Device { return c.cfg.Self.Devices }

// Claims are what copies on this node were granted. Nobody may change them.
func (c *Core) Claims() []mesh.Claim { return c.records.used()[c.self].Claims }

// deviceEvents are what has changed between what was there and what is.
func deviceEvents(before, now []mesh.Device) []mesh.Event {
	var all []mesh.Event
	tell := func(kind mesh.EventKind, d *mesh.Device, why string) {
		text := fmt.Sprintf("%s %s", d.Kind, d.ID)
		if d.Model != "" {
			text += " (" + d.Model + ")"
		}
		all = append(all, mesh.Event{Kind: kind, Text: text + why})
	}
	find := func(in []mesh.Device, id string) *mesh.Device {
		if i := slices.IndexFunc(in, func(d mesh.Device) bool { return d.ID == id }); i >= 0 {
			return &in[i]
		}
		return nil
	}
	for i := range now {
		d := &now[i]
		old := find(before, d.ID)
		if old == nil {
			tell(mesh.DeviceFound, d, "")
		}
		switch wasSick := old != nil && old.Sick != ""; {
		case d.Sick != "" && !wasSick: // what it says of that may change all the time
			tell(mesh.DeviceSick, d, " takes no work: "+d.Sick)
		case d.Sick == "" && wasSick:
			tell(mesh.DeviceWell, d, " takes work again")
		}
	}
	for i := range before {
		if find(now, before[i].ID) == nil {
			tell(mesh.DeviceLost, &before[i], " is not there any more")
		}
	}
	return all
}
