package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mn/mesh"
	"mn/mesh/core"
)

// gpuMemory is that of each GPU of a machine.
const gpuMemory = 16 * mesh.GiB

// gpusOf are the GPUs of a machine.
func gpusOf(name string, n int) []mesh.Device {
	all := []mesh.Device{} // not nil: it is known that there are none
	for i := range n {
		all = append(all, mesh.Device{
			ID: fmt.Sprintf("GPU-%s-%d", name, i), Kind: mesh.GPU, Driver: "cuda", Index: i, Memory: gpuMemory,
		})
	}
	return all
}

// unplug takes a machine's last GPU away, as its driver cannot reach it; what uses it runs
// on. Then it is there again.
func unplug(b *blow) func() {
	return b.each(func(h *host) func() {
		if len(h.self.Devices) == 0 {
			b.said = "it has no device"
			return nil
		}
		whole := h.self.Devices
		h.equip(whole[:len(whole)-1])
		return func() { h.equip(whole) }
	})
}

// equip has a machine find other devices than before.
func (h *host) equip(devices []mesh.Device) {
	h.self.Devices = devices
	if h.agent != nil {
		h.tell(core.Inventory{Devices: devices, Foreign: h.self.Foreign})
	}
}

// occupy has a program that is not of the mesh listen on a port that tasks ask for.
func occupy(b *blow) func() {
	port := mesh.Port{Number: uint16(fixedPort + b.dice.IntN(fixedPorts)), Transport: mesh.TCP}
	return b.each(func(h *host) func() {
		for _, g := range h.grants() {
			for _, p := range g.Ports {
				if p.Port() == port {
					b.said = "a task has that port"
					return nil
				}
			}
		}
		h.listen([]mesh.Port{port})
		return func() { h.listen(nil) }
	})
}

func (h *host) listen(foreign []mesh.Port) {
	h.self.Foreign = foreign
	if h.agent != nil {
		h.tell(core.Inventory{Devices: h.self.Devices, Foreign: foreign})
	}
}

// Ports that drawn jobs ask for by their numbers.
const (
	fixedPort  = 9000
	fixedPorts = 3
)

// equipped has a drawn job ask for devices and ports, and gives it a priority.
func (p *people) equipped(j *mesh.Job) {
	t := &j.Tasks[0]
	switch p.dice.IntN(3) {
	case 0:
		t.Devices = []mesh.DeviceRequest{{Count: p.dice.IntN(2) + 1}}
	case 1:
		t.Devices = []mesh.DeviceRequest{{Memory: mesh.Bytes(p.dice.IntN(8)+1) * mesh.GiB}}
	}
	switch p.dice.IntN(3) {
	case 0:
		t.Ports = []mesh.PortRequest{{Label: "api"}}
	case 1:
		t.Ports = []mesh.PortRequest{{Label: "api", Number: fixedPort + p.dice.IntN(fixedPorts)}}
	}
	j.Priority = pick(p.dice, []int{20, 50, 80})
	j.Preemptible = p.dice.IntN(3) == 0 && j.Recovery.Mode.Moves()
}

// grants are what the copies that run on a host were told that they have, by allocation:
// as their programs know it.
func (h *host) grants() map[mesh.AllocID]*mesh.Grants {
	all := map[mesh.AllocID]*mesh.Grants{}
	for _, key := range sortedKeys(h.tasks) {
		p := h.tasks[key]
		text := variable(p.spec, mesh.VarAllocation)
		if !strings.Contains(text, `"task":`) {
			continue // it has none
		}
		var g mesh.Grants
		if err := json.Unmarshal([]byte(text), &g); err != nil {
			h.w.breach("grants", "%v was not told what it has: %v", p.copy, err)
			continue
		}
		all[p.spec.Alloc] = &g
	}
	return all
}

// checkGrants: nobody was given what another copy on the node has.
func (w *world) checkGrants(h *host) {
	ports, whole, parts := map[mesh.Port]mesh.AllocID{}, map[string]mesh.AllocID{}, map[string]mesh.Bytes{}
	grants := h.grants()
	for _, id := range slices.Sorted(maps.Keys(grants)) {
		g := grants[id]
		for i := range g.Ports {
			p := g.Ports[i].Port()
			if by, taken := ports[p]; taken || p.Number == 0 {
				w.breach("grants", "port %d of %s is that of copies %s and %s", p.Number, h.name, by, id)
			}
			ports[p] = id
		}
		for _, d := range g.Devices {
			if len(d.Given) != max(d.Count, 1) {
				w.breach("grants", "copy %s on %s has %d devices, and asked for %d",
					id, h.name, len(d.Given), max(d.Count, 1))
			}
			for _, given := range d.Given {
				if by, taken := whole[given.ID]; taken || given.Part == 0 && parts[given.ID] > 0 {
					w.breach("grants", "device %s is that of copies %s and %s", given.ID, by, id)
				}
				if given.Part == 0 {
					whole[given.ID] = id
				}
				if parts[given.ID] += given.Part; parts[given.ID] > gpuMemory {
					w.breach("grants", "of device %s %v are given out", given.ID, parts[given.ID])
				}
			}
		}
	}
}

// equippedFor says whether a host has free devices and ports for a copy of a group.
func (h *host) equippedFor(g *mesh.Group) bool {
	parts, taken := map[string]mesh.Bytes{}, map[mesh.Port]bool{}
	for _, p := range h.self.Foreign {
		taken[p] = true
	}
	for _, has := range h.grants() {
		for i := range has.Ports {
			taken[has.Ports[i].Port()] = true
		}
		for _, d := range has.Devices {
			for _, given := range d.Given {
				if parts[given.ID] += given.Part; given.Part == 0 {
					parts[given.ID] = gpuMemory
				}
			}
		}
	}
	for _, t := range g.Tasks {
		for _, p := range t.Ports {
			if taken[mesh.Port{Number: uint16(p.Number), Transport: p.Protocol.Transport()}] {
				return false
			}
		}
		for _, r := range t.Devices {
			free := slices.DeleteFunc(slices.Clone(h.self.Devices), func(d mesh.Device) bool {
				return parts[d.ID] > 0 && !r.Shared() || parts[d.ID]+r.Memory > gpuMemory
			})
			if len(free) < max(r.Count, 1) {
				return false
			}
		}
	}
	return true
}
