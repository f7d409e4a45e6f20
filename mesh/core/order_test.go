package core

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"

	"pgregory.net/rapid"
)

// What the records say must not depend on the order in which entries arrive,
// on how often they do, or in which batches. Each test draws what was written,
// lets it arrive in two ways, and holds both against a plain model.

var dawn = time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC)

// arrived is the records of a node to which entries have come in some order, some
// of them more than once, in batches.
func arrived(t *rapid.T, label string, entries []crdt.Entry) *records {
	replica, err := crdt.NewReplica("reader", crdt.Kept{})
	if err != nil {
		t.Fatal(err)
	}
	replica.Valid = valid
	r := newRecords()
	again := rapid.SliceOfN(rapid.SampledFrom(entries), 0, len(entries)).Draw(t, label+" again")
	order := rapid.Permutation(append(slices.Clone(entries), again...)).Draw(t, label+" order")
	for len(order) > 0 {
		n := rapid.IntRange(1, len(order)).Draw(t, label+" batch")
		merged := replica.Merge(order[:n], dawn.Add(time.Hour))
		for _, refused := range merged.Refused {
			t.Fatalf("refused: %v", refused.Err)
		}
		for _, e := range merged.News {
			r.apply(e)
		}
		order = order[n:]
	}
	return r
}

// writes numbers what several nodes write.
type writes struct {
	next    map[string]uint64
	entries []crdt.Entry
}

// add writes a record, or a delete if there is none, as a node at an hour of its own.
func (w *writes) add(by mesh.NodeID, key string, fence crdt.Fence, wall time.Time, rec any) crdt.Entry {
	if w.next == nil {
		w.next = map[string]uint64{}
	}
	origin := string(by)
	w.next[origin]++
	e := crdt.Entry{
		Key: key, Deleted: rec == nil, Fence: fence, Dot: crdt.Dot{Origin: origin, Seq: w.next[origin]},
		Stamp: crdt.Stamp{Wall: wall.UnixMilli(), Logical: uint32(w.next[origin]), Node: origin},
	}
	if rec != nil {
		value, err := crdt.Encode(rec)
		if err != nil {
			panic(err)
		}
		e.Value = value
	}
	w.entries = append(w.entries, e)
	return e
}

// last is the model of a replica: of each key, the entry that none beats.
func (w *writes) last() map[string]crdt.Entry {
	last := map[string]crdt.Entry{}
	for _, e := range w.entries {
		if o, ok := last[e.Key]; !ok || e.Compare(&o) > 0 {
			last[e.Key] = e
		}
	}
	return last
}

var writers = []mesh.NodeID{"n1", "n2", "n3"}

// drawVersions draws versions of one job: each replaces one before it, or none,
// and some are written twice, by two peers that took the same.
func drawVersions(t *rapid.T) *writes {
	w := &writes{}
	versions := []mesh.JobVersion{{}} // the first stands for no parent
	for i := range rapid.IntRange(1, 8).Draw(t, "versions") {
		parent := rapid.SampledFrom(versions).Draw(t, "parent")
		v := mesh.JobVersion{
			Job:    mesh.Job{Name: "web", Priority: i},
			Number: parent.Number + 1, Parent: parent.Hash, Hash: fmt.Sprintf("%04d", i),
			At: dawn.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "at")) * time.Minute),
		}
		versions = append(versions, v)
		for range rapid.IntRange(1, 2).Draw(t, "copies") {
			v.By = rapid.SampledFrom(writers).Draw(t, "by")
			w.add(v.By, mesh.KeyJob("web", v.Number, v.Hash), crdt.Fence{}, v.At, v)
		}
	}
	return w
}

// jobModel is what a job is: the versions that no other names as its parent,
// the winner first.
func jobModel(last map[string]crdt.Entry) (heads, history []mesh.JobVersion) {
	parents := map[string]int{}
	for _, e := range last {
		var v mesh.JobVersion
		if err := crdt.Decode(e.Value, &v); err != nil {
			panic(err)
		}
		history = append(history, v)
		parents[v.Parent]++
	}
	rank := func(a, b mesh.JobVersion) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), a.At.Compare(b.At), cmp.Compare(a.Hash, b.Hash))
	}
	for _, v := range history {
		if parents[v.Hash] == 0 {
			heads = append(heads, v)
		}
	}
	slices.SortFunc(heads, func(a, b mesh.JobVersion) int { return rank(b, a) })
	slices.SortFunc(history, func(a, b mesh.JobVersion) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Hash, b.Hash))
	})
	return heads, history
}

func TestVersionsOfAJobArriveInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawVersions(t)
		heads, history := jobModel(w.last())
		for _, label := range []string{"one", "two"} {
			r := arrived(t, label, w.entries)
			job, ok := r.job("web")
			if got := append([]mesh.JobVersion{job.JobVersion}, job.Conflicts...); !ok ||
				!reflect.DeepEqual(got, heads) {
				t.Fatalf("current version and conflicts: got %v, want %v", got, heads)
			}
			if got := r.history("web"); !reflect.DeepEqual(got, history) {
				t.Fatalf("history: got %v, want %v", got, history)
			}
		}
	})
}

