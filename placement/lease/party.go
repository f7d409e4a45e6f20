package lease

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// loopMax bounds the messages that a node sends itself within one step: a bid
// and a succession take a few each.
const loopMax = 256

// rebidMax bounds how often a node that is its own voter bids within a step: the
// first bid after a restart learns the ballot to beat.
const rebidMax = 3

// greetMax is about how many nodes tell one that comes to life which roster they
// know.
const greetMax = 16

// toldMax bounds the peers whose last refusal is remembered.
const toldMax = 256

// Party is one node's part in leases and roster. It is not safe for concurrent
// use: one goroutine owns it.
type Party struct {
	self mesh.NodeID
	key  ed25519.PrivateKey
	cfg  Config
	rng  *rand.Rand

	now     time.Duration // of this step
	started time.Duration
	jitter  float64 // of this step; below 0 until it is drawn

	run     run
	grown   bool // in this step
	seen    map[mesh.NodeID]run
	barred  string // why this node must join anew
	peers   peers
	members Members // as last told
	listed  bool    // this node was among the admitted
	evicted bool
	forgot  bool // its disk has lost some of what it held, and it has not learned that again

	chain  []Roster // newest last
	roster Roster   // the newest
	view   uint64   // of it: the first bytes of its digest
	seat   int      // in it, or -1
	quorum int      // of it: more than half of all voters, dead or alive
	voting bool     // seat >= 0, as last announced

	voter   voter
	bidder  bidder
	paces   [VotersMax]pace // by seat
	pacesOf []Voter         // in these seats
	box     ballotBox
	drive   drive
	fineAt  time.Duration // when the roster was last as it should be, or could not be changed
	spread  spread

	told map[mesh.NodeID]string // the last refusal, by peer
	out  Output
	loop []Message // to itself
}

// New makes a Party from what it kept, at now since boot. The facts of this
// start go out with the first Output. A node without facts takes part in
// nothing until [Party.Bootstrap] or [Party.Adopt].
func New(self mesh.NodeID, key ed25519.PrivateKey, cfg Config, facts []Fact,
	rng *rand.Rand, now time.Duration,
) (*Party, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure leases: %w", err)
	}
	if pub, ok := key.Public().(ed25519.PublicKey); !ok || mesh.NodeIDOf(pub) != self {
		return nil, fmt.Errorf("configure leases of %q: the key is another node's", self)
	}
	p := &Party{
		self: self, key: key, cfg: cfg, rng: rng, now: now, started: now, jitter: -1,
		seen: map[mesh.NodeID]run{}, told: map[mesh.NodeID]string{}, peers: peers{}, seat: -1, fineAt: now,
	}
	p.bidder = newBidder(now)
	if err := p.load(facts); err != nil {
		return nil, err
	}
	p.voting = p.seat >= 0
	p.run = run{
		Count: p.run.Count + 1, Nonce: rng.Uint64(), WasNonce: p.run.Nonce, WasMade: p.run.Made,
	}
	p.keep(keyRun, p.run)
	return p, nil
}

// Step takes one input at now and returns what must be done about it.
func (p *Party) Step(now time.Duration, in Input) Output {
	p.begun(now)
	switch in := in.(type) {
	case Tick:
	case Members:
		p.onMembers(in)
	case Bid:
		p.onBid(in.Slots)
	case Received:
		p.receive(in.From, in.Msg)
	case Informed:
		p.onInformed(in.Epoch)
	case Forgot:
		p.onForgot()
	case Promised:
		p.grow()
	case Rewound:
		p.bar("peers know what this node has written since")
	}
	p.due()
	return p.take()
}

// begun starts a step. Time does not go back within a boot; if the caller's
// does, the later reading counts.
func (p *Party) begun(now time.Duration) {
	p.now = max(p.now, now)
	p.jitter = -1
	p.grown = false
}

// grow counts what this node promises in a step, durably, so that a disk which
// goes back to before it is found out by whoever was promised something (R4).
func (p *Party) grow() {
	if !p.grown {
		p.grown = true
		p.run.Made++
		p.keep(keyRun, p.run)
	}
}

