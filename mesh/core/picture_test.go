package core

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"

	"pgregory.net/rapid"
)

// drawRecords draws what a few nodes write about two jobs: decisions, some of
// which name another job than the one before, statuses, and deletes of all these.
func drawRecords(t *rapid.T) []crdt.Entry {
	w := &writes{}
	bases := []crdt.Stamp{{}}
	for i := range rapid.IntRange(1, 40).Draw(t, "records") {
		id := rapid.SampledFrom([]mesh.AllocID{"a", "b", "c"}).Draw(t, "alloc")
		job := rapid.SampledFrom([]mesh.JobID{"db", "web"}).Draw(t, "job")
		by := rapid.SampledFrom(writers).Draw(t, "by")
		fence := crdt.Fence{Epoch: 1, Ballot: uint64(i + 1)}
		wall := dawn.Add(time.Duration(i) * time.Second)
		a := mesh.Alloc{
			ID: id, Job: job, Index: rapid.IntRange(0, 1).Draw(t, "index"), Want: mesh.WantRun, Fence: fence,
			Node: rapid.SampledFrom(writers).Draw(t, "node"), Coordinator: by,
			Resources: mesh.Resources{Memory: mesh.Bytes(rapid.IntRange(0, 2).Draw(t, "memory"))},
		}
		gone := rapid.IntRange(0, 3).Draw(t, "gone") == 0
		pick := func(rec any) any {
			if gone {
				return nil
			}
			return rec
		}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			bases = append(bases, w.add(by, mesh.KeyAlloc(id), fence, wall, pick(a)).Stamp)
		case 1:
			base := rapid.SampledFrom(bases).Draw(t, "base")
			w.add(by, mesh.KeyDegraded(id), crdt.Fence{}, wall, pick(mesh.DegradedAlloc{Alloc: a, Base: base}))
		case 2:
			state := rapid.SampledFrom([]mesh.AllocState{mesh.Running, mesh.Stopped}).Draw(t, "state")
			w.add(by, mesh.KeyStatus(id, by), crdt.Fence{}, wall, pick(mesh.Status{Alloc: id, Job: job, Node: by, State: state}))
		case 3:
			v := mesh.JobVersion{Job: mesh.Job{Name: string(job)}, Number: uint64(i), Hash: wall.String(), At: wall}
			w.add(by, mesh.KeyJob(job, v.Number, v.Hash), crdt.Fence{}, wall, v)
		}
	}
	return w.entries
}

// The picture that is kept up to date is the one that is drawn from nothing,
// whenever somebody has looked at it.
func TestPictureIsTheSameWheneverItIsLookedAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := newRecords()
		live := map[string]crdt.Entry{}
		for _, e := range drawRecords(t) {
			kept.apply(e)
			if live[e.Key] = e; e.Deleted {
				delete(live, e.Key)
			}
			if rapid.Bool().Draw(t, "skips") {
				continue
			}
			anew := newRecords()
			for _, key := range slices.Sorted(maps.Keys(live)) {
				anew.apply(live[key])
			}
			if got, want := kept.jobs(), anew.jobs(); !reflect.DeepEqual(got, want) {
				t.Fatalf("jobs: got %+v, want %+v", got, want)
			}
			if rapid.Bool().Draw(t, "one") {
				if got, want := kept.allocsOf("web"), anew.allocsOf("web"); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
					t.Fatalf("copies of a job: got %+v, want %+v", got, want)
				}
				continue
			}
			if got, want := kept.allocs(), anew.allocs(); !reflect.DeepEqual(got, want) {
				t.Fatalf("copies: got %+v, want %+v", got, want)
			}
			if got, want := kept.used(), anew.used(); !reflect.DeepEqual(got, want) {
				t.Fatalf("in use: got %v, want %v", got, want)
			}
		}
	})
}

