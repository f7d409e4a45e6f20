package lease

import (
	"crypto/ed25519"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// court is nodes with keys, to make rosters and votes by hand.
func court(n int) (*world, []Voter) {
	w := newWorld(1, n)
	var voters []Voter
	for _, node := range w.nodes {
		voters = append(voters, Voter{node.id, node.member.Key})
	}
	return w, voters
}

func (w *world) vote(r Roster, ballot uint64, by ...int) Roster {
	r.Proof = Proof{Ballot: ballot}
	return w.addVotes(r, ballot, by...)
}

func (w *world) addVotes(r Roster, ballot uint64, by ...int) Roster {
	for _, i := range by {
		n := w.nodes[i]
		r.Proof.Votes = append(r.Proof.Votes,
			Signature{n.id, ed25519.Sign(n.key, r.ballotText(ballot))})
	}
	return r
}

func TestRosterNeedsProof(t *testing.T) {
	w, all := court(5)
	prev := Roster{Epoch: 4, Voters: all[:3], Length: time.Second}
	next := Roster{Epoch: 5, Voters: all, Length: time.Second, Prev: prev.digest()}
	with := func(change func(*Roster)) Roster {
		r := next
		change(&r)
		return w.vote(r, 9, 0, 1)
	}
	forged := w.vote(next, 9, 0, 1)
	forged.Proof.Votes[1].By = all[2].ID
	tests := []struct {
		name string
		r    Roster
		want string // "" if it is proven
	}{
		{"majority", w.vote(next, 9, 0, 1), ""},
		{"all", w.vote(next, 9, 2, 1, 0), ""},
		{"minority", w.vote(next, 9, 0), "1 votes of 3"},
		{"nobody", next, "0 votes of 3"},
		{"one twice", w.vote(next, 9, 0, 0), "bad vote"},
		{"strangers", w.vote(next, 9, 3, 4), "bad vote"},
		{"another's signature", forged, "bad vote"},
		{"two ballots", w.addVotes(w.vote(next, 9, 0), 10, 1), "bad vote"},
		{"skips an epoch", with(func(r *Roster) { r.Epoch = 6 }), "does not follow"},
		{"another parent", with(func(r *Roster) { r.Prev = make([]byte, 32) }), "another epoch 4"},
		{"even", with(func(r *Roster) { r.Voters = all[:2] }), "2 voters"},
		{"empty", with(func(r *Roster) { r.Voters = nil }), "0 voters"},
		{
			"out of order", with(func(r *Roster) { r.Voters = []Voter{all[1], all[0], all[2]} }),
			"not in order",
		},
		{
			"stolen seat", with(func(r *Roster) { r.Voters = []Voter{{all[0].ID, all[1].Key}} }),
			"another node's key",
		},
		{"longer leases", with(func(r *Roster) { r.Length = time.Minute }), "length"},
		{"forced", with(func(r *Roster) { r.Forced = "why" }), "forced"},
		{"endless epoch", with(func(r *Roster) { r.Epoch = 1 << 63 }), "not within"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.r.proven(prev)
			if (err == nil) != (tt.want == "") ||
				(err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("proven is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestForcedRosterNeedsAnAdmittedNode(t *testing.T) {
	w, all := court(4)
	prev := Roster{Epoch: 4, Voters: all[:3], Length: time.Second}
	keyOf := func(id mesh.NodeID) ed25519.PublicKey {
		if n := w.node(id); n.at < 3 {
			return n.member.Key
		}
		return nil
	}
	const first, second = forceStep, 2*forceStep + 3*forceSpan
	make := func(epoch uint64, voter, by int) Roster {
		r := Roster{Epoch: epoch, Voters: all[voter : voter+1], Length: time.Second, Forced: "fire"}
		return w.vote(r, 0, by)
	}
	for _, tt := range []struct {
		name string
		r    Roster
		prev Roster
		from int
		ok   bool
	}{
		{"by an admitted node", make(first, 2, 2), prev, 2, true},
		{"by a stranger", make(first, 3, 3), prev, 3, false},
		{"by one that has left since, as a member says", make(first, 3, 3), prev, 1, true},
		{"for another", make(first, 0, 2), prev, 2, false},
		{"signed by another", w.vote(Roster{
			Epoch: first, Voters: all[2:3], Length: time.Second, Forced: "fire",
		}, 1, 2), prev, 2, false},
		{"in an epoch that no node forces", make(first+1, 2, 2), prev, 2, false},
		{"after another that was forced", make(second, 2, 2), make(first, 1, 1), 2, true},
		{"before one that was", make(first, 2, 2), make(second, 2, 2), 2, false},
	} {
		from := w.nodes[tt.from].id
		if err := tt.r.vouched(tt.prev, from, keyOf); (err == nil) != tt.ok {
			t.Errorf("a roster %s: %v", tt.name, err)
		}
	}
}

func TestChoose(t *testing.T) {
	_, all := court(5)
	// A node is a letter a–e by id: upper case if it is a voter now, then + if
	// it is fit, ! if it is dead and still fit, - if it is dead for good,
	// ? if it is alive but new, w for a witness.
	tests := []struct{ name, nodes, want string }{
		{"one", "A+", ""},
		{"two stay one", "A+ b+", ""},
		{"three grow", "A+ b+ c+", "abc"},
		{"not with a new one", "A+ b+ c?", ""},
		{"four have three", "A+ B+ C+ d+", ""},
		{"five have five", "A+ B+ C+ d+ e+", "abcde"},
		{"a short absence", "A+ B+ C! d+", ""},
		{"a long absence", "A+ B+ C- d+", "abd"},
		{"nobody to replace", "A+ B+ C-", ""},
		{"one is evicted", "A+ B+ d+", "abd"},
		{"not smaller for the dead", "A+ B+ C- d- e-", ""},
		{"not smaller while one settles", "A+ B+ d?", ""},
		{"smaller when fewer are admitted", "A+ B+", "a"},
		{"a witness is first", "A+ B+ C+ dw", "abd"},
		{"two voters stay the first", "b+ C+", ""},
		{"no dead majority", "A! B! c+", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var now []Voter
			var list []candidate
			for _, node := range strings.Fields(tt.nodes) {
				i := strings.ToLower(node)[0] - 'a'
				c := candidate{Voter: all[i], current: node[0] < 'a', witness: node[1] == 'w'}
				c.alive = strings.ContainsAny(node[1:], "+?w")
				c.fit = strings.ContainsAny(node[1:], "+!w")
				if c.current {
					now = append(now, c.Voter)
				}
				list = append(list, c)
			}
			if tt.name == "one is evicted" {
				now = append(now, all[2])
			}
			got := ""
			for _, v := range choose(now, list) {
				for i := range all {
					if all[i].ID == v.ID {
						got += string(rune('a' + i))
					}
				}
			}
			if got != tt.want {
				t.Errorf("chosen are %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWhoIsAliveIsTheSameWhicheverListsAreNew: a party that is told the same list of
// members again looks only at who has come and gone.
func TestWhoIsAliveIsTheSameWhicheverListsAreNew(t *testing.T) {
	w := newWorld(3, 6)
	self := w.nodes[0].id
	var admitted []mesh.Member
	for _, n := range w.nodes {
		admitted = append(admitted, n.member)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	whole, part, before := peers{}, peers{}, nodeSet(nil)
	part.update(Members{Admitted: admitted}, self, 0)
	whole.update(Members{Admitted: admitted}, self, 0)
	for now := range time.Duration(200) {
		var alive []mesh.NodeID
		for _, n := range w.nodes {
			if rng.IntN(2) == 0 {
				alive = append(alive, n.id)
			}
		}
		want := whole.update(Members{Admitted: admitted, Alive: alive}, self, now)
		got := part.wake(before, alive, self, now)
		if before = alive; !slices.Equal(got, want) || !reflect.DeepEqual(part, whole) {
			t.Fatalf("of %v alive: got %v of %v, want %v of %v", alive, got, part, want, whole)
		}
	}
}

// TestStuckVoterHoldsNoChangeUp: the first voter seems to be alive and hears nobody.
func TestStuckVoterHoldsNoChangeUp(t *testing.T) {
	w := newWorld(1, 6)
	w.found(t)
	w.run(2*w.cfg.Settle + time.Minute)
	stuck, by := w.nodes[0], w.nodes[1]
	before := by.party.Roster()
	if len(before.Voters) != 5 || before.Seat(stuck.id) != 0 || before.Seat(by.id) != 1 {
		t.Fatalf("the voters are %v", before)
	}
	lost := w.node(before.Voters[4].ID)
	lost.stop()
	w.members()
	for _, o := range w.nodes {
		w.apart(stuck, o)
	}
	w.run(w.cfg.Replace + turnTime + time.Minute)
	if now := by.party.Roster(); now.Seat(lost.id) >= 0 || w.broken != nil {
		t.Errorf("a voter lost for %v is still there: %v %v", w.cfg.Replace+turnTime, now, w.broken)
	}
}
