package placement

import (
	"cmp"
	"fmt"
	"slices"

	"mn/mesh"
)

// asked is what is asked of nodes: to take one more copy of a group.
type asked struct {
	mesh.Group
	asks       *mesh.Grants
	conditions []condition
	crowd      crowd
	served     []found
	first      func() []rival // who comes first; nil if that does not matter
}

// ask makes ready what is asked of nodes for a group, but for other copies.
func ask(g mesh.Group) *asked {
	return &asked{Group: g, asks: g.Asks(), conditions: conditions(g.Constraints)}
}

// filter refuses nodes for one kind of reason. The reason is "" where the node
// passes; it says nothing that changes by the second, so that whoever tells it
// can see whether it is news.
type filter struct {
	name   string
	reason func(n *mesh.NodeView, q *asked) string
}

// filters are asked in this order; the first that refuses gives the reason.
var filters = append([]filter{
	{"status", notInSight},
	{"eligibility", notEligible},
}, append(suits, []filter{
	{"service", unserved},
	{"distinct", tooNear},
	{"capacity", noRoom},
	{"grants", noGrants},
}...)...)

// suits are the filters for which it matters only what the node is.
var suits = []filter{
	{"role", runsNoTasks},
	{"pool", otherPool},
	{"driver", noDriver},
	{"isolation", notIsolated},
	{"program", noProgram},
	{"volume", noVolume},
	{"constraint", unmet},
	{"devices", neverGrants},
}

// refuse is why a node cannot take a copy of the group, or nil if it can.
func refuse(n *mesh.NodeView, q *asked) *Refusal {
	for _, f := range filters {
		if reason := f.reason(n, q); reason != "" {
			return &Refusal{Node: n.ID, Name: n.Name, Filter: f.name, Reason: reason}
		}
	}
	return nil
}

// spoken is why a node that can take a copy must not, as another comes first, or nil.
func spoken(n *mesh.NodeView, q *asked) *Refusal {
	if q.first == nil {
		return nil
	}
	if reason := outranked(n, q); reason != "" {
		return &Refusal{Node: n.ID, Name: n.Name, Filter: "priority", Reason: reason}
	}
	return nil
}

// Unsuited is why a node could never run a copy of the group, being what it is,
// or "": its state and its load may change and do not count.
func Unsuited(n *mesh.NodeView, g mesh.Group) string {
	q := ask(g)
	for _, f := range suits {
		if reason := f.reason(n, q); reason != "" {
			return reason
		}
	}
	return ""
}

func notInSight(n *mesh.NodeView, _ *asked) string {
	switch {
	case n.Liveness != mesh.Alive:
		return fmt.Sprintf("status %q", n.Liveness)
	case !n.Known:
		return "has not said yet what it can run"
	}
	return ""
}

func notEligible(n *mesh.NodeView, _ *asked) string {
	switch {
	case n.Quarantined != "":
		return "is quarantined: " + n.Quarantined
	case !n.Eligible:
		return "scheduling is disabled"
	}
	return ""
}

func runsNoTasks(n *mesh.NodeView, _ *asked) string {
	if n.Role == mesh.Witness {
		return "is a witness, which runs no tasks"
	}
	return ""
}

func noDriver(n *mesh.NodeView, q *asked) string {
	for _, t := range q.Tasks {
		driver := t.Driver
		if driver == "" {
			driver = mesh.DefaultDriver
		}
		if !slices.Contains(n.Drivers, driver) {
			if driver == mesh.ContainerDriver && n.Engine != nil && n.Engine.Lacks != "" {
				return fmt.Sprintf("driver %q is not available: %s", driver, n.Engine.Lacks)
			}
			return fmt.Sprintf("driver %q is not available", driver)
		}
	}
	return ""
}

// otherPool keeps work out of pools that it does not ask for.
func otherPool(n *mesh.NodeView, q *asked) string {
	if pool := poolOf(&n.Node); q.Pool != pool && q.Pool != mesh.AnyPool {
		return fmt.Sprintf("is in pool %q, not %q", pool, q.Pool)
	}
	return ""
}

func unmet(n *mesh.NodeView, q *asked) string {
	for i := range q.conditions {
		if c := &q.conditions[i]; !c.met(&n.Node) {
			return c.unmet(&n.Node)
		}
	}
	return ""
}

func notIsolated(n *mesh.NodeView, q *asked) string {
	for i := range q.Tasks {
		if why := cmp.Or(n.Isolates(&q.Tasks[i]), n.Houses(&q.Tasks[i])); why != "" {
			return why
		}
	}
	return ""
}

func noProgram(n *mesh.NodeView, q *asked) string {
	for i := range q.Tasks {
		if why := n.Prepares(&q.Tasks[i]); why != "" {
			return why
		}
	}
	return ""
}

func noVolume(n *mesh.NodeView, q *asked) string {
	for i := range q.Tasks {
		if why := n.Lends(&q.Tasks[i]); why != "" {
			return why
		}
	}
	return ""
}

func tooNear(n *mesh.NodeView, q *asked) string { return q.crowd.tooNear(&n.Node) }

func noRoom(n *mesh.NodeView, q *asked) string {
	return n.Capacity.Sub(n.Used.Resources).Lacks(q.Resources)
}

func noGrants(n *mesh.NodeView, q *asked) string {
	_, reason := grant(&n.Node, n.Used.Claims, q.asks, mesh.DynamicPortMin)
	return reason
}

// neverGrants is about what the node has: what is in use of it does not count.
func neverGrants(n *mesh.NodeView, q *asked) string {
	if q.asks == nil {
		return ""
	}
	has := Vacant(n)
	_, reason := grant(&has.Node, nil, q.asks, mesh.DynamicPortMin)
	return reason
}

// Vacant is a node as it would be if nothing ran on it, of ours or of others, and all of its
// devices were well.
func Vacant(n *mesh.NodeView) mesh.NodeView {
	has := *n
	has.Used, has.Foreign, has.Devices = mesh.Usage{}, nil, slices.Clone(n.Devices)
	for i := range has.Devices {
		has.Devices[i].Foreign, has.Devices[i].Sick = 0, ""
	}
	return has
}
