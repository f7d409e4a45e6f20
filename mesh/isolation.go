package mesh

// Isolation says how a task is kept apart from its node and from other tasks.
// Unset, what it reserves of CPU and memory is a limit where its node can see to
// that, and it is not kept apart otherwise.
type Isolation string

// The isolations. Each but the first is a condition on the node.
const (
	IsolateNone    Isolation = "none"    // a plain process: what it reserves is no limit
	IsolateCgroup  Isolation = "cgroup"  // what it reserves is a limit, and so are its processes
	IsolateSandbox Isolation = "sandbox" // and it sees and writes no more than it must
)

// Isolates says why a node cannot keep a task apart as it wants, or "".
func (n *Node) Isolates(t *Task) string {
	var wants []Isolation
	switch t.Isolation {
	case IsolateCgroup:
		wants = []Isolation{IsolateCgroup}
	case IsolateSandbox:
		wants = []Isolation{IsolateSandbox}
		if t.Resources.CPU > 0 || t.Resources.Memory > 0 {
			wants = append(wants, IsolateCgroup)
		}
	case "", IsolateNone:
	}
	for _, i := range wants {
		switch why, said := n.Isolation[i]; {
		case !said:
			return `isolation "` + string(i) + `" is not available`
		case why != "":
			return `isolation "` + string(i) + `" is not available: ` + why
		}
	}
	return ""
}

// Houses says why a plain task cannot get to its own folder on a node, or "": it runs as a user
// who does not get through a folder on the way.
func (n *Node) Houses(t *Task) string {
	if n.Closed == "" || t.User == "" || t.User == "root" || t.Contained() {
		return ""
	}
	return "user \"" + t.User + "\" gets to no folder of a task, as \"" + n.Closed +
		"\" lets nobody but root through: let others pass (chmod o+x " + n.Closed +
		"), or keep the agent's data elsewhere (mn agent --data)"
}
