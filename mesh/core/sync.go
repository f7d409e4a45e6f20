package core

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// Bounds and rhythms of the exchange of data.
const (
	syncEvery  = 2 * time.Second // between rounds of anti-entropy
	compareMax = 12              // comparisons begun from one round to the next
	fanOut     = 12              // peers that one push goes to, at most
	meetFew    = 3               // of more peers than that, about how many compare data with one that comes
	pushMax    = 128             // entries in one push; see also crdt.PushBytes
	ackTimeout = 2 * time.Second // for a peer to say that a write is durable there too
	sleptAfter = 5 * time.Second // without a step, this node was not running: it has something to do every syncEvery
)

// peer is what this node knows of another from gossip and from exchanges.
type peer struct {
	liveness mesh.Liveness
	since    time.Duration // boot time at which it got that liveness
	said     crdt.Report   // what it said last that it has
	saidIn   time.Time     // the start of the run in which it said so
	// fresh says that we have compared data with it since it came into sight.
	// What we know of it from before may be of another boot.
	fresh bool
	asked time.Duration // when we last began to compare data with it
	heard time.Duration // the latest comparison, by when we began it, that it has answered; 0: none
}

type peers map[mesh.NodeID]*peer

// syncer says with whom to compare data next, and when.
type syncer struct {
	next    time.Duration
	begun   int           // comparisons, since the last round
	turns   []mesh.NodeID // whom to ask in the rounds to come
	inSight []mesh.NodeID // the peers that gossip sees, sorted; changed in place
	settled bool          // we have compared data with a peer since we started, or emptied our copy
	// unread are peers in sight, not compared with since, that somebody waits for.
	unread  map[mesh.NodeID]bool
	ahead   map[mesh.NodeID]bool          // nodes whose records wait aside: their clocks are too far ahead of ours
	refused map[mesh.NodeID]time.Duration // when a record of it was last refused, and not held
	collect time.Duration                 // when to look again for deletes to forget
	awake   time.Duration                 // since when this node has looked in time
}

// seen takes gossip's news of a peer.
func (c *Core) seen(ev Seen) {
	if ev.Node == c.self {
		return
	}
	if _, evicted := c.records.evicted[ev.Node]; evicted && ev.Liveness == mesh.Alive {
		ev.Liveness = mesh.Lost // whatever gossip says
	}
	p := c.peers[ev.Node]
	if p == nil {
		p = &peer{liveness: mesh.Unseen, asked: c.now.Boot - syncEvery}
		c.peers[ev.Node] = p
	}
	if p.liveness == ev.Liveness {
		return
	}
	p.liveness, p.since, p.fresh = ev.Liveness, c.now.Boot, false
	c.sync.sight(ev.Node, ev.Liveness == mesh.Alive)
	kind, text := mesh.NodeJoined, "gossip sees it"
	switch ev.Liveness {
	case mesh.Alive:
		c.meet(ev.Node)
		c.askComer(ev.Node)
		c.askAnew()
		c.calm()
	case mesh.Left:
		kind, text = mesh.NodeLeft, "it said goodbye"
	default:
		kind = mesh.NodeLost
		text = "gossip lost sight of it, dead or cut off; each job's lost_after and on_partition say what follows"
	}
	c.event(mesh.Event{Kind: kind, Peer: ev.Node, Text: text})
	c.touch(touched{nodes: true})
}

// slept has this node believe none of the peers in sight until it has compared data with
// them: what it knows is of before, and gossip misses a peer only some seconds after it
// should have answered.
func (c *Core) slept() {
	for _, id := range c.sync.inSight {
		p := c.peers[id]
		p.since, p.fresh = c.now.Boot, false
	}
	c.touch(touched{nodes: true})
}

// sight notes whether a peer is in sight.
func (s *syncer) sight(id mesh.NodeID, alive bool) {
	i, found := slices.BinarySearch(s.inSight, id)
	switch {
	case alive && !found:
		s.inSight = slices.Insert(s.inSight, i, id)
	case !alive && found:
		s.inSight = slices.Delete(s.inSight, i, i+1)
	}
}

