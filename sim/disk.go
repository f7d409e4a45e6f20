package sim

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
	"mn/placement/lease"
)

// disk keeps what a node has made durable, as the store does: a commit is there
// whole or not at all.
type disk struct {
	entries    map[string]crdt.Entry
	seen       crdt.Seen
	quarantine []crdt.Quarantined
	nextSeq    uint64
	life       uint64
	facts      map[string][]byte
	runs       map[string]run  // what supervisors have on record, by task
	damage     []string        // what was lost, to be told at the next start
	trees      map[string]tree // what was saved of tasks
}

func newDisk() *disk {
	return &disk{
		entries: map[string]crdt.Entry{}, seen: crdt.Seen{},
		facts: map[string][]byte{}, runs: map[string]run{}, trees: map[string]tree{},
	}
}

// clone is a copy, as a backup makes it.
func (d *disk) clone() *disk {
	c := *d
	c.entries, c.seen, c.facts = maps.Clone(d.entries), d.seen.Clone(), maps.Clone(d.facts)
	c.trees = maps.Clone(d.trees)
	c.runs, c.quarantine = maps.Clone(d.runs), slices.Clone(d.quarantine)
	return &c
}

// commit keeps what a Ready wants kept.
func (d *disk) commit(r *core.Ready) {
	b := &r.Keep
	if b.Reset {
		clear(d.entries)
		d.seen, d.quarantine = crdt.Seen{}, nil
	}
	for _, key := range b.Remove {
		delete(d.entries, key)
	}
	for _, e := range b.Put {
		d.entries[e.Key] = e
	}
	for origin, known := range b.Seen {
		if d.seen[origin] = known; known.Head == 0 {
			delete(d.seen, origin)
		}
	}
	d.quarantine = append(slices.DeleteFunc(d.quarantine, func(q crdt.Quarantined) bool {
		return slices.Contains(b.Release, q.ID)
	}), b.Quarantine...)
	d.nextSeq, d.damage = max(d.nextSeq, b.NextSeq), nil
	for _, f := range r.Facts {
		if d.facts[f.Key] = f.Value; f.Value == nil {
			delete(d.facts, f.Key)
		}
	}
}

// load is what a core finds when it starts. Each start is a new life.
func (d *disk) load() core.Disk {
	d.life++
	loaded := core.Disk{Replica: crdt.Kept{
		Seen: d.seen.Clone(), Quarantine: slices.Clone(d.quarantine),
		NextSeq: d.nextSeq, Life: d.life, Damage: d.damage, Secret: []byte("sim"),
	}}
	for _, key := range slices.Sorted(maps.Keys(d.entries)) {
		loaded.Replica.Entries = append(loaded.Replica.Entries, d.entries[key])
	}
	for _, key := range slices.Sorted(maps.Keys(d.facts)) {
		loaded.Facts = append(loaded.Facts, lease.Fact{Key: key, Value: d.facts[key]})
	}
	return loaded
}

// spoil loses some of the records, as a disk that goes bad does, and notices.
// The promises of a voter are never among them: without these a node has no
// business to go on under its old name.
func (d *disk) spoil(dice chance, share Share) int {
	lost := 0
	for _, key := range slices.Sorted(maps.Keys(d.entries)) {
		if dice.hits(share) {
			delete(d.entries, key)
			lost++
		}
	}
	if lost > 0 {
		d.damage = append(d.damage, "records")
	}
	return lost
}

// forgot says whether a disk has lost records, and what a voter has to know is
// not learned again: what the others teach it. See lease.Lesson.
func (d *disk) forgot() bool {
	var k struct {
		Forgot bool `json:"f"`
	}
	err := crdt.Decode(d.facts["lease/knows"], &k)
	return len(d.damage) > 0 || err == nil && k.Forgot
}

// beyond says whether a later state of a disk has promised or voted something that
// an earlier one does not know. (A write that it does not know may go unnoticed: the
// next one has its number. See crdt/DESIGN.md.)
func (d *disk) beyond(earlier *disk) bool {
	for _, fact := range []string{"lease/promise", "lease/ballot"} {
		if d != nil && !bytes.Equal(d.facts[fact], earlier.facts[fact]) {
			return true
		}
	}
	return false
}

// holds says whether a version of a job is on the disk.
func (d *disk) holds(key string) bool {
	_, ok := d.entries[key]
	return ok
}

// run is what a supervisor has on record of the last attempt of a task.
type run struct {
	alloc   mesh.AllocID
	task    string
	attempt int
	pid     int
	started time.Time // zero: the task was not forked before its machine went down
	boot    mesh.BootID
	ended   bool
	code    int
	signal  int
	expired bool
	err     string
	at      time.Time
}

// records are the runs of which there is a record, in order.
func (d *disk) records() []run {
	all := slices.Collect(maps.Values(d.runs))
	slices.SortFunc(all, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.alloc, b.alloc), cmp.Compare(a.task, b.task))
	})
	return all
}
