package sim

import "time"

// event is something that will happen at an instant.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// before says whether e happens before o: by time, then by when it was planned.
func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is the future: a heap in which each event has up to four after it. It is
// written out, for it is what a run of many nodes does most.
type queue struct {
	events []event
	last   uint64
}

const branches = 4

func (q *queue) plan(at time.Duration, do func()) {
	q.last++
	e := event{at, q.last, do}
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / branches
		if !e.before(&q.events[parent]) {
			break
		}
		q.events[i] = q.events[parent]
		i = parent
	}
	q.events[i] = e
}

// next takes the next event if it is not after end.
func (q *queue) next(end time.Duration) (e event, ok bool) {
	if len(q.events) == 0 || q.events[0].at > end {
		return event{}, false
	}
	first, last := q.events[0], len(q.events)-1
	e = q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	if last > 0 {
		q.sink(e)
	}
	return first, true
}

// sink puts e in from the top.
func (q *queue) sink(e event) {
	i := 0
	for {
		least := i*branches + 1
		if least >= len(q.events) {
			break
		}
		for c := least + 1; c < min(i*branches+branches+1, len(q.events)); c++ {
			if q.events[c].before(&q.events[least]) {
				least = c
			}
		}
		if !q.events[least].before(&e) {
			break
		}
		q.events[i] = q.events[least]
		i = least
	}
	q.events[i] = e
}
