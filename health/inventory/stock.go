package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"mn/mesh"
)

// State is what is known of this machine's devices.
type State struct {
	Devices []mesh.Device // by source, then as that counts them; each id once
	// Faults are what sources cannot say, in words.
	Faults []string
}

// stock puts together what sources say. It is a state machine without clock or
// goroutine.
type stock struct {
	ours    Ours
	sources []shelf
}

// shelf is what is known by one source.
type shelf struct {
	name  string
	fault string
	items map[string]*item // by device
}

// item is a device, or one that is gone and was not well.
type item struct {
	device mesh.Device
	users  []User
	busy   *int
	here   bool
	health quarantine
}

// itemsMax is how many devices of a source are remembered, those that are gone among them.
const itemsMax = 4 * DevicesMax

func newStock(sources []Source, ours Ours) *stock {
	s := &stock{ours: ours}
	for _, src := range sources {
		s.sources = append(s.sources, shelf{name: src.Name(), items: map[string]*item{}})
	}
	return s
}

// take notes the answer of the i-th source.
func (s *stock) take(i int, readings []Reading, err error) {
	shelf := &s.sources[i]
	shelf.fault = ""
	if err != nil {
		shelf.fault = plain(err.Error())
	}
	named := map[string]bool{}
	for _, r := range readings {
		if len(named) == DevicesMax || named[r.Device.ID] {
			continue
		}
		named[r.Device.ID] = true
		shelf.put(r, s.ours.foreign(r), s.ours.strangers(r))
	}
	for id, it := range shelf.items {
		if !named[id] {
			it.busy = nil
		}
		switch {
		case named[id]:
		case err != nil && it.here:
			it.device.Sick = it.health.look(shelf.fault, it.health.errors)
		case err == nil:
			it.here = false
		}
	}
	shelf.forget()
}

// put notes a device, of whose memory others have some.
func (s *shelf) put(r Reading, foreign mesh.Bytes, by []string) {
	it := s.items[r.Device.ID]
	if it == nil {
		it = &item{}
		s.items[r.Device.ID] = it
	}
	told := it.device.Foreign
	it.device, it.users, it.busy, it.here = r.Device, r.Users, r.Busy, true
	it.device.Sick = it.health.look(r.Device.Sick, r.Errors)
	it.device.Foreign, it.device.ForeignBy = calm(told, foreign, r.Device), by
}

// forget lets go of devices that are gone: of those that were well, and of all if they
// are too many.
func (s *shelf) forget() {
	many := len(s.items) > itemsMax
	maps.DeleteFunc(s.items, func(_ string, it *item) bool {
		return !it.here && (many || it.health.unblemished())
	})
}

// state is what is known now.
func (s *stock) state() State {
	var out State
	owner := map[string]string{}
	for _, shelf := range s.sources {
		if shelf.fault != "" {
			out.Faults = append(out.Faults, shelf.fault)
		}
		for _, d := range shelf.devices() {
			if other, ok := owner[d.ID]; ok {
				out.Faults = append(out.Faults, fmt.Sprintf("%s: device %q is one of %s too", shelf.name, d.ID, other))
				continue
			}
			owner[d.ID] = shelf.name
			out.Devices = append(out.Devices, d)
		}
	}
	if n := len(out.Devices); n > DevicesMax {
		out.Devices = out.Devices[:DevicesMax]
		out.Faults = append(out.Faults,
			fmt.Sprintf("%d devices are more than %d: the last ones are left out", n, DevicesMax))
	}
	return out
}

// uses is what processes have of the devices that are there, where their drivers say so.
func (s *stock) uses() []Use {
	var all []Use
	for _, shelf := range s.sources {
		for id, it := range shelf.items {
			for _, u := range it.users {
				if it.here && u.Memory >= 0 {
					all = append(all, Use{id, u})
				}
			}
		}
	}
	return all
}

// busy is how much of the last moment devices were at work, where their drivers say so.
func (s *stock) busy() map[string]int {
	all := map[string]int{}
	for _, shelf := range s.sources {
		for id, it := range shelf.items {
			if it.here && it.busy != nil {
				all[id] = *it.busy
			}
		}
	}
	return all
}

// devices are those that are there, in order.
func (s *shelf) devices() []mesh.Device {
	var out []mesh.Device
	for _, it := range s.items {
		if it.here {
			out = append(out, it.device)
		}
	}
	slices.SortFunc(out, func(a, b mesh.Device) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Vendor, b.Vendor), cmp.Compare(a.Index, b.Index),
			cmp.Compare(a.ID, b.ID))
	})
	return out
}
