package daemon

import (
	"context"
	"slices"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
	"mn/placement/lease"
	"mn/placement/reconcile"
)

// Suppose says what would become of the copies that it is about, as those see it who
// are in sight of each other then.
func (b *backend) Suppose(ctx context.Context, s api.Supposition) ([]api.Foreseen, error) {
	var view *mesh.View
	var voters lease.Roster
	if err := b.loop.look(ctx, func(c *core.Core) { view, voters = c.View(), c.Roster() }); err != nil {
		return nil, err
	}
	return foreseen(view, voters, s), nil
}

func foreseen(view *mesh.View, voters lease.Roster, s api.Supposition) []api.Foreseen {
	var alive []mesh.NodeID
	for i := range view.Nodes {
		if view.Nodes[i].Liveness == mesh.Alive {
			alive = append(alive, view.Nodes[i].ID)
		}
	}
	except := func(out []mesh.NodeID) []mesh.NodeID {
		return slices.DeleteFunc(slices.Clone(alive), func(id mesh.NodeID) bool { return slices.Contains(out, id) })
	}
	switch {
	case s.Admin.Node != "":
		return []api.Foreseen{foresee(reconcile.Want(view, s.Admin), voters, []mesh.NodeID{s.Admin.Node}, alive)}
	case s.GivenUp != "":
		return []api.Foreseen{foresee(reconcile.GiveUp(view, s.GivenUp), voters, []mesh.NodeID{s.GivenUp}, alive)}
	case len(s.Sides) == 0:
		return []api.Foreseen{foresee(reconcile.Lose(view, s.Lost), voters, s.Lost, except(s.Lost))}
	}
	var sides []api.Foreseen
	for _, side := range s.Sides {
		others := except(side)
		f := foresee(reconcile.Lose(view, others), voters, others, side)
		for i := range f.Outcomes {
			// The others go on: where there may be two, what starts does so beside.
			o := &f.Outcomes[i]
			job := view.Job(o.Job)
			if o.Becomes == mesh.Moves && !slices.Contains(side, o.Node) && job.Job.Recovery.Partition() == mesh.Eager {
				o.Becomes = mesh.StartsBeside
			}
		}
		sides = append(sides, f)
	}
	return sides
}

// foresee is what becomes of the copies on some nodes, and of what stops elsewhere for
// that, where some are in sight of each other. A drain that goes on anyway is left out.
func foresee(view *mesh.View, voters lease.Roster, about, inSight []mesh.NodeID) api.Foreseen {
	n := 0
	for _, v := range voters.Voters {
		if slices.Contains(inSight, v.ID) {
			n++
		}
	}
	f := api.Foreseen{
		Snapshot: api.Snapshot{View: view}, InSight: inSight, Granted: voters.Epoch > 0 && n >= voters.Quorum(),
	}
	for i := range view.Jobs {
		plan := reconcile.Job(view, &view.Jobs[i], nil, f.Granted)
		f.Outlooks = append(f.Outlooks, api.Outlook{
			Status: plan.Status, Wanted: plan.Wanted, Drain: plan.Drain, Text: outlook(plan),
		})
	}
	for _, o := range reconcile.Foresee(view, f.Granted) {
		others := slices.Contains(inSight, o.Node) && view.Node(o.Node).Admin.Mode != mesh.Draining
		if slices.Contains(about, o.Node) || others {
			f.Outcomes = append(f.Outcomes, o)
		}
	}
	return f
}
