package lease

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
)

// Bootstrap founds a mesh: roster epoch 1 with this node as its only voter.
func (p *Party) Bootstrap(now time.Duration) (Output, error) {
	p.begun(now)
	if p.roster.Epoch != 0 {
		return Output{}, fmt.Errorf("found a mesh: this node has a roster of %v", p.roster)
	}
	pub := slices.Clone([]byte(p.key.Public().(ed25519.PublicKey)))
	p.append(Roster{Epoch: 1, Voters: []Voter{{p.self, pub}}, Length: p.cfg.Length})
	p.enthrone(nil)
	// No lease was ever granted in this mesh: there is none to wait for.
	p.voter.blank, p.voter.openAt = now, now
	p.due()
	return p.take(), nil
}

// Adopt takes the roster that came with this node's certificate, newest last.
// A node that has a roster already takes only what follows it with proof.
func (p *Party) Adopt(now time.Duration, chain []Roster) (Output, error) {
	p.begun(now)
	if len(chain) == 0 {
		return Output{}, errors.New("adopt a roster: there is none")
	}
	last := chain[len(chain)-1]
	if p.roster.Epoch == 0 {
		if err := last.check(); err != nil {
			return Output{}, fmt.Errorf("adopt a roster: %w", err)
		}
		if last.Seat(p.self) >= 0 {
			return Output{}, fmt.Errorf("adopt %v: this node votes in it and has no memory "+
				"of what it promised: it must join with a new key", last)
		}
		p.append(last)
		p.enthrone(nil)
	}
	before := p.roster.Epoch
	var err error
	for _, r := range chain {
		if r.Epoch > p.roster.Epoch && err == nil {
			err = p.follow(r)
		}
	}
	if p.roster.Epoch > before {
		p.enthrone(nil)
	}
	p.due()
	return p.take(), err
}

// Heirs are who is to vote if a person vouches that some nodes are off for good: of the
// others that are in sight, this one among them, as many as there should be.
func (p *Party) Heirs(off func(mesh.NodeID) bool) []mesh.Member {
	rest := slices.DeleteFunc(p.candidates(), func(c candidate) bool { return off(c.ID) })
	able := slices.DeleteFunc(slices.Clone(rest), func(c candidate) bool { return !c.alive })
	slices.SortFunc(able, candidate.better)
	var heirs []mesh.Member
	for _, c := range able[:max(min(seats(len(rest)), len(able)-(1-len(able)%2)), 0)] {
		heirs = append(heirs, mesh.Member{ID: c.ID, Key: c.Key})
	}
	return heirs
}

// Force installs a roster of these voters without asking the old ones: a person
// vouches that the missing ones are off for good. The reason is kept in it.
func (p *Party) Force(now time.Duration, voters []mesh.Member, reason string) (Output, error) {
	p.begun(now)
	old := p.roster
	r := Roster{
		Epoch: (old.Epoch/forceStep + 1) * forceStep, Length: p.cfg.Length, Forced: reason,
	}
	if reason == "" || old.Epoch == 0 {
		return Output{}, errors.New("force a roster: there must be a reason and an old roster")
	}
	r.Prev = old.digest()
	for _, m := range voters {
		r.Voters = append(r.Voters, Voter{m.ID, m.Key})
	}
	slices.SortFunc(r.Voters, byID)
	r.Proof.Votes = []Signature{{p.self, ed25519.Sign(p.key, r.ballotText(0))}}
	if err := r.vouched(old, p.keyOf); err != nil {
		return Output{}, fmt.Errorf("force a roster: %w", err)
	}
	p.append(r)
	p.enthrone(nil)
	p.announce(old, r, nil)
	p.due()
	return p.take(), nil
}
