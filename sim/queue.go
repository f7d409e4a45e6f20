package sim

import (
	"cmp"
	"container/heap"
	"time"
)

// event is something that will happen at an instant.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// queue is the future, ordered by time, then by when it was planned.
type queue struct {
	events eventHeap
	last   uint64
}

func (q *queue) plan(at time.Duration, do func()) {
	q.last++
	heap.Push(&q.events, &event{at, q.last, do})
}

// next takes the next event if it is not after end.
func (q *queue) next(end time.Duration) (*event, bool) {
	if len(q.events) == 0 || q.events[0].at > end {
		return nil, false
	}
	return heap.Pop(&q.events).(*event), true
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].seq, h[j].seq)) < 0
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *eventHeap) Push(x any) { *h = append(*h, x.(*event)) }

// Pop is for container/heap.
func (h *eventHeap) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*h = old[:last]
	return e
}
