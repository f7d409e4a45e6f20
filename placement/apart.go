package placement

import (
	"fmt"

	"mn/mesh"
)

// crowd is where the copies are that a group's new one must keep apart from, or spread
// away from.
type crowd struct {
	apart []neighbours
	over  []neighbours // of the attributes that its copies are spread over
}

// neighbours counts copies by what their nodes have of an attribute: by the node itself if
// it has no name.
type neighbours struct {
	mesh.Apart
	copies map[string]int
}

// around counts the copies of a job that are meant to stay where they are.
func around(v *mesh.View, job *mesh.Job, g mesh.Group) crowd {
	var c crowd
	for _, a := range g.Apart {
		c.apart = append(c.apart, neighbours{a, count(v, job, g, a)})
	}
	for _, s := range g.Spreads {
		a := mesh.Apart{Attribute: s.Attribute}
		c.over = append(c.over, neighbours{a, count(v, job, g, a)})
	}
	return c
}

func count(v *mesh.View, job *mesh.Job, g mesh.Group, a mesh.Apart) map[string]int {
	copies := map[string]int{}
	allocs := v.AllocsOf(mesh.JobID(job.Name))
	for i := range allocs {
		o := &allocs[i]
		if o.Want != mesh.WantRun || o.State().Final() || o.Group != g.Name && !a.Job {
			continue
		}
		if n := v.Node(o.Node); n != nil {
			copies[property(&n.Node, a.Attribute)]++
		}
	}
	return copies
}

// property is what nodes that count as one have in common; "" where they have nothing of
// the attribute.
func property(n *mesh.Node, name string) string {
	if name == "" {
		return string(n.ID)
	}
	if has := attribute(n, name); len(has) > 0 {
		return has[0]
	}
	return ""
}

// tooNear is why a copy on the node would be too near to others, or "". What has nothing
// of the attribute is near to nobody.
func (c *crowd) tooNear(n *mesh.Node) string {
	for _, a := range c.apart {
		at := property(n, a.Attribute)
		switch copies := a.copies[at]; {
		case at == "" || copies < a.Limit:
		case a.Attribute == "":
			return "distinct_hosts: it has a copy already"
		default:
			return fmt.Sprintf("distinct_property: %s where %s is %s",
				mesh.Counted(copies, "copy is", "copies are"), a.Attribute, at)
		}
	}
	return ""
}

// spread are the terms of a score for what the copies are spread over: the fewer have the
// node's value already, for their part, the better.
func (c *crowd) spread(n *mesh.Node, over []mesh.SpreadOver) []Term {
	var terms []Term
	for i, s := range over {
		at := property(n, s.Attribute)
		terms = append(terms, Term{"spread over " + s.Attribute, -share(c.over[i].copies, at, s.Targets)})
	}
	return terms
}

// spreadWeight makes what the copies are spread over matter more than the strategy, and
// than all affinities that a job may have.
const spreadWeight = 200 * copyWeight

// share is how much one more copy is of the part that is meant for those with the same
// value (the quotients of d'Hondt's rule). Values without a target share what is left of
// the whole; if nothing is, a copy there is more than anywhere else.
func share(copies map[string]int, value string, targets []mesh.SpreadTarget) int64 {
	if len(targets) == 0 {
		return spreadWeight * int64(copies[value])
	}
	rest, unnamed := int64(100), 0
	for _, n := range copies {
		unnamed += n
	}
	for _, t := range targets {
		if string(t.Value) == value {
			return spreadWeight * 100 * int64(copies[value]+1) / int64(max(t.Percent, 1))
		}
		rest -= int64(t.Percent)
		unnamed -= copies[string(t.Value)]
	}
	if rest <= 0 {
		return spreadWeight * 100 * (mesh.CopiesMax + int64(unnamed+1))
	}
	return spreadWeight*100*int64(unnamed+1)/rest + int64(copies[value])
}
