package core

import (
	"maps"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// A majority of the voters that never comes back takes the right to decide with it: no
// machine can tell that from a split, in which the others go on. A person can, and says
// of each node out of sight that it will never run anything again. On that word the node
// that is asked is the only voter, without the consent of the old ones (rule R5 of
// placement/lease/DESIGN.md), and the mesh forgets those that are off. It knows then all
// that may still run, for it has compared its data with everybody in sight; others become
// voters in its turn, when they have learned that from it.
//
// Nodes that are no voters must be named, too: the last that the old voters decided may
// be on one of them, and nowhere else.

// vouchAfter is for how long the voters in sight must have been unable to decide, so that it
// is more than a change of the roster.
const vouchAfter = time.Minute

// vouch has this node vote alone because a person says that others are off for good.
func (c *Core) vouch(call Vouch) (reply any, last crdt.Entry, f *mesh.Fault) {
	off, f := c.namedOff(call.Off)
	if f == nil {
		f = c.mayVouch(off, call.Reason)
	}
	if f != nil {
		return nil, last, f
	}
	old := c.party.Roster()
	said := Vouched{Before: old.Epoch, Voter: c.name(c.self)}
	for _, v := range old.Voters {
		said.Was = append(said.Was, c.name(v.ID))
	}
	for _, id := range off {
		said.Off = append(said.Off, c.name(id))
	}
	if call.DryRun {
		return said, last, nil
	}
	out, err := c.party.Force(c.now.Boot, call.Reason)
	if err != nil {
		return nil, last, mesh.Faultf(mesh.Conflict, "%v", err)
	}
	c.take(out)
	said.Epoch = c.party.Roster().Epoch
	for _, id := range off {
		if _, member := c.records.members[id]; !member || c.forgotten(id) {
			continue
		}
		if _, last, f = c.evict(Evict{Node: id, Reason: call.Reason, Off: true}); f != nil {
			return nil, last, f
		}
	}
	return said, last, nil
}

// namedOff finds nodes by their names, ids, or the beginning of these; also those that are
// forgotten already, so that a word can be said twice.
func (c *Core) namedOff(refs []string) (ids []mesh.NodeID, f *mesh.Fault) {
	known := slices.Collect(maps.Keys(c.records.members))
	for _, v := range c.party.Roster().Voters {
		known = append(known, v.ID)
	}
	slices.Sort(known)
	for _, ref := range refs {
		is := func(id mesh.NodeID) bool {
			return c.name(id) == ref || len(ref) >= mesh.IDPrefixMin && strings.HasPrefix(string(id), ref)
		}
		// The name of one that is out may be another's by now, and that is meant then.
		i := slices.IndexFunc(known, func(id mesh.NodeID) bool { return is(id) && !c.Evicted(id) })
		if i < 0 {
			i = slices.IndexFunc(known, is)
		}
		if i < 0 {
			return nil, mesh.Faultf(mesh.NotFound, "no node %q", ref).Hint("mn node ls")
		}
		if !slices.Contains(ids, known[i]) {
			ids = append(ids, known[i])
		}
	}
	return ids, nil
}

// mayVouch says why nobody can vouch that this node may decide alone, if so.
func (c *Core) mayVouch(off []mesh.NodeID, reason string) *mesh.Fault {
	if reason == "" {
		return mesh.Faultf(mesh.Invalid, "there must be a reason: it is kept for good")
	}
	for _, id := range off {
		if f := c.mayForget(Evict{Node: id, Off: true}); f != nil {
			return f
		}
	}
	roster := c.party.Roster()
	if len(roster.Voters) == 0 {
		return mesh.Faultf(mesh.Unavailable, "this node does not know the voters yet").Hint("try again in a moment")
	}
	sees := func(id mesh.NodeID) bool {
		p := c.peers[id]
		return !c.Evicted(id) && (id == c.self || p != nil && p.liveness == mesh.Alive)
	}
	knows := func(id mesh.NodeID) bool {
		standing := c.inform.read[id].standing
		if id == c.self {
			standing = c.party.Standing()
		}
		return sees(id) && standing.Knows == roster.Epoch
	}
	decides := mesh.Faultf(mesh.Conflict,
		"a majority of %s is in sight: the mesh decides by itself",
		mesh.Counted(len(roster.Voters), "voter", "voters")).
		Hint("mn node forget NAME --off, for a machine that is off for good")
	if c.party.Majority(knows) {
		return decides
	}
	if f := c.unnamed(off, sees); f != nil {
		return f
	}
	if f := c.unread(sees); f != nil {
		return f
	}
	// All that are in sight have been read, and do not know what was decided before them.
	if c.party.Majority(sees) && c.now.Boot < c.inform.learned+vouchAfter {
		return decides
	}
	return nil
}

// unnamed is that a node out of sight is not said to be off, if one is.
func (c *Core) unnamed(off []mesh.NodeID, sees func(mesh.NodeID) bool) *mesh.Fault {
	var missing []string
	every := c.records.memberIDs()
	for _, v := range c.party.Roster().Voters {
		if !slices.Contains(every, v.ID) {
			every = append(slices.Clone(every), v.ID)
		}
	}
	for _, id := range every {
		if sees(id) || c.forgotten(id) || slices.Contains(off, id) {
			continue
		}
		if c.peers[id] == nil && !c.graceOver() {
			return c.mayForget(Evict{Node: id, Off: true})
		}
		missing = append(missing, c.name(id))
	}
	if len(missing) == 0 {
		return nil
	}
	roster := c.party.Roster()
	return mesh.Faultf(mesh.Conflict,
		"nobody but you can know that what is out of sight will never run anything again: %s",
		strings.Join(missing, ", ")).
		Hint("say so, with --off %s; or start as many of the %d voters as make %d in sight",
			strings.Join(missing, ","), len(roster.Voters), roster.Quorum())
}

// unread is that this node has yet to compare its data with a node in sight, since no
// majority of the voters has been there to decide, or these voters are.
func (c *Core) unread(sees func(mesh.NodeID) bool) *mesh.Fault {
	since := max(c.lead.aloneAt, c.inform.learned)
	var unread []string
	for _, id := range c.records.memberIDs() {
		if r, ok := c.inform.read[id]; id != c.self && sees(id) && (!ok || r.began < since) {
			c.begin(id)
			unread = append(unread, c.name(id))
		}
	}
	if len(unread) == 0 {
		return nil
	}
	return mesh.Faultf(mesh.Unavailable, "this node asks the others what they know: %s", strings.Join(unread, ", ")).
		Hint("try again in a moment")
}
