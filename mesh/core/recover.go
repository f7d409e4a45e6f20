package core

import (
	"slices"
	"strings"

	"mn/crdt"
	"mn/mesh"
)

// A majority of the voters that never comes back takes the right to decide with it: no
// machine can tell that from a split, in which the others go on. A person can, and says
// of each voter out of sight that it will never run anything again. On that word the node
// that is asked names other voters without the consent of the old ones (rule R5 of
// placement/lease/DESIGN.md), and the mesh forgets those that are off.

// vouch has this node name new voters because a person says that others are off for good.
func (c *Core) vouch(call Vouch) (reply any, last crdt.Entry, f *mesh.Fault) {
	if f := c.mayVouch(&call); f != nil {
		return nil, last, f
	}
	off := func(id mesh.NodeID) bool { return slices.Contains(call.Off, id) || c.Evicted(id) }
	old, heirs := c.party.Roster(), c.party.Heirs(off)
	said := Vouched{Before: old.Epoch}
	for _, v := range old.Voters {
		said.Was = append(said.Was, v.ID)
	}
	for _, m := range heirs {
		said.Voters = append(said.Voters, m.ID)
	}
	if call.DryRun {
		return said, last, nil
	}
	out, err := c.party.Force(c.now.Boot, heirs, call.Reason)
	if err != nil {
		return nil, last, mesh.Faultf(mesh.Conflict, "%v", err)
	}
	c.take(out)
	said.Epoch = c.party.Roster().Epoch
	for _, id := range call.Off {
		if c.forgotten(id) {
			continue
		}
		if _, last, f = c.evict(Evict{Node: id, Reason: call.Reason, Off: true}); f != nil {
			return nil, last, f
		}
	}
	return said, last, nil
}

// mayVouch says why nobody can vouch for new voters, if so.
func (c *Core) mayVouch(call *Vouch) *mesh.Fault {
	if call.Reason == "" {
		return mesh.Faultf(mesh.Invalid, "there must be a reason: it is kept for good")
	}
	sees := func(id mesh.NodeID) bool {
		p := c.peers[id]
		return id == c.self || p != nil && p.liveness == mesh.Alive && !c.Evicted(id)
	}
	for _, id := range call.Off {
		if _, member := c.records.members[id]; !member {
			return mesh.Faultf(mesh.NotFound, "no node %q", id).Hint("mn node ls")
		}
		if f := c.mayForget(Evict{Node: id, Off: true}); f != nil {
			return f
		}
	}
	voters := c.party.Roster().Voters
	var missing []string
	for _, v := range voters {
		if sees(v.ID) || c.forgotten(v.ID) || slices.Contains(call.Off, v.ID) {
			continue
		}
		if c.peers[v.ID] == nil && !c.graceOver() {
			return c.mayForget(Evict{Node: v.ID, Off: true})
		}
		missing = append(missing, c.name(v.ID))
	}
	switch {
	case len(voters) == 0:
		return mesh.Faultf(mesh.Unavailable, "this node does not know the voters yet").Hint("try again in a moment")
	case c.party.Majority(sees):
		return mesh.Faultf(mesh.Conflict,
			"a majority of the %d voters is in sight: the mesh decides by itself", len(voters)).
			Hint("mn node forget NAME --off, for a machine that is off for good")
	case len(missing) > 0:
		return mesh.Faultf(mesh.Conflict,
			"nobody but you can know that these voters, out of sight, will never run anything again: %s",
			strings.Join(missing, ", ")).
			Hint("say so, with --off %s; or start one of them: a majority of the %d voters is enough",
				strings.Join(missing, ","), len(voters))
	}
	return nil
}
