package lease

import "mn/mesh"

// A lease is the right to decide, and not the knowledge of what was decided
// before. Whoever must never place a second copy reads that from a majority of
// the voters, for what must not be missed was kept by a majority before it took
// effect (mesh/core). The voters that a new roster brings in have kept nothing
// yet. So before they are part of any majority they learn: from a majority of
// the voters before them, all sealed by then, which keep nothing more.

// Standing is how far a node's word on what was decided goes.
type Standing struct {
	Knows uint64 `json:"k,omitempty"` // it votes in this epoch, and knows what was decided before it
	Past  uint64 `json:"p,omitempty"` // it keeps no decision of this epoch or one before it any more
}

// Standing is what this node may say of itself.
func (p *Party) Standing() Standing {
	s := Standing{Past: max(p.roster.Epoch, 1) - 1}
	if p.seat >= 0 && p.voter.sealed {
		s.Past = p.roster.Epoch
	}
	if p.seat >= 0 && p.voter.knows && p.barred == "" {
		s.Knows = p.roster.Epoch
	}
	return s
}

// Keeps says whether a decision of that epoch which this node has on its disk
// is kept by one of the voters: it votes under that roster, is informed, and has
// not voted for the next one. What a sealed voter keeps could be missed by those
// who learn from it.
func (p *Party) Keeps(epoch uint64) bool {
	s := p.Standing()
	return s.Knows == epoch && s.Past < epoch && !p.evicted
}

// Lesson says what a voter must do to be informed: compare its data with so many
// of these nodes, all of whose standing is past an epoch. The voter itself
// counts among them if it is one of them.
type Lesson struct {
	Epoch  uint64 // of the voter's roster; 0 if there is nothing to learn
	From   []mesh.NodeID
	Quorum int
	Past   uint64 // 0 if it does not matter
}

// Lesson is what this voter has to learn.
func (p *Party) Lesson() Lesson {
	if p.seat < 0 || p.voter.knows || p.barred != "" {
		return Lesson{}
	}
	l := Lesson{Epoch: p.roster.Epoch}
	teachers := p.roster
	if !p.voter.lost {
		teachers = p.chain[len(p.chain)-2]
		l.Past = teachers.Epoch
	}
	l.Quorum = teachers.Quorum()
	for _, v := range teachers.Voters {
		if !p.voter.lost || v.ID != p.self {
			l.From = append(l.From, v.ID)
		}
	}
	return l
}

// first says whether there is no roster before this one that anything could
// have been decided under, or none that can be asked: a person has vouched for
// a forced one, and the voters before it are gone.
func (p *Party) first() bool {
	n := len(p.chain)
	return p.roster.Forced != "" || n < 2 || p.chain[n-2].Epoch+1 != p.roster.Epoch
}

// onInformed notes, durably, that this voter may grant from now on.
func (p *Party) onInformed(epoch uint64) {
	if p.seat < 0 || p.voter.knows || epoch != p.roster.Epoch {
		return
	}
	p.voter.knows, p.voter.lost = true, false
	p.keepKnowledge()
}

// onForgot takes notice that this node's disk has lost some of its data: what
// it kept as a voter may be among it. A majority may have counted on it, so it
// takes as many others to teach it again. A lone voter has nobody to ask.
func (p *Party) onForgot() {
	if p.seat < 0 || len(p.roster.Voters) == 1 {
		return
	}
	p.voter.knows, p.voter.lost = false, true
	p.keepKnowledge()
}

// knowledge is what a voter keeps of what it knows.
type knowledge struct {
	Epoch uint64 `json:"e"`
	Knows bool   `json:"k,omitempty"`
	Lost  bool   `json:"l,omitempty"`
}

func (p *Party) keepKnowledge() {
	p.keep(keyKnows, knowledge{p.roster.Epoch, p.voter.knows, p.voter.lost})
}