// drawDecisions draws decisions on a few allocations: granted ones, under fences
// that some share, degraded ones that are based on one of these or on none, and
// deletes of both.
func drawDecisions(t *rapid.T, ids []mesh.AllocID) *writes {
	w := &writes{}
	bases := []crdt.Stamp{{}}
	for range rapid.IntRange(1, 12).Draw(t, "decisions") {
		id := rapid.SampledFrom(ids).Draw(t, "alloc")
		by := rapid.SampledFrom(writers).Draw(t, "by")
		fence := crdt.Fence{Epoch: 1, Ballot: rapid.Uint64Range(1, 3).Draw(t, "ballot")}
		wall := dawn.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "at")) * time.Minute)
		alloc := mesh.Alloc{
			ID: id, Job: "web", Node: rapid.SampledFrom(writers).Draw(t, "node"), Coordinator: by,
			Want: mesh.WantRun, Fence: fence,
		}
		degraded := crdt.Fence{Ballot: fence.Ballot}
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0, 1:
			bases = append(bases, w.add(by, mesh.KeyAlloc(id), fence, wall, alloc).Stamp)
		case 2, 3:
			alloc.Fence = degraded
			base := rapid.SampledFrom(bases).Draw(t, "base")
			w.add(by, mesh.KeyDegraded(id), degraded, wall, mesh.DegradedAlloc{Alloc: alloc, Base: base})
		case 4:
			w.add(by, mesh.KeyAlloc(id), fence, wall, nil)
		case 5:
			w.add(by, mesh.KeyDegraded(id), degraded, wall, nil)
		}
	}
	return w
}

// decisionModel is the decision that stands: a degraded one as long as the granted
// one that it was based on is there, or as there is none if it was based on none.
func decisionModel(last map[string]crdt.Entry, id mesh.AllocID) (mesh.AllocView, bool) {
	var view mesh.AllocView
	var base crdt.Stamp
	granted, ok := last[mesh.KeyAlloc(id)]
	if ok = ok && !granted.Deleted; ok {
		base = granted.Stamp
		if err := crdt.Decode(granted.Value, &view.Alloc); err != nil {
			panic(err)
		}
	}
	if d, is := last[mesh.KeyDegraded(id)]; is && !d.Deleted {
		var rec mesh.DegradedAlloc
		if err := crdt.Decode(d.Value, &rec); err != nil {
			panic(err)
		}
		if rec.Base == base {
			return mesh.AllocView{Alloc: rec.Alloc, Degraded: true}, true
		}
	}
	return view, ok
}

func TestDecisionsArriveInAnyOrder(t *testing.T) {
	ids := []mesh.AllocID{"web-1", "web-2"}
	rapid.Check(t, func(t *rapid.T) {
		w := drawDecisions(t, ids)
		last := w.last()
		for _, label := range []string{"one", "two"} {
			r := arrived(t, label, w.entries)
			stand := 0
			for _, id := range ids {
				want, ok := decisionModel(last, id)
				got, is := r.effective(id)
				if is != ok || !reflect.DeepEqual(got, want) {
					t.Fatalf("decision on %s: got %v %+v, want %v %+v", id, is, got, ok, want)
				}
				if ok {
					stand++
				}
			}
			if got := len(r.allocs()); got != stand {
				t.Fatalf("%d allocations are listed, want %d", got, stand)
			}
		}
	})
}

// TestAStatusWhoseDecisionIsGoneGoesToo, also if that went before its node knew enough to act.
func TestAStatusWhoseDecisionIsGoneGoesToo(t *testing.T) {
	l := newLab(t, 2)
	l.after(15 * time.Second)
	h := l.nodes[1]
	h.core.now = l.clock()
	s := mesh.Status{Alloc: "gone", Job: "web", Node: h.self.ID, State: mesh.Stopped}
	h.core.put(mesh.KeyStatus("gone", h.self.ID), s, crdt.Fence{})
	l.kill(h, false)
	l.start(h)
	l.step(h, Tick{})
	l.meet(h)
	l.after(15 * time.Second)
	for _, o := range l.nodes {
		if len(o.core.records.statuses) > 0 {
			t.Errorf("%s still has %v", o.name, o.core.records.statuses)
		}
	}
}

// TestWhatEndsAfterAVersionSaysSo, though the node's clock is behind that of whoever submitted
// it: else the work would count as done before, and be run again.
func TestWhatEndsAfterAVersionSaysSo(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	h := l.nodes[0]
	l.ask(h, Submit{Job: service("web", 1)})
	c := h.core
	job, _ := c.records.job("web")
	for _, behind := range []time.Duration{-time.Second, 0, 20 * time.Second} {
		c.now = l.clock()
		c.now.Wall = job.At.Add(-behind)
		for _, state := range []mesh.AllocState{mesh.Running, mesh.Failed} {
			c.putStatus(mesh.Status{Alloc: "a", Job: "web", State: state})
			at := c.records.statuses["a"][c.self].At
			if after := at.After(job.At); after != (behind < 0 || state.Final()) {
				t.Errorf("%v behind: a copy that is %s says so at %v, and the version is of %v", behind, state, at, job.At)
			}
		}
	}
	c.now.Wall = job.At.Add(-2 * crdt.MaxAhead)
	if at := c.endedAt("web"); !at.Equal(c.now.Wall) {
		t.Errorf("a clock that is too far ahead counts: %v", at)
	}
}
