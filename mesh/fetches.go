package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// FetchedMax is how many names of what was fetched a node tells, the latest.
const FetchedMax = 256

// Fetches are names for what has to come to a node before tasks of the group start: images, and
// artifacts that say what they must be. They are sorted, and hashes, as an address may have a
// password in it. Environments for Python are not among them: tasks make those once they have
// started, and may fail to.
func (g *Group) Fetches() []string {
	var all []string
	add := func(kind string, what any) {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %q", kind, what))
		all = append(all, hex.EncodeToString(sum[:8]))
	}
	for i := range g.Tasks {
		t := &g.Tasks[i]
		if t.Container != nil {
			add("image", t.Container.Image)
		}
		for j := range t.Artifacts {
			if a := &t.Artifacts[j]; a.Pinned() {
				name := a.Name()
				add("artifact", hex.EncodeToString(name[:]))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