// meet compares data at once with a peer that has come into sight. In a large
// mesh only a few do, by lot: else all would ask one node that comes, and a node
// that starts would ask all. It gets from each what it has not got from another
// yet, which is everything where it is new. The others follow in their turn.
func (c *Core) meet(id mesh.NodeID) {
	n := len(c.sync.inSight)
	if c.sync.begun < compareMax && (n <= fanOut || c.cfg.Rand.IntN(n) < meetFew) {
		c.begin(id)
	}
}

// begin begins a comparison of data with a peer.
func (c *Core) begin(id mesh.NodeID) {
	c.sync.begun++
	if p := c.peers[id]; p != nil {
		p.asked = c.now.Boot
	}
	c.send(id, Message{Sync: ptr(c.replica.Request()), Began: c.now.Boot})
}

// syncDue compares data with one peer after the other, in turn.
func (c *Core) syncDue() {
	if c.now.Boot < c.sync.next {
		return
	}
	c.sync.next, c.sync.begun = c.now.Boot+syncEvery, 0
	if id, ok := c.nextTurn(); ok {
		c.begin(id)
	}
	if len(c.sync.inSight) <= fanOut { // else it would be many, and jobs wait for few
		c.wantAll()
	}
	waits := slices.Sorted(maps.Keys(c.sync.unread))
	clear(c.sync.unread)
	c.forgetHints()
	for _, id := range pick(c.cfg.Rand, waits, len(waits)) {
		c.read(id)
	}
	c.collect()
}

// wantAll has every peer read that is in sight and was not compared with since.
// When it came into sight it was asked, but when a network heals, what is said
// first is often lost; in its turn it would be asked again after many seconds, in
// which we say of none of its copies that they run.
func (c *Core) wantAll() {
	for _, id := range c.sync.inSight {
		if p := c.peers[id]; p != nil && !p.fresh {
			c.sync.unread[id] = true
		}
	}
}

// read compares data soon with a peer in sight that a job of ours waits for,
// and goes on until it has answered.
func (c *Core) read(id mesh.NodeID) {
	p := c.peers[id]
	if c.sync.unread[id] || p == nil || p.fresh || p.liveness != mesh.Alive {
		return
	}
	c.sync.unread[id] = true
	if c.sync.begun < compareMax && p.asked+syncEvery/2 <= c.now.Boot {
		c.begin(id)
	}
}

// nextTurn is the peer in sight whose turn it is. Each has one before any has
// another; the order is by lot, so that nodes do not all ask the same one.
func (c *Core) nextTurn() (mesh.NodeID, bool) {
	for range 2 {
		for len(c.sync.turns) > 0 {
			id := c.sync.turns[0]
			c.sync.turns = c.sync.turns[1:]
			if p := c.peers[id]; p.liveness == mesh.Alive {
				return id, true
			}
		}
		c.sync.turns = pick(c.cfg.Rand, c.sync.inSight, len(c.sync.inSight))
	}
	return "", false
}

// pick is n of some nodes by lot, or all of them if they are fewer.
func pick(r *rand.Rand, ids []mesh.NodeID, n int) []mesh.NodeID {
	ids = slices.Clone(ids)
	n = min(n, len(ids))
	for i := range n {
		j := i + r.IntN(len(ids)-i)
		ids[i], ids[j] = ids[j], ids[i]
	}
	return ids[:n]
}

// believe notes what a peer says that it has: deletes are forgotten by it.
func (c *Core) believe(id mesh.NodeID, said crdt.Report) {
	if p := c.peers[id]; p != nil {
		p.said, p.saidIn = said, c.records.nodes[id].StartedAt
	}
}

// disbelieve forgets what a peer has said that it has.
func (c *Core) disbelieve(id mesh.NodeID) {
	c.believe(id, crdt.Report{})
}

// compare answers a comparison with what the peer lacks.
func (c *Core) compare(from mesh.NodeID, m *Message) {
	if said, ok := c.replica.Asker(*m.Sync); ok {
		c.believe(from, said)
	}
	c.send(from, Message{Answer: ptr(c.replica.Answer(*m.Sync)), Began: m.Began, Standing: c.party.Standing()})
}

