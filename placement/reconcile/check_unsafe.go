package reconcile

import (
	"fmt"

	"mn/mesh"
)

// neverAgain: nothing is placed in the seat of a copy whose unsafe work may have been
// begun and was not completed, unless a person said so: of that copy, or of the job
// since it has ended.
func (c *checker) neverAgain() error {
	for _, pl := range c.p.Place {
		g, _ := c.job.Job.Group(pl.Alloc.Group)
		if mesh.Hazard(g.Tasks) == nil {
			continue
		}
		for _, o := range c.v.AllocsOf(c.p.Job) {
			if o.Seat() == pl.Alloc.Seat() && !c.answered(&o) && c.mayHaveRun(&o, g) {
				return fmt.Errorf("places %v again after %s, which is unsafe and may have run", o.Seat(), o.ID)
			}
		}
	}
	return nil
}

// mayHaveRun says whether unsafe work of a copy may have been begun, and was not done.
func (c *checker) mayHaveRun(o *mesh.AllocView, g mesh.Group) bool {
	if !o.State().Final() {
		return true
	}
	for _, t := range g.Tasks {
		if t.Safety.Mark() != "" && o.Status.Began(t.Name) {
			return o.State() != mesh.Complete || c.job.Job.Type.Long()
		}
	}
	return false
}

// answered says whether what became of a copy has been dealt with: another has taken
// its place, a person said that one may, or a version that begins anew came later.
func (c *checker) answered(o *mesh.AllocView) bool {
	for _, n := range c.v.AllocsOf(c.p.Job) {
		if n.Replaces == o.ID {
			return true
		}
	}
	if v := o.Verdict; v != nil && v.Approve && (v.Kind != mesh.ReviewDrain || o.Leaves) {
		return true
	}
	anew, _ := c.job.AnewWhen()
	g, _ := c.job.Job.Group(o.Group)
	content := g.ContentOf(mesh.HashGroup(&c.job.Job, o.Group), o.Index)
	earlier := o.Version < anew.Number || !c.job.CameFrom(o.Version, o.Hash)
	return earlier && o.State().Final() && (o.Content != content || !o.Status.At.After(anew.At))
}

// vouched says whether a person said of a copy out of sight that it does not run, or
// that nobody needs it.
func vouched(o *mesh.AllocView) bool { return o.Verdict != nil && o.Verdict.Kind == mesh.ReviewLost }
