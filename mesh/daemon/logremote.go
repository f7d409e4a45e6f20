package daemon

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/runner/logs"
)

// logAgain is how long a node that does not answer is left alone.
const logAgain = time.Second

// remote is the reading of another node's lines.
type remote struct {
	done   chan struct{} // closed when it has ended
	told   atomic.Bool   // the caller knows that the node's lines stop
	asked  atomic.Bool   // and hears, or has heard, what is kept of them elsewhere
	tail   int           // what it has asked for
	heard  bool          // something came; to be read after done
	lines  int           // that came; likewise
	places api.LogPlaces // where the node's streams go on; likewise
}

func (r *remote) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// startRemote asks another node for its lines, and asks again when it is back after it was
// lost: then from where its streams were.
func (l *logMerge) startRemote(ctx context.Context, view *mesh.View, id mesh.NodeID) {
	old := l.remotes[id]
	n := view.Node(id)
	if n == nil || n.Liveness != mesh.Alive {
		if old == nil {
			old = &remote{done: make(chan struct{}), heard: true} // of what is kept elsewhere
			close(old.done)
			l.remotes[id] = old
		}
		l.gone(ctx, view, old, id)
		return
	}
	if old != nil && !old.ended() {
		return
	}
	now := &remote{done: make(chan struct{}), places: api.LogPlaces{}, tail: l.tail()}
	r := l.r
	r.Local, r.Places, r.Times = true, true, r.Times || !r.Follow
	if old != nil {
		r.From = now.follow(old)
	}
	r.Tail = now.tail
	l.remotes[id] = now
	l.read(string(id), func() {
		err := l.readRemote(ctx, n, r, now)
		for err != nil && !r.Follow && now.lines > 0 && ctx.Err() == nil {
			// Its lines waited too long for others that came before them, or it has died.
			next := &remote{done: now.done, places: api.LogPlaces{}}
			r.From = next.follow(now)
			r.Tail, now = next.tail, next
			err = l.readRemote(ctx, n, r, now)
		}
		if err != nil && ctx.Err() == nil {
			l.lost(ctx, now, n.Name, id)
		}
		close(now.done)
		l.askAgain(ctx)
	})
}

// follow has a reading go on where another has ended, and is what it asks for from.
func (r *remote) follow(old *remote) (from string) {
	from, all := old.places.Text()
	maps.Copy(r.places, old.places)
	r.told.Store(old.told.Load()) // once is enough, until something comes
	switch {
	case !old.heard:
		r.tail = old.tail
	case from != "" && all:
		r.tail = -1 // of copies that have begun meanwhile
	default:
		r.tail = 0 // where its streams were is not known: better a gap than lines again
	}
	return from
}

// readRemote reads the lines of another node, and notes where its streams are.
func (l *logMerge) readRemote(ctx context.Context, n *mesh.NodeView, r api.LogsRequest, now *remote) error {
	client := l.b.peerClient(n)
	defer client.Close() //nolint:errcheck // only idle connections
	return client.Logs(ctx, r, func(line api.LogLine) error {
		place, begins := line.Place, line.Begins
		line.Place, line.Begins, line.NodeID = "", false, n.ID
		if !begins {
			now.lines++
			if err := l.put(ctx, line); err != nil {
				return err
			}
		}
		if !now.heard {
			now.heard = true
			now.told.Store(false)
		}
		if place != "" {
			now.places[api.LogStream{Alloc: line.Alloc, Task: line.Task, Stream: line.Stream}] = place
		}
		return nil
	})
}

// askAgain has nodes asked again in a while, even if nothing else changes: an agent may answer
// later than it is in sight.
func (l *logMerge) askAgain(ctx context.Context) {
	if !l.r.Follow {
		return
	}
	wait := time.NewTimer(logAgain)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return
	}
	select {
	case l.again <- struct{}{}:
	default:
	}
}

// gone tells the caller, once, what is kept elsewhere of the logs of a node that is out of
// sight, if the caller did not hear of it itself.
func (l *logMerge) gone(ctx context.Context, view *mesh.View, r *remote, id mesh.NodeID) {
	if r.asked.Swap(true) {
		return
	}
	if l.later || r.told.Load() {
		l.lost(ctx, r, nodeLabel(view, id), id)
		return
	}
	l.read(string(id), func() {
		if l.left(ctx, view, id) {
			r.told.Store(true)
			return
		}
		l.lost(ctx, r, nodeLabel(view, id), id)
	})
}

// lost tells the caller, once, that a node's lines stop here.
func (l *logMerge) lost(ctx context.Context, r *remote, name string, id mesh.NodeID) {
	if r.told.Swap(true) {
		return
	}
	_ = l.put(ctx, api.LogLine{
		Node: name, NodeID: id, Stream: logs.Notice, Line: "this node does not answer: its lines cannot be read now",
	}) // the caller has gone, or hears of it
}
