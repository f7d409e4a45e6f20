package placement

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// filter refuses nodes for one kind of reason. The reason is "" where the node
// passes; it says nothing that changes by the second, so that whoever tells it
// can see whether it is news.
type filter struct {
	name   string
	reason func(n *mesh.NodeView, g mesh.Group) string
}

// filters are asked in this order; the first that refuses gives the reason.
var filters = []filter{
	{"status", notInSight},
	{"eligibility", notEligible},
	{"role", runsNoTasks},
	{"driver", noDriver},
	{"isolation", notIsolated},
	{"volume", noVolume},
	{"capacity", noRoom},
}

// refuse is why a node cannot take a copy of the group, or nil if it can.
func refuse(n *mesh.NodeView, g mesh.Group) *Refusal {
	for _, f := range filters {
		if reason := f.reason(n, g); reason != "" {
			return &Refusal{Node: n.ID, Name: n.Name, Filter: f.name, Reason: reason}
		}
	}
	return nil
}

// Unsuited is why a node could never run a copy of the group, being what it is,
// or "": its state and its load may change and do not count.
func Unsuited(n *mesh.NodeView, g mesh.Group) string {
	for _, reason := range []string{runsNoTasks(n, g), noDriver(n, g), notIsolated(n, g), noVolume(n, g)} {
		if reason != "" {
			return reason
		}
	}
	return ""
}

func notInSight(n *mesh.NodeView, _ mesh.Group) string {
	switch {
	case n.Liveness != mesh.Alive:
		return fmt.Sprintf("status %q", n.Liveness)
	case !n.Known:
		return "has not said yet what it can run"
	}
	return ""
}

func notEligible(n *mesh.NodeView, _ mesh.Group) string {
	if !n.Eligible {
		return "scheduling is disabled"
	}
	return ""
}

func runsNoTasks(n *mesh.NodeView, _ mesh.Group) string {
	if n.Role == mesh.Witness {
		return "is a witness, which runs no tasks"
	}
	return ""
}

func noDriver(n *mesh.NodeView, g mesh.Group) string {
	for _, t := range g.Tasks {
		driver := t.Driver
		if driver == "" {
			driver = mesh.DefaultDriver
		}
		if !slices.Contains(n.Drivers, driver) {
			return fmt.Sprintf("driver %q is not available", driver)
		}
	}
	return ""
}

func notIsolated(n *mesh.NodeView, g mesh.Group) string {
	for i := range g.Tasks {
		if why := n.Isolates(&g.Tasks[i]); why != "" {
			return why
		}
	}
	return ""
}

func noVolume(n *mesh.NodeView, g mesh.Group) string {
	for i := range g.Tasks {
		if why := n.Lends(&g.Tasks[i]); why != "" {
			return why
		}
	}
	return ""
}

func noRoom(n *mesh.NodeView, g mesh.Group) string {
	return n.Capacity.Sub(n.Used).Lacks(g.Resources)
}
