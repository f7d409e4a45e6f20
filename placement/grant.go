package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"

	"mn/mesh"
)

// grant finds ports and devices of a node for what a copy asks for. The reason says why
// there are none. Dynamic ports are looked for from one on.
// What was granted before is kept if it is free.
func grant(n *mesh.Node, used []mesh.Claim, asks *mesh.Grants, from int) (given *mesh.Grants, reason string) {
	if asks == nil {
		return nil, ""
	}
	given = &mesh.Grants{Ports: slices.Clone(asks.Ports), Devices: slices.Clone(asks.Devices)}
	if reason := givePorts(n, used, given.Ports, from); reason != "" {
		return nil, reason
	}
	if reason := giveDevices(n, used, given.Devices); reason != "" {
		return nil, reason
	}
	return given, ""
}

// Take is what is in use on a node with one more copy, which is given ports and devices as
// its node would. It is for planning: where they do not suffice the copy goes without.
func Take(n *mesh.NodeView, a *mesh.Alloc) mesh.Usage {
	taken := *a
	if given, reason := grant(&n.Node, n.Used.Claims, a.Grants, mesh.DynamicPortMin); reason == "" {
		taken.Grants = given
	}
	return n.Used.With(&taken)
}

func givePorts(n *mesh.Node, used []mesh.Claim, asks []mesh.PortGrant, from int) string {
	taken := map[mesh.Port]bool{}
	for _, c := range used {
		for i := range c.Ports {
			taken[c.Ports[i].Port()] = true
		}
	}
	foreign := func(p mesh.Port) bool {
		_, found := slices.BinarySearchFunc(n.Foreign, p, ComparePorts)
		return found
	}
	for i := range asks {
		if asks[i].Number == 0 {
			continue
		}
		p := asks[i].Port()
		if taken[p] {
			return fmt.Sprintf("port %d/%s is in use by a copy", p.Number, p.Transport)
		}
		if foreign(p) {
			return fmt.Sprintf("port %d/%s is in use by another program", p.Number, p.Transport)
		}
		taken[p] = true
	}
	for i := range asks {
		for tries := 0; asks[i].Number == 0; tries++ {
			if tries > mesh.DynamicPortMax-mesh.DynamicPortMin {
				return fmt.Sprintf("no port from %d to %d is free", mesh.DynamicPortMin, mesh.DynamicPortMax)
			}
			p := mesh.Port{Number: uint16(from), Transport: asks[i].Protocol.Transport()}
			if from++; from > mesh.DynamicPortMax {
				from = mesh.DynamicPortMin
			}
			if !taken[p] && !foreign(p) {
				asks[i].Number, taken[p] = p.Number, true
			}
		}
	}
	return ""
}

// ComparePorts orders ports by number, then by transport.
func ComparePorts(a, b mesh.Port) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Transport, b.Transport))
}

// room is a device and what is left of it.
type room struct {
	*mesh.Device
	whole  bool       // a copy has it for itself
	shared bool       // copies have parts of it
	free   mesh.Bytes // of its memory, by copies and foreign programs
}

func rooms(n *mesh.Node, used []mesh.Claim) []*room {
	all := make([]*room, 0, len(n.Devices))
	at := map[string]*room{}
	for i := range n.Devices {
		d := &n.Devices[i]
		r := &room{Device: d, free: d.Memory - d.Foreign}
		all, at[d.ID] = append(all, r), r
	}
	for _, c := range used {
		for _, g := range c.Devices {
			for _, given := range g.Given {
				r := at[given.ID]
				switch {
				case r == nil: // it is lost; what has it goes on as it can
				case given.Part == 0:
					r.whole = true
				default:
					r.shared, r.free = true, r.free-given.Part
				}
			}
		}
	}
	return all
}