// due does what is due now, and hears what this node has said to itself.
func (p *Party) due() {
	if p.barred != "" {
		p.loop = nil
		return
	}
	p.listen()
	p.govern()
	p.listen()
	p.bid()
	for n := 0; n < rebidMax && len(p.loop) > 0; n++ {
		p.listen()
		p.bid()
	}
	p.listen()
}

func (p *Party) listen() {
	for n := 0; len(p.loop) > 0; n++ {
		if n == loopMax {
			panic("lease: a step does not come to an end")
		}
		m := p.loop[0]
		p.loop = p.loop[1:]
		p.hearOf(p.self, m)
	}
}

// take ends a step.
func (p *Party) take() Output {
	if p.voter.dirty {
		p.voter.dirty = false
		p.keep(keyPromise, p.voter.ledger(p.roster.Epoch))
	}
	out := p.out
	p.out = Output{}
	return out
}

// send says m to a node; what a node says to itself it hears in the same step.
func (p *Party) send(to mesh.NodeID, m Message) {
	m.Epoch, m.View, m.Run = p.roster.Epoch, p.view, p.run
	if to == p.self {
		p.loop = append(p.loop, m)
		return
	}
	p.out.Send = append(p.out.Send, Envelope{to, m})
}

// broadcast says m to every voter.
func (p *Party) broadcast(m Message) {
	for _, v := range p.roster.Voters {
		p.send(v.ID, m)
	}
}

// change adds a slot to the change of its kind and fence, if the slot is in none after
// that: what becomes of a slot is told in the order in which it does.
func (p *Party) change(kind ChangeKind, fence crdt.Fence, slot mesh.Slot) {
	for i := len(p.out.Changes) - 1; i >= 0; i-- {
		c := &p.out.Changes[i]
		if c.Kind == kind && c.Fence == fence {
			c.Slots.Add(slot)
			return
		}
		if c.Slots.Has(slot) {
			break
		}
	}
	p.out.Changes = append(p.out.Changes,
		Change{Kind: kind, Fence: fence, Slots: SlotsOf(slot)})
}

// refuse reports what was refused, once for each reason in a row: a peer that
// keeps on shall not fill the log.
func (p *Party) refuse(from mesh.NodeID, err error) {
	if p.told[from] == err.Error() {
		return
	}
	if len(p.told) == toldMax {
		clear(p.told)
	}
	p.told[from] = err.Error()
	p.out.Changes = append(p.out.Changes, Change{Kind: Refused, Peer: from, Text: err.Error()})
}

// onMembers takes the list of members. A node that was admitted and is no
// longer stops at once, before it says another word (R9). Whoever has come to
// life is told which roster this node knows, so that the older one is replaced;
// in a large mesh by some, by lot: else all would tell one node that comes, and
// it would tell all.
func (p *Party) onMembers(m Members) {
	var back []mesh.NodeID
	m.Alive = setOf(m.Alive)
	if same(m.Admitted, p.members.Admitted) && same(m.Witnesses, p.members.Witnesses) {
		back = p.peers.wake(p.members.Alive, m.Alive, p.self, p.now)
	} else {
		back = p.peers.update(m, p.self, p.now)
	}
	p.members = m
	_, admitted := p.peers[p.self]
	if p.listed && !admitted && !p.evicted {
		p.drop(Evicted)
	}
	p.evicted = p.listed && !admitted
	p.listed = p.listed || admitted
	if p.barred != "" || p.evicted || p.roster.Epoch == 0 {
		return
	}
	for _, id := range back {
		if n := len(p.peers); n <= greetMax || p.rng.IntN(n) < greetMax {
			p.send(id, Message{})
		}
	}
}