// answered takes a peer's answer to a comparison.
func (c *Core) answered(from mesh.NodeID, m *Message) {
	if said, ok := c.replica.Answerer(*m.Answer); ok {
		c.believe(from, said)
	}
	c.standing(from, m)
	out := c.replica.Apply(*m.Answer, c.now.Wall)
	c.merged(from, out.Merged)
	if out.Next != nil {
		c.send(from, Message{Sync: out.Next, Began: m.Began})
	}
	if out.Over {
		c.compared(from, m.Began)
	}
	// A disk that lost something may lack what one peer lacks, too: it hears several.
	if out.Over && !c.sync.settled && !c.damaged {
		c.sync.settled = true
		c.tend.retry = true
	}
	for part := range parts(out.Push) {
		c.send(from, Message{Push: &Push{Entries: part}})
	}
}

// pushed takes entries that a peer sent on its own account.
func (c *Core) pushed(from mesh.NodeID, p *Push) {
	merged := c.replica.Merge(p.Entries, c.now.Wall)
	c.merged(from, merged)
	if p.Ack != 0 && len(merged.Refused) == 0 {
		c.send(from, Message{Ack: &Ack{p.Ack}}) // after Keep: see Ready
	}
	if p.Hops > 0 && len(merged.News) > 0 {
		c.spread(&Push{Entries: merged.News, Hops: p.Hops - 1}, from)
	}
}

// merged takes notice of what a merge has changed.
func (c *Core) merged(from mesh.NodeID, m crdt.Merged) {
	for _, e := range m.News {
		c.touch(c.records.apply(e))
	}
	clear(c.records.reads) // of those that had lost
	c.waitAside(m.Refused)
	for _, r := range m.Refused {
		kind := mesh.RecordRefused
		if crdt.IsSkew(r.Err) {
			kind = mesh.ClockRefused
		}
		if crdt.IsRewound(r.Err) {
			c.rewound()
		}
		c.event(mesh.Event{Kind: kind, Peer: from, Text: r.Err.Error()})
	}
}

// refusedFor is for how long a node counts as ahead of our clock after a record of it was
// refused that there was no room to hold: peers send it again with each comparison.
const refusedFor = time.Minute

// waitAside notes of which nodes records wait until our clock lets them in: what
// we know of their copies is not the latest, whoever we have compared data with.
func (c *Core) waitAside(refused []crdt.Refusal) {
	ahead, held := map[mesh.NodeID]bool{}, map[string]bool{}
	for _, r := range c.replica.Aside() {
		ahead[mesh.NodeID(r.Entry.Dot.Origin)], held[r.Entry.Key] = true, true
	}
	for _, r := range refused {
		if crdt.IsSkew(r.Err) && !held[r.Entry.Key] { // of what is held there, or less than that, nothing is lost
			c.sync.refused[mesh.NodeID(r.Entry.Dot.Origin)] = c.now.Boot
		}
	}
	for id, at := range c.sync.refused {
		if c.now.Boot-at > refusedFor {
			delete(c.sync.refused, id)
			continue
		}
		ahead[id] = true
	}
	if !maps.Equal(ahead, c.sync.ahead) {
		c.sync.ahead = ahead
		c.touch(touched{nodes: true})
	}
}

// pushFirst sends what this step has written before all else that it says: somebody may wait
// until a peer has it, and a thousand reservations would be answered before.
func (c *Core) pushFirst() {
	rest := c.ready.Send
	c.ready.Send = nil
	c.push()
	c.ready.Send = append(c.ready.Send, rest...)
}

// push sends what this step has written to the peers.
func (c *Core) push() {
	if len(c.fresh) == 0 {
		return
	}
	fresh := c.fresh
	c.fresh = nil
	_, hops := spreading(len(c.sync.inSight))
	for part := range parts(fresh) {
		c.spread(&Push{Entries: part, Hops: hops, Ack: c.waits.pushed(part)}, c.self)
	}
}

// parts are entries in portions that each fit into a message.
func parts(entries []crdt.Entry) iter.Seq[[]crdt.Entry] {
	return func(yield func([]crdt.Entry) bool) {
		for len(entries) > 0 {
			n, size := 1, entries[0].Size()
			for ; n < min(len(entries), pushMax); n++ {
				if size += entries[n].Size(); size > crdt.PushBytes {
					break
				}
			}
			if !yield(entries[:n:n]) {
				return
			}
			entries = entries[n:]
		}
	}
}

