package core

import (
	"mn/crdt"
	"mn/mesh"
)

// FiredUnder is the fence under which it was decided about a run; epoch 0 if that was without a
// majority.
func (c *Core) FiredUnder(id, run mesh.JobID) crdt.Fence {
	e, _ := c.replica.Get(mesh.KeyFired(id, run))
	return e.Fence
}
