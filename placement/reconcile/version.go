package reconcile

// A new version replaces the copies whose group it changes, and leaves the
// others as they are: they keep running under the version that placed them.
// What counts as a change is decided by the hash of what the copy's node acts
// on (mesh.HashGroup), which a decision carries with it.
//
// Each index is replaced by itself, all of them at once: the old copy stops,
// and when its node says that it has, the new one is placed. An index never has
// more than one copy by plan, and the new copies find the room of the old.

// retire stops the copies of a seat whose content is not wanted any more.
func (p *planner) retire(s *seat) {
	p.stop(s.stale, "version %d changes group %q", p.job.Number, s.Group)
}
