package sim

import (
	"mn/crdt"
	"mn/mesh/core"
)

// Bounds of values.
const (
	valuesFrom = 64      // hosts: a mesh of fewer keeps what each of them has apart
	valuesMax  = 1 << 17 // kept; then they begin anew
)

// values are the values of entries, in memory once for all hosts of a large
// mesh: what a thousand of them hold of each other would not fit otherwise.
type values struct {
	w    *world
	kept map[string][]byte
}

// intern replaces the values in a message that has come by those that are kept.
func (v *values) intern(m *core.Message) {
	if len(v.w.hosts) < valuesFrom {
		return
	}
	switch {
	case m.Push != nil:
		v.share(m.Push.Entries)
	case m.Answer != nil:
		v.share(m.Answer.Entries)
	case m.Confirm != nil:
		v.share(m.Confirm.Entries)
	}
}

func (v *values) share(entries []crdt.Entry) {
	if len(v.kept) > valuesMax {
		clear(v.kept)
	}
	for i := range entries {
		e := &entries[i]
		if len(e.Value) == 0 {
			continue
		}
		if _, ok := v.kept[string(e.Value)]; !ok {
			v.kept[string(e.Value)] = e.Value
		}
		e.Value = v.kept[string(e.Value)]
	}
}
