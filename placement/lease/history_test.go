package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"mn/crdt"
	"mn/mesh"
)

// lock is what a slot is to who uses it: a lock whose each new holder gets a token
// that is higher than all before.
type lock struct {
	holder int // by number from 1; 0 if it is free
	token  crdt.Fence
}

// use is an operation on the lock.
type use struct {
	kind  useKind
	by    int
	token crdt.Fence
}

type useKind string

// The uses.
const (
	acquire useKind = "acquires"
	renewal useKind = "renews"
	loss    useKind = "loses"
)

// apply is the lock after a use; false if a lock does not allow it.
func (l lock) apply(u use) (bool, lock) {
	mine := l.holder == u.by
	switch u.kind {
	case acquire:
		return (mine || l.holder == 0) && u.token.Compare(l.token) > 0, lock{u.by, u.token}
	case renewal:
		return mine && l.token == u.token, l
	}
	return mine, lock{0, l.token}
}

var lockModel = porcupine.Model{
	Init: func() any { return lock{} },
	Step: func(state, input, _ any) (bool, any) { return state.(lock).apply(input.(use)) },
	DescribeOperation: func(input, _ any) string {
		u := input.(use)
		return fmt.Sprintf("n%d %s %v", u.by, u.kind, u.token)
	},
}

// historian writes down how nodes use slots, with the true times between which each
// use took place. It looks after each step of any node.
type historian struct {
	uses  map[mesh.Slot][]porcupine.Operation
	last  map[historic]glimpse
	count map[useKind]int
}

type historic struct {
	node int
	slot mesh.Slot
}

// glimpse is what was last seen of a node and a slot.
type glimpse struct {
	at    time.Duration
	held  crdt.Fence
	until time.Duration // on the node's clock
	asked time.Duration // when it began to bid; below 0 if it does not
}

func newHistorian() *historian {
	return &historian{
		uses: map[mesh.Slot][]porcupine.Operation{}, last: map[historic]glimpse{},
		count: map[useKind]int{},
	}
}

func (h *historian) look(w *world) {
	for _, n := range w.nodes {
		for _, s := range w.slots {
			h.see(n, s)
		}
	}
}

// see compares what a node holds with what it held.
func (h *historian) see(n *node, s mesh.Slot) {
	key := historic{n.at, s}
	was, known := h.last[key]
	if !known {
		was.asked = -1
	}
	now := glimpse{at: n.w.now, asked: -1}
	if n.party != nil {
		c := &n.party.bidder.claims[s]
		if held, ok := n.party.Held(n.local(), s); ok {
			now.held, now.until = held, c.until
		}
		if c.try.ballot != 0 {
			now.asked = max(was.asked, now.asked)
			if was.asked < 0 {
				now.asked = now.at
			}
		}
	}
	h.last[key] = now
	switch {
	case now.held == was.held && now.until > was.until:
		h.note(key, renewal, now.held, was.at, now.at)
	case now.held == was.held:
	case now.held.IsZero():
		h.note(key, loss, was.held, was.at, now.at)
	default:
		begun := was.asked
		if begun < 0 {
			begun = now.at
		}
		h.note(key, acquire, now.held, begun, now.at)
	}
}

func (h *historian) note(key historic, kind useKind, token crdt.Fence, from, to time.Duration) {
	h.count[kind]++
	h.uses[key.slot] = append(h.uses[key.slot], porcupine.Operation{
		ClientId: key.node, Input: use{kind, key.node + 1, token}, Call: int64(from), Return: int64(to),
	})
}

// close ends the history: who holds at its end does so at that instant.
func (h *historian) close(w *world) {
	h.look(w)
	for key, g := range h.last {
		if !g.held.IsZero() {
			h.note(key, renewal, g.held, w.now, w.now)
		}
	}
}

// linear says whether some order of the uses, each at an instant between its
// begin and its end, is one that a lock with a token allows.
func (h *historian) linear() bool {
	for _, uses := range h.uses {
		if !porcupine.CheckOperations(lockModel, uses) {
			return false
		}
	}
	return true
}

// recorded is a random schedule with its history.
func recorded(t testing.TB, seed uint64, mutant func(*node)) *historian {
	h := newHistorian()
	w := schedule(t, seed, func(n *node) {
		if mutant != nil {
			mutant(n)
		}
		h.look(n.w)
	})
	h.close(w)
	return h
}

func TestHistoriesAreThoseOfALock(t *testing.T) {
	t.Parallel()
	sum := map[useKind]int{}
	for seed := range uint64(20) {
		h := recorded(t, 1000+seed, nil)
		if !h.linear() {
			t.Errorf("schedule %d has a history that no lock with a token has", 1000+seed)
		}
		for kind, n := range h.count {
			sum[kind] += n
		}
	}
	t.Log(sum)
	for _, kind := range []useKind{acquire, renewal, loss} {
		if sum[kind] == 0 {
			t.Errorf("nobody ever %s a slot", kind)
		}
	}
}

// TestHistoriesShowPlantedBugs: the check is worth nothing if it cannot fail.
func TestHistoriesShowPlantedBugs(t *testing.T) {
	bugs := []struct {
		name   string
		mutant func(*node)
	}{
		{"grants are forgotten in a restart", func(n *node) {
			if n.party.now == n.party.started {
				n.party.voter.blank = 0
				n.party.voter.grant = [mesh.Slots]grant{}
			}
		}},
		{"ballots are forgotten", func(n *node) {
			n.party.voter.ballot = [mesh.Slots]uint64{}
			n.party.voter.owner = [mesh.Slots]asker{}
		}},
		{"half is a majority", func(n *node) { n.party.quorum = max(len(n.party.roster.Voters)/2, 1) }},
	}
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			const most = 100
			for seed := range uint64(most) {
				if !recorded(t, seed, bug.mutant).linear() {
					t.Logf("shown by schedule %d", seed)
					return
				}
			}
			t.Errorf("%d histories did not show it", most)
		})
	}
}
