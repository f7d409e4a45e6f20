package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// Bounds of the loop.
const (
	inboxMax  = 4096
	retryDisk = 500 * time.Millisecond
	tickMin   = time.Millisecond
	tickMax   = time.Second // also finds out that the machine slept
)

// errStopped answers calls that come while the agent stops.
var errStopped = mesh.Faultf(mesh.Unavailable, "the agent is stopping")

// loop is the one goroutine that owns the core. Everything else talks to it by
// events and queries.
type loop struct {
	core    *core.Core
	clock   func() core.Now
	perform *performer

	events  chan core.Event
	queries chan query
	backlog []core.Event // came while the disk refused
	done    chan struct{}

	mu      sync.Mutex
	calls   map[uint64]chan<- core.Reply // waiting for their replies
	last    uint64
	refused bool          // the disk refuses: nothing is decided here
	changed chan struct{} // closed and replaced at each change
}

// query is a look at the core between two steps.
type query struct {
	look func(*core.Core)
	done chan struct{}
}

func newLoop(c *core.Core, clock func() core.Now, p *performer) *loop {
	return &loop{
		core:    c,
		clock:   clock,
		perform: p,
		events:  make(chan core.Event, inboxMax),
		queries: make(chan query),
		done:    make(chan struct{}),
		calls:   map[uint64]chan<- core.Reply{},
		changed: make(chan struct{}),
	}
}

// run owns the core until ctx ends.
func (l *loop) run(ctx context.Context) {
	defer close(l.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		batch := l.backlog
		l.backlog = nil
		if len(batch) > 0 {
			timer.Reset(0)
		}
		select {
		case <-ctx.Done():
			return
		case q := <-l.queries:
			l.answer(q)
			l.backlog = batch
			continue
		case ev := <-l.events:
			batch = l.drain(append(batch, ev))
		case <-timer.C:
			batch = append(batch, core.Tick{})
		}
		batch, l.backlog = core.Batch(batch)
		ready := l.core.Step(l.clock(), batch...)
		if !l.do(ctx, ready) {
			return
		}
		timer.Reset(min(max(ready.Wake-l.clock().Boot, tickMin), tickMax))
	}
}

// drain takes what else has come.
func (l *loop) drain(batch []core.Event) []core.Event {
	for len(batch) < inboxMax {
		select {
		case ev := <-l.events:
			batch = append(batch, ev)
		default:
			return batch
		}
	}
	return batch
}

// do performs a Ready in its order. While the disk refuses, nothing that rests
// on it happens: callers are told so, and the write is tried again.
func (l *loop) do(ctx context.Context, r core.Ready) bool {
	for {
		err := l.perform.keep(r)
		if err == nil {
			break
		}
		fault := mesh.Faultf(mesh.Unavailable, "this node cannot write to its disk: %v", err).
			Hint("nothing was acknowledged; free some space, the agent goes on by itself")
		l.refuseCalls(fault)
		r.Reply = nil
		l.notice(true, false)
		if !l.refuse(ctx, fault) {
			return false
		}
	}
	l.perform.send(r.Send)
	l.perform.order(r.Orders)
	for _, f := range r.Fetch {
		l.perform.fetch(f)
	}
	for _, w := range r.Watch {
		l.perform.watch(w)
	}
	for _, reply := range r.Reply {
		l.deliver(reply)
	}
	l.perform.tell(r.Events)
	l.notice(false, !r.Keep.Empty() || len(r.Events) > 0 || r.Hinted)
	return true
}

// notice tells who waits for a change that there was one: that the disk refuses
// now, or takes what it is given again, is one, too.
func (l *loop) notice(refused, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if refused == l.refused && !changed {
		return
	}
	l.refused = refused
	close(l.changed)
	l.changed = make(chan struct{})
}

// stuck says whether the disk refuses, and nothing goes on.
func (l *loop) stuck() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// refuse passes the time until the next try to write: it answers questions and
// refuses calls. What else happens waits.
func (l *loop) refuse(ctx context.Context, fault *mesh.Fault) bool {
	retry := time.NewTimer(retryDisk)
	defer retry.Stop()
	for {
		events := l.events
		if len(l.backlog) >= inboxMax {
			events = nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-retry.C:
			return true
		case q := <-l.queries:
			l.answer(q)
		case ev := <-events:
			if call, ok := ev.(core.Asked); ok {
				l.deliver(core.Reply{ID: call.ID, Fault: fault})
				continue
			}
			l.backlog = append(l.backlog, ev)
		}
	}
}

func (l *loop) answer(q query) {
	q.look(l.core)
	close(q.done)
}

// tell hands an event to the core. It waits if the core is behind, and gives
// up when the loop has ended.
func (l *loop) tell(ev core.Event) {
	select {
	case l.events <- ev:
	case <-l.done:
	}
}

// look runs f on the core between two steps.
func (l *loop) look(ctx context.Context, f func(*core.Core)) error {
	q := query{look: f, done: make(chan struct{})}
	select {
	case l.queries <- q:
		<-q.done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.done:
		return errStopped
	}
}

// ask hands a call to the core and waits for the reply.
func (l *loop) ask(ctx context.Context, call core.Call) (any, error) {
	replies := make(chan core.Reply, 1)
	l.mu.Lock()
	l.last++
	id := l.last
	l.calls[id] = replies
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.calls, id)
		l.mu.Unlock()
	}()
	select {
	case l.events <- core.Asked{ID: id, Call: call}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, errStopped
	}
	select {
	case r := <-replies:
		if r.Fault != nil {
			return nil, r.Fault
		}
		return r.Value, nil
	case <-ctx.Done():
		unknown := mesh.Faultf(mesh.Unavailable, "no answer in time; whether it was done is not known")
		return nil, errors.Join(unknown, ctx.Err())
	case <-l.done:
		return nil, errStopped
	}
}

// refuseCalls answers all who wait: those whose change was just refused by the
// disk, and those who wait for a peer, of which nobody will hear meanwhile.
func (l *loop) refuseCalls(fault *mesh.Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, ch := range l.calls {
		ch <- core.Reply{ID: id, Fault: fault}
		delete(l.calls, id)
	}
}

func (l *loop) deliver(r core.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch, ok := l.calls[r.ID]; ok {
		ch <- r
		delete(l.calls, r.ID)
	}
}

// change is closed at the next change.
func (l *loop) change() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}
