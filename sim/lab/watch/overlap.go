package watch

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Overlap is two tasks of the same index of a job that lived at once.
type Overlap struct {
	A, B     Life // A was seen first
	From, To time.Duration
}

// String is the overlap for people.
func (o Overlap) String() string {
	return fmt.Sprintf("two at once for at least %v: %v; and %v", (o.To - o.From).Round(time.Millisecond), o.A, o.B)
}

// seat is what only one process group may have at a time.
type seat struct {
	job, task string
	index     int
}

func (l Life) seat() seat { return seat{l.Job, l.Task, l.Index} }

// Overlaps are all pairs that lived at once for sure: both were seen alive
// before either was last.
func Overlaps(lives []Life) []Overlap {
	bySeat := map[seat][]Life{}
	for _, l := range lives {
		bySeat[l.seat()] = append(bySeat[l.seat()], l)
	}
	var found []Overlap
	for _, all := range bySeat {
		slices.SortFunc(all, func(a, b Life) int { return cmp.Compare(a.Seen, b.Seen) })
		for i, a := range all {
			for _, b := range all[i+1:] {
				if b.Seen > a.Last {
					break
				}
				found = append(found, Overlap{a, b, b.Seen, min(a.Last, b.Last)})
			}
		}
	}
	slices.SortFunc(found, func(a, b Overlap) int { return cmp.Compare(a.From, b.From) })
	return found
}