// TestACopyShowsTheVersionThatItWasPlacedFor: by it its node goes, whatever came later.
func TestACopyShowsTheVersionThatItWasPlacedFor(t *testing.T) {
	l := newLab(t, 1)
	l.after(15 * time.Second)
	job := service("web", 1)
	l.ask(l.nodes[0], Submit{Job: job})
	l.after(2 * time.Second)
	two := *job
	two.Tasks = slices.Clone(job.Tasks)
	two.Tasks[0].Count, two.Recovery.Lease = 2, mesh.Duration(time.Minute) // eager: no other content
	l.ask(l.nodes[0], Submit{Job: &two})
	l.after(2 * time.Second)
	allocs := l.nodes[0].core.View().Allocs
	if len(allocs) != 2 || allocs[0].Placed == nil || allocs[0].Placed.Recovery.Lease != 0 ||
		allocs[1].Placed == nil || allocs[1].Placed.Recovery.Lease != two.Recovery.Lease {
		t.Errorf("got %+v, want one of each version", allocs)
	}
}

// TestAVersionThatComesLateIsShownByItsCopies, whichever record is here first.
func TestAVersionThatComesLateIsShownByItsCopies(t *testing.T) {
	r := newRecords()
	job := service("web", 1)
	version := mesh.JobVersion{Job: *job, Number: 1, Hash: "h1"}
	a := mesh.Alloc{ID: "a1", Job: "web", Version: 1, Hash: "h1"}
	put := func(key string, record any) {
		value, err := crdt.Encode(record)
		if err != nil {
			t.Fatal(err)
		}
		r.apply(crdt.Entry{Key: key, Value: value})
	}
	put(mesh.KeyAlloc(a.ID), a)
	if got := r.allocs()[0].Placed; got != nil {
		t.Errorf("got %+v of a version that is not here", got)
	}
	put(mesh.KeyJob("web", 1, "h1"), version)
	if got := r.allocs()[0].Placed; got == nil || got.Name != "web" {
		t.Errorf("got %+v, want the job", got)
	}
}

// TestCopiesStandApartUntilTheirVersionIsPromoted, whichever record is here first.
func TestCopiesStandApartUntilTheirVersionIsPromoted(t *testing.T) {
	job := service("web", 1)
	careful := *job
	careful.Update = &mesh.UpdatePolicy{Strategy: mesh.Canary}
	d := mesh.Deployment{Job: "web", Version: 2, Hash: "h2", From: 1, Stable: "h1", State: mesh.Deploying}
	promoted := d
	promoted.Promoted = true
	type record struct {
		key string
		rec any
	}
	alloc := func(id mesh.AllocID, version uint64, hash string) record {
		return record{mesh.KeyAlloc(id), mesh.Alloc{ID: id, Job: "web", Version: version, Hash: hash}}
	}
	version := func(job *mesh.Job, n uint64, hash, parent string) record {
		return record{mesh.KeyJob("web", n, hash), mesh.JobVersion{Job: *job, Number: n, Hash: hash, Parent: parent}}
	}
	deployed := func(d mesh.Deployment) record { return record{mesh.KeyDeployed("web", 2, "h2"), d} }
	first := []record{
		version(job, 1, "h1", ""), alloc("a1", 1, "h1"), version(&careful, 2, "h2", "h1"), alloc("a2", 2, "h2"), deployed(d),
	}
	last := slices.Clone(first)
	slices.Reverse(last)
	for _, order := range [][]record{first, last} {
		r := newRecords()
		for _, step := range append(order, deployed(promoted)) {
			value, err := crdt.Encode(step.rec)
			if err != nil {
				t.Fatal(err)
			}
			before := r.allocs()
			r.apply(crdt.Entry{Key: step.key, Value: value})
			if d, last := step.rec.(mesh.Deployment); !last || !d.Promoted {
				continue
			}
			if len(before) != 2 || before[0].Role() != mesh.Primary || before[1].Role() != mesh.CanaryCopy {
				t.Errorf("got %+v, want a canary beside the copy that was there", before)
			}
			if now := r.allocs(); now[0].Role() != mesh.Primary || now[1].Role() != mesh.Primary {
				t.Errorf("got %+v, want none apart once it is promoted", now)
			}
		}
	}
}
