package wire

import (
	"container/heap"
	"sync"
	"time"
)

// late holds the frames whose time has not come, and sends each when it has.
type late struct {
	mu     sync.Mutex
	queue  queue
	count  uint64
	wake   chan struct{}
	closed chan struct{}
	ended  chan struct{}
}

func newLate() *late {
	l := &late{
		wake:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		ended:  make(chan struct{}),
	}
	go l.run()
	return l
}

// add is false if too many wait.
func (l *late) add(d delivery) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= lateMax {
		return false
	}
	l.count++
	heap.Push(&l.queue, waiting{d, time.Now().Add(d.delay), l.count})
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func (l *late) run() {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-l.wake:
		case <-timer.C:
		}
		due, next := l.due(time.Now())
		for _, d := range due {
			d.send(l)
		}
		timer.Reset(next)
	}
}

// due takes the frames whose time has come, and says when the next one's does.
func (l *late) due(now time.Time) (due []delivery, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		first := l.queue[0]
		if wait := first.at.Sub(now); wait > 0 {
			return due, wait
		}
		heap.Pop(&l.queue)
		first.delay = 0
		due = append(due, first.delivery)
	}
	return due, time.Hour // until one is added
}

func (l *late) close() {
	close(l.closed)
	<-l.ended
}

// waiting is a frame with its time; of two with the same time the older goes
// first.
type waiting struct {
	delivery
	at    time.Time
	count uint64
}

// queue is a heap, the next frame first.
type queue []waiting

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].count < q[j].count
}
func (q *queue) Push(x any) { *q = append(*q, x.(waiting)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