// spreading is how a push gets to n peers: to how many each node sends it, and
// how often it is passed on. To few peers it goes at once. Of many, twice as
// many pushes as there are peers reach about nine in ten, and anti-entropy the
// others; with a fan that is always full, each node would get up to eleven.
func spreading(n int) (fan, hops int) {
	if n <= fanOut {
		return n, 0
	}
	const pushes = 2 // for each peer
	reach := func(fan, hops int) int {
		n := fan
		for range hops {
			n *= fan
		}
		return n
	}
	for hops = 1; reach(fanOut, hops) < pushes*n; hops++ {
	}
	for fan = 2; reach(fan, hops) < pushes*n; fan++ {
	}
	return fan, hops
}

// spread sends a push to all peers, or to a few by lot where there are many.
func (c *Core) spread(p *Push, but mesh.NodeID) {
	to := c.sync.inSight
	if i, found := slices.BinarySearch(to, but); found {
		to = slices.Delete(slices.Clone(to), i, i+1)
	}
	if fan, _ := spreading(len(c.sync.inSight)); len(to) > fan {
		to = pick(c.cfg.Rand, to, fan)
	}
	for _, id := range to {
		c.send(id, Message{Push: p})
	}
}

// A wait is a caller who is told once a write is durable on a peer too.
type wait struct {
	reply    Reply
	deadline time.Duration
	dot      crdt.Dot // of the write
	push     uint64   // number of the push that carried it; 0 before
}

// waits are the callers waiting, in order of arrival; at most waitsMax.
type waits struct {
	list []wait
	last uint64 // number of the last push that asks for an answer
}

const waitsMax = 10_000

// wait answers a call once the write e is durable on one more node, if there is one.
func (c *Core) wait(reply Reply, e crdt.Entry) {
	if len(c.sync.inSight) == 0 || len(c.waits.list) >= waitsMax {
		c.reply(reply, 1)
		return
	}
	c.waits.list = append(c.waits.list, wait{reply: reply, deadline: c.now.Boot + ackTimeout, dot: e.Dot})
}

// reply answers a call with the number of nodes that hold the write.
func (c *Core) reply(r Reply, copies int) {
	switch v := r.Value.(type) {
	case Submitted:
		v.Copies = copies
		r.Value = v
	case Tagged:
		v.Copies = copies
		r.Value = v
	case Vouched:
		v.Copies = copies
		r.Value = v
	case Steered:
		v.Copies = copies
		r.Value = v
	case Emitted:
		v.Copies = copies
		r.Value = v
	case RunMade:
		v.Copies = copies
		r.Value = v
	case Kept:
		v.Copies = copies
		r.Value = v
	}
	c.ready.Reply = append(c.ready.Reply, r)
}

// pushed numbers the push that carries writes which callers wait for.
func (w *waits) pushed(fresh []crdt.Entry) uint64 {
	var id uint64
	for i := range w.list {
		carried := func(e crdt.Entry) bool { return e.Dot == w.list[i].dot }
		if w.list[i].push != 0 || !slices.ContainsFunc(fresh, carried) {
			continue
		}
		if id == 0 {
			w.last++
			id = w.last
		}
		w.list[i].push = id
	}
	return id
}

// acked tells the callers whose writes a peer has made durable.
func (c *Core) acked(_ mesh.NodeID, id uint64) {
	c.waits.list = slices.DeleteFunc(c.waits.list, func(w wait) bool {
		if w.push == id {
			c.reply(w.reply, 2)
		}
		return w.push == id
	})
}

// waitsDue answers those whom no peer has answered in time: the write is
// durable here, and will reach the others by anti-entropy.
func (c *Core) waitsDue() {
	c.waits.list = slices.DeleteFunc(c.waits.list, func(w wait) bool {
		if w.deadline <= c.now.Boot {
			c.reply(w.reply, 1)
		}
		return w.deadline <= c.now.Boot
	})
}

func (w *waits) wake() time.Duration {
	if len(w.list) == 0 {
		return never
	}
	return slices.MinFunc(w.list, func(a, b wait) int { return cmp.Compare(a.deadline, b.deadline) }).deadline
}

// never is a boot time that does not come.
const never = time.Duration(1<<63 - 1)

// sameNode says whether two records say the same: whether they are encoded as the same.
func sameNode(a, b mesh.Node) bool {
	one, err := crdt.Encode(a)
	other, also := crdt.Encode(b)
	return err == nil && also == nil && bytes.Equal(one, other)
}
