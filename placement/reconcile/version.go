package reconcile

import "mn/mesh"

// A new version replaces the copies whose group it changes, and leaves the
// others as they are: they keep running under the version that placed them.
// What counts as a change is decided by the hash of what the copy's node acts
// on (mesh.HashGroup), which a decision carries with it.
//
// Each index is replaced by itself, all of them at once: the old copy stops,
// and when its node says that it has, the new one is placed. An index never has
// more than one copy by plan, and the new copies find the room of the old.
//
// A version that leaves the content as it is, as of a pause or a retry, says by its
// numbers (mesh.JobVersion) from which version on what has completed counts, and
// from which what has failed does.

// retire stops the copies of a seat whose content is not wanted any more.
func (p *planner) retire(s *seat) {
	for _, a := range s.stale {
		what := "version %d changes group %q"
		switch v := p.beginsAnew(a); {
		case a.Content != s.content:
		case v != nil:
			p.stop([]*mesh.AllocView{a}, "%s", said("a person has it begin anew", v))
			continue
		case p.early(a) && p.passages[a.Group] == vain:
			what = "what group %[2]q comes after in version %[1]d has gone otherwise"
		case p.early(a):
			what = "version %d has others to run before group %q"
		default:
			what = "version %d retries group %q"
		}
		if s.of != nil {
			p.stop([]*mesh.AllocView{a}, "version %d stays, and version %d has not come to take its place",
				s.of.Number, a.Version)
			continue
		}
		p.yield([]*mesh.AllocView{a}, what, p.job.Number, s.Group)
	}
}
