package crdt_test

import (
	"fmt"
	"time"

	"mn/crdt"
)

// Two nodes write while they cannot see each other, and are equal after one
// session.
func Example() {
	wall := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a, _ := crdt.NewReplica("a", crdt.Kept{})
	b, _ := crdt.NewReplica("b", crdt.Kept{})
	a.Put("job/web", []byte("two copies"), crdt.Fence{}, wall)
	b.Put("job/web", []byte("three copies"), crdt.Fence{}, wall.Add(time.Second))
	b.Put("job/db", []byte("one copy"), crdt.Fence{}, wall.Add(time.Second))

	for req := a.Request(); ; {
		answer := b.Answer(req) // over the network, both ways
		out := a.Apply(answer, wall)
		b.Merge(out.Push, wall)
		if out.Over {
			break
		}
		req = *out.Next
	}

	for e := range a.Scan("job/") {
		fmt.Printf("%s: %s\n", e.Key, e.Value)
	}
	fmt.Println("equal:", a.Digest() == b.Digest())
	// Output:
	// job/db: one copy
	// job/web: three copies
	// equal: true
}