// giveDevices gives whole devices first, by a matching that finds devices for all requests
// if there is one (augmenting paths), then parts. Of those that serve, a request gets the
// one with the least memory to spare.
func giveDevices(n *mesh.Node, used []mesh.Claim, asks []mesh.DeviceGrant) string {
	if len(asks) == 0 {
		return ""
	}
	all := rooms(n, used)
	for i := range asks {
		if reason := keep(&asks[i], all); reason != "" {
			return reason
		}
	}
	left := newBudget(n, all)
	m := &matching{owner: map[*room]*unit{}}
	for i := range asks {
		if g := &asks[i]; !g.Shared() && len(g.Given) == 0 {
			if reason := left.take(kindOf(g), max(g.Count, 1)); reason != "" {
				return reason
			}
			if reason := m.add(g, all); reason != "" {
				return reason
			}
		}
	}
	for r, u := range m.owner {
		r.whole = true
		u.ask.Given = append(u.ask.Given, given(r.Device, 0))
	}
	for i := range asks {
		if g := &asks[i]; g.Shared() && len(g.Given) == 0 {
			if reason := parts(g, all, left); reason != "" {
				return reason
			}
		}
		slices.SortFunc(asks[i].Given, func(a, b mesh.GivenDevice) int {
			return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID, b.ID))
		})
	}
	return ""
}

// budget is how many more GPUs may be in use at once than are, of those that people let
// the mesh have.
type budget struct{ left, most, all int }

func newBudget(n *mesh.Node, all []*room) *budget {
	b := &budget{}
	used := 0
	for _, r := range all {
		if r.Kind == mesh.GPU {
			b.all++
			if r.whole || r.shared {
				used++
			}
		}
	}
	b.most = n.Allowance.GPUs(b.all)
	b.left = b.most - used
	return b
}

// take takes so many that were not in use, or says why not.
func (b *budget) take(kind string, count int) string {
	if kind != mesh.GPU {
		return ""
	}
	if b.most < b.all && count > b.left {
		return fmt.Sprintf("gpu: needs %d, the mesh may have %d of %d at once, and has %d", count, b.most, b.all,
			b.most-b.left)
	}
	b.left -= count
	return ""
}

// keep takes what a request was given before, if it can still be had.
func keep(g *mesh.DeviceGrant, all []*room) string {
	for _, given := range g.Given {
		i := slices.IndexFunc(all, func(r *room) bool { return r.ID == given.ID })
		switch {
		case i < 0:
			return fmt.Sprintf("device %s is not there any more", given.ID)
		case all[i].whole || given.Part == 0 && all[i].shared || given.Part > max(all[i].free, 0):
			return fmt.Sprintf("device %s is in use", given.ID)
		case given.Part == 0:
			all[i].whole = true
		default:
			all[i].shared, all[i].free = true, all[i].free-given.Part
		}
	}
	return ""
}

func given(d *mesh.Device, part mesh.Bytes) mesh.GivenDevice {
	return mesh.GivenDevice{ID: d.ID, Index: d.Index, Driver: d.Driver, Part: part, Path: d.Path}
}

// matching gives each unit of the requests a device of its own.
type matching struct{ owner map[*room]*unit }

// unit is one device that is asked for, and those that would do, best first.
type unit struct {
	ask    *mesh.DeviceGrant
	serves []*room
}

// add finds devices for one more request, moving others to other devices if need be.
func (m *matching) add(g *mesh.DeviceGrant, all []*room) string {
	serves, short := serving(g, all, func(r *room) string {
		switch {
		case r.whole || r.shared:
			return "in use"
		case !r.Whole():
			return "used by other programs"
		}
		return ""
	})
	for range max(g.Count, 1) {
		if !m.find(&unit{g, serves}, map[*room]bool{}) {
			return short(max(g.Count, 1))
		}
	}
	return ""
}

func (m *matching) find(u *unit, tried map[*room]bool) bool {
	for _, r := range u.serves {
		if tried[r] {
			continue
		}
		tried[r] = true
		if o := m.owner[r]; o == nil || m.find(o, tried) {
			m.owner[r] = u
			return true
		}
	}
	return false
}

