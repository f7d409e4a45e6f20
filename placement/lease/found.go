package lease

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"
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
			err = p.follow(r, "")
		}
	}
	if p.roster.Epoch > before {
		p.enthrone(nil)
	}
	p.due()
	return p.take(), err
}

// Force installs a roster of this node alone without asking the old voters: a person
// vouches that the missing ones are off for good. The reason is kept in it. Others become
// voters in its turn, and learn from this one what was decided.
func (p *Party) Force(now time.Duration, reason string) (Output, error) {
	p.begun(now)
	old := p.roster
	if reason == "" || old.Epoch == 0 {
		return Output{}, errors.New("force a roster: there must be a reason and an old roster")
	}
	pub := slices.Clone([]byte(p.key.Public().(ed25519.PublicKey)))
	r := Roster{
		Epoch: old.forced(p.self), Voters: []Voter{{p.self, pub}}, Length: p.cfg.Length,
		Prev: old.digest(), Forced: reason,
	}
	r.Proof.Votes = []Signature{{p.self, ed25519.Sign(p.key, r.ballotText(0))}}
	if err := r.vouched(old, p.self, p.keyOf); err != nil {
		return Output{}, fmt.Errorf("force a roster: %w", err)
	}
	p.append(r)
	p.enthrone(nil)
	p.announce(old, r, nil)
	p.due()
	return p.take(), nil
}
