package reconcile

import (
	"fmt"
	"slices"

	"mn/mesh"
)

// What no plan may be for the services that the job needs.

// servedWhereItIs: no copy is placed on a node where something that it needs there does not pass.
func (c *checker) servedWhereItIs() error {
	for _, pl := range c.p.Place {
		of := &c.job.Job
		if b := c.job.Before; b != nil && pl.Alloc.Hash == b.Hash {
			of = &b.Job
		} else if c.earlier(&pl.Alloc) {
			continue
		}
		g, _ := of.Group(pl.Alloc.Group)
		for _, cand := range pl.Choice.Candidates {
			for _, t := range g.Tasks {
				for _, need := range t.Requires {
					if !c.passes(need, cand.Node, g.Name) {
						return fmt.Errorf("places %s on %s, where no %v of another copy passes",
							pl.Alloc.ID, cand.Node, &need)
					}
				}
			}
		}
	}
	return nil
}

// passes says whether a service passes on a node, or on any if that is "", by another copy than
// those of a group of the job; of the whole job if that is "".
func (c *checker) passes(need mesh.ServiceNeed, on mesh.NodeID, but string) bool {
	return slices.ContainsFunc(c.v.Offers, func(o mesh.Offer) bool {
		own := o.Job == c.p.Job && (but == "" || o.Group == but)
		return o.Usable && !own && need.MetBy(&o) && (on == "" || o.Node == on)
	})
}

// readyToBegin: the first copy of a version that was not forced is placed only if all passes that
// the job requires. It has begun if there is a copy of it, or one of the same content.
func (c *checker) readyToBegin() error {
	if c.job.Forced || len(c.p.Place) == 0 {
		return nil
	}
	for _, a := range c.v.AllocsOf(c.p.Job) {
		g, _ := c.job.Job.Group(a.Group)
		if a.Version == c.job.Number || a.Content == g.ContentOf(mesh.HashGroup(&c.job.Job, a.Group), a.Index) {
			return nil
		}
	}
	for _, need := range c.job.Job.Requires {
		if !c.passes(need, "", "") {
			return fmt.Errorf("begins though %v passes nowhere", &need)
		}
	}
	return nil
}

// unserved says whether nothing that runs, or is to, offers a copy what it needs on its node, nor did until
// just now.
func (c *checker) unserved(a *mesh.AllocView) bool {
	g, _ := c.job.Job.Group(a.Group)
	for _, t := range g.Tasks {
		for _, need := range t.Requires {
			if !slices.ContainsFunc(c.v.Offers, func(o mesh.Offer) bool {
				there := o.Ended.IsZero() || c.v.Now.Sub(o.Ended) < FollowAfter
				return need.MetBy(&o) && o.Node == a.Node && there && (o.Job != a.Job || o.Group != a.Group)
			}) {
				return true
			}
		}
	}
	return false
}