// parts gives a request its parts of devices, each of another one.
func parts(g *mesh.DeviceGrant, all []*room, left *budget) string {
	serves, short := serving(g, all, func(r *room) string {
		switch part := g.Part(r.Device); {
		case r.whole:
			return "in use"
		case part > r.free:
			return fmt.Sprintf("without %v of its memory free", part)
		}
		return ""
	})
	n := max(g.Count, 1)
	if len(serves) < n {
		return short(n)
	}
	chosen, why := serves[:0], ""
	for _, r := range serves {
		if !r.shared && len(chosen) < n {
			if why = left.take(r.Kind, 1); why != "" {
				continue
			}
		}
		chosen = append(chosen, r)
	}
	if len(chosen) < n {
		return why
	}
	for _, r := range chosen[:n] {
		part := g.Part(r.Device)
		r.free, r.shared = r.free-part, true
		g.Given = append(g.Given, given(r.Device, part))
	}
	return ""
}

// serving are the devices that serve a request, the one with the least memory to spare
// first. What short says of a number of them is why they are too few.
func serving(g *mesh.DeviceGrant, all []*room, busy func(*room) string) (serves []*room, short func(int) string) {
	kind := kindOf(g)
	reasons := map[string]int{}
	var order []string
	no := func(reason string) {
		if reasons[reason]++; reasons[reason] == 1 {
			order = append(order, reason)
		}
	}
	kinds := 0
	for _, r := range all {
		if r.Kind != kind {
			continue
		}
		kinds++
		if reason := unfit(g, r.Device); reason != "" {
			no(reason)
		} else if reason := busy(r); reason != "" {
			no(reason)
		} else {
			serves = append(serves, r)
		}
	}
	spare := func(r *room) mesh.Bytes {
		if g.Shared() {
			return r.free
		}
		return r.Memory
	}
	slices.SortStableFunc(serves, func(a, b *room) int {
		return cmp.Or(cmp.Compare(spare(a), spare(b)), cmp.Compare(a.Index, b.Index), cmp.Compare(a.ID, b.ID))
	})
	return serves, func(want int) string {
		text := fmt.Sprintf("%s: needs %d, %d of %d can be had", kind, want, len(serves), kinds)
		for _, reason := range order[:min(len(order), summaryMax)] {
			text += fmt.Sprintf("; %d %s", reasons[reason], reason)
		}
		return text
	}
}

func kindOf(g *mesh.DeviceGrant) string { return cmp.Or(g.Kind, mesh.GPU) }

// unfit is why a device is not what a request is for, or "".
func unfit(g *mesh.DeviceGrant, d *mesh.Device) string {
	lacks := ""
	for _, c := range g.Capabilities {
		if !slices.Contains(d.Capabilities, c) {
			lacks = c
		}
	}
	switch {
	case d.Sick != "":
		return "sick: " + d.Sick
	case g.Vendor != "" && !strings.EqualFold(g.Vendor, d.Vendor):
		return fmt.Sprintf("of vendor %q", d.Vendor)
	case g.Model != "" && !strings.Contains(strings.ToLower(d.Model), strings.ToLower(g.Model)):
		return fmt.Sprintf("of model %q", d.Model)
	case g.Driver != "" && !strings.EqualFold(g.Driver, d.Driver):
		return fmt.Sprintf("with driver %q", d.Driver)
	case g.MinMemory > 0 && !holds(cmp.Compare(d.Memory, g.MinMemory), g.MemoryRule):
		return fmt.Sprintf("with %v of memory", d.Memory)
	case g.MinAPIVersion != "" && !holds(compareVersions(d.APIVersion, g.MinAPIVersion), g.APIRule):
		return fmt.Sprintf("with version %q of the API", d.APIVersion)
	case lacks != "":
		return fmt.Sprintf("without capability %q", lacks)
	case len(g.IDs) > 0 && !slices.Contains(g.IDs, d.ID):
		return "not among the ids"
	}
	return ""
}

// holds says whether an order of two values is what the operator wants.
func holds(order int, op mesh.DeviceOperator) bool {
	switch op {
	case mesh.MoreThan:
		return order > 0 && order != incomparable
	case mesh.Exactly:
		return order == 0
	case mesh.AtLeast:
	}
	return order >= 0 && order != incomparable
}

const incomparable = math.MaxInt

func compareVersions(has, want string) int {
	a, err := version.NewVersion(has)
	b, also := version.NewVersion(want)
	if err != nil || also != nil {
		return incomparable
	}
	return a.Compare(b)
}
