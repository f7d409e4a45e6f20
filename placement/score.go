package placement

import (
	"slices"

	"mn/mesh"
)

// Whole is the score of a node that is full in all that it shares out. Scores
// are integers: floating point differs between processors, and plans must not.
const Whole = 1_000_000

// copyWeight makes one more copy on a node count more than any load, as spread
// evens out the copies first.
const copyWeight = 2 * Whole

// scorerFor is the scoring function of the job's strategy, for one group.
func scorerFor(v *mesh.View, job *mesh.Job, g mesh.Group) func(*mesh.NodeView) []Term {
	switch job.Strategy {
	case mesh.Spread:
		copies := copiesOn(v, mesh.JobID(job.Name), g.Name)
		return func(n *mesh.NodeView) []Term {
			return []Term{
				{"copies", -copyWeight * int64(copies[n.ID])},
				{"load", -fullness(n, g)},
			}
		}
	case mesh.Binpack, "":
	}
	return func(n *mesh.NodeView) []Term { return []Term{{"packed", fullness(n, g)}} }
}

// wishes are the terms of a node for what a group would like: a weight of 100 counts as
// much as the difference between an empty node and a full one.
func wishes(affinities []mesh.Affinity) func(*mesh.Node) []Term {
	var ready []condition
	for i := range affinities {
		ready = append(ready, conditions([]mesh.Constraint{affinities[i].Condition()})...)
	}
	return func(n *mesh.Node) []Term {
		var terms []Term
		for i := range ready {
			if ready[i].met(n) {
				terms = append(terms, Term{"affinity " + ready[i].Attribute, int64(affinities[i].Weight) * Whole / 100})
			}
		}
		return terms
	}
}

// filesWhole are the bytes that count as much, where they are already, as a quarter of the
// difference between an empty node and a full one. Fewer count less, and more do not.
const filesWhole = mesh.GiB

// local is the term of a node that has the job's files already.
func local(job *mesh.Job) func(*mesh.Node) []Term {
	p := job.Payload
	return func(n *mesh.Node) []Term {
		if p == nil || !slices.Contains(n.Files, p.Tree) {
			return nil
		}
		return []Term{{"files", portion(int64(p.Bytes), int64(filesWhole)) / 4}}
	}
}

// fetched is the term of a node on which what a group fetches before it starts was fetched
// before: all of it counts as much as the most that files do. How large it is nobody knows.
func fetched(g mesh.Group) func(*mesh.Node) []Term {
	want := g.Fetches()
	return func(n *mesh.Node) []Term {
		have := int64(0)
		for _, name := range want {
			if _, is := slices.BinarySearch(n.Fetched, name); is {
				have++
			}
		}
		if have == 0 {
			return nil
		}
		return []Term{{"fetched", portion(have, int64(len(want))) / 4}}
	}
}

// copiesOn counts the copies of a group that are on each node, and are meant to
// stay there.
func copiesOn(v *mesh.View, job mesh.JobID, group string) map[mesh.NodeID]int {
	copies := map[mesh.NodeID]int{}
	for i, allocs := 0, v.AllocsOf(job); i < len(allocs); i++ {
		a := &allocs[i]
		if a.Group == group && a.Want == mesh.WantRun && !a.State().Final() {
			copies[a.Node]++
		}
	}
	return copies
}

// fullness is how much of a node would be in use with one more copy of the
// group: the mean over all that the node shares out.
func fullness(n *mesh.NodeView, g mesh.Group) int64 {
	used := n.Used.Resources.Add(g.Resources)
	shares := [...]struct{ used, of int64 }{
		{int64(used.CPU), int64(n.Capacity.CPU)},
		{int64(used.Memory), int64(n.Capacity.Memory)},
		{int64(used.Disk), int64(n.Capacity.Disk)},
	}
	sum, kinds := int64(0), int64(0)
	for _, s := range shares {
		if s.of > 0 {
			sum += portion(s.used, s.of)
			kinds++
		}
	}
	if kinds == 0 {
		return 0
	}
	return sum / kinds
}

// portion is used/of in millionths, for amounts that must not overflow when
// they are multiplied.
func portion(used, of int64) int64 {
	const safe = 1 << 40
	for of > safe {
		used, of = used/2, of/2
	}
	return min(max(used, 0), of) * Whole / of
}