// receive takes a message from another node: only from one that is admitted or
// a voter, and only from its newest run.
func (p *Party) receive(from mesh.NodeID, m Message) {
	if p.barred != "" || p.evicted || from == p.self {
		return
	}
	if err := m.check(); err != nil {
		p.refuse(from, err)
		return
	}
	if _, admitted := p.peers[from]; !admitted && p.roster.Seat(from) < 0 {
		p.refuse(from, errStranger)
		return
	}
	if m.Stale != nil {
		if m.Stale.Nonce == p.run.Nonce {
			p.bar("a peer knows a newer run of this node")
		}
		return
	}
	if !p.fresh(from, m.Run) {
		p.send(from, Message{Stale: &m.Run})
		return
	}
	p.hearOf(from, m)
}

var errStranger = errors.New("sender is neither admitted nor a voter")

// fresh notes the run of a peer, and how much that has promised, durably. One that
// does not follow what was heard of is an earlier one, or speaks for a disk that
// was restored or copied: what that has promised since is forgotten, so nothing
// that it says counts (R4).
func (p *Party) fresh(from mesh.NodeID, r run) bool {
	known := p.seen[from]
	switch {
	case r.Nonce == known.Nonce && r.Made <= known.Made:
		return true
	case r.Nonce != known.Nonce && !r.follows(known):
		return false
	}
	if len(p.seen) >= membersMax {
		p.unsee()
	}
	p.seen[from] = r
	p.keep(keySeen+string(from), r)
	return true
}

// unsee forgets the runs of those who are no longer part of the mesh.
func (p *Party) unsee() {
	for _, id := range slices.Sorted(maps.Keys(p.seen)) {
		if _, admitted := p.peers[id]; !admitted && p.roster.Seat(id) < 0 {
			delete(p.seen, id)
			p.keepBytes(keySeen+string(id), nil)
		}
	}
}

// bar ends this node's part for good: its disk has forgotten what it promised,
// or it has a twin.
func (p *Party) bar(why string) {
	if p.barred != "" {
		return
	}
	p.barred = why + ": its disk was restored or copied"
	p.keep(keyBarred, p.barred)
	p.drop(Barred)
	p.out.Changes[len(p.out.Changes)-1].Text = p.barred
}

// hearOf acts on a message. Views must match: an older one is told what is
// newer, with proof, a newer one is asked for it (R8). Two views of one epoch
// exist only if two persons forced one each: then the greater stands.
func (p *Party) hearOf(from mesh.NodeID, m Message) {
	if m.Chain != nil {
		p.onChain(from, m.Chain)
		return
	}
	switch {
	case m.Epoch < p.roster.Epoch:
		p.send(from, Message{Chain: &chain{Entries: p.after(m.Epoch)}})
		return
	case m.Epoch > p.roster.Epoch:
		p.send(from, Message{})
		return
	case m.View < p.view:
		p.send(from, Message{Chain: &chain{Entries: []Roster{p.roster}}})
		return
	case m.View > p.view:
		p.send(from, Message{})
		return
	}
	p.knowing(from)
	p.dispatch(from, p.roster.Seat(from), m)
}

// after is the next few rosters after an epoch.
func (p *Party) after(epoch uint64) []Roster {
	i := slices.IndexFunc(p.chain, func(r Roster) bool { return r.Epoch > epoch })
	return slices.Clone(p.chain[i:min(i+entriesMax, len(p.chain))])
}

// dispatch hands a message of the present epoch to the part that it is for.
// Answers count only from voters.
func (p *Party) dispatch(from mesh.NodeID, seat int, m Message) {
	by := asker{from, m.Run.Nonce}
	switch {
	case m.Prepare != nil:
		p.onPrepare(by, m.Prepare)
	case m.Propose != nil:
		p.onPropose(by, m.Propose)
	case m.Release != nil:
		p.onRelease(from, m.Release)
	case m.Seek != nil:
		p.onSeek(from, m.Seek)
	case m.Elect != nil:
		p.onElect(from, m.Elect)
	case seat < 0:
	case m.Promise != nil:
		p.onPromise(seat, m.Promise)
	case m.Accept != nil:
		p.onAccept(seat, m.Run.Nonce, m.Accept)
	case m.Vow != nil:
		p.onVow(seat, m.Vow)
	case m.Vote != nil:
		p.onVote(seat, m.Vote)
	}
}
