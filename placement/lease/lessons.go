package lease

import "mn/mesh"

// A lease is the right to decide, and not the knowledge of what was decided
// before. Whoever must never place a second copy reads that from a majority of
// the voters, for what must not be missed was kept by a majority before it took
// effect (mesh/core). The voters that a new roster brings in have kept nothing
// yet. So before they are part of any majority they learn: from a majority of
// the voters before them, all sealed by then, which keep nothing more; or from one
// voter beside them that has.

// A disk may lose some of what it held, and notice. What it kept as a voter may be
// among that, and a majority may have counted on it: it takes as many other
// voters to teach it again. DESIGN.md has the argument.

// Standing is how far a node's word on what was decided goes.
type Standing struct {
	Knows uint64 `json:"k,omitempty"` // it votes in this epoch, and knows what was decided before it
	Past  uint64 `json:"p,omitempty"` // it keeps no decision of this epoch or one before it any more
}

// Standing is what this node may say of itself.
func (p *Party) Standing() Standing {
	if p.barred != "" || p.forgot {
		return Standing{}
	}
	s := Standing{Past: max(p.roster.Epoch, 1) - 1}
	if p.seat >= 0 && p.voter.sealed {
		s.Past = p.roster.Epoch
	}
	if p.seat >= 0 && p.voter.knows {
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
// of these nodes. The voter itself counts among them if it is one of them.
type Lesson struct {
	Epoch  uint64 // of the voter's roster; 0 if there is nothing to learn
	From   []mesh.NodeID
	Quorum int
	// Fellows are the others that a new roster has: one of them that knows, by its
	// Standing, teaches it all. Those of the roster before may be gone.
	Fellows []mesh.NodeID
	// Again says that the voter knew, and has forgotten: the others of its own
	// roster teach it. Else those of the roster before do.
	Again bool
}

// Counts says whether a node with that standing teaches the lesson.
func (l *Lesson) Counts(s Standing) bool {
	if l.Again {
		return s.Knows == l.Epoch
	}
	return s.Past >= l.Epoch-1
}

// Lesson is what this voter has to learn.
func (p *Party) Lesson() Lesson {
	if p.seat < 0 || p.voter.knows || p.barred != "" {
		return Lesson{}
	}
	l := Lesson{Epoch: p.roster.Epoch, Again: p.voter.knew}
	teachers := p.roster
	if !l.Again {
		teachers = p.chain[len(p.chain)-2]
	}
	l.Quorum = teachers.Quorum()
	for _, v := range teachers.Voters {
		if v.ID != p.self || !p.forgot {
			l.From = append(l.From, v.ID)
		}
	}
	for _, v := range p.roster.Voters {
		if v.ID != p.self && !l.Again {
			l.Fellows = append(l.Fellows, v.ID)
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
	p.voter.knows, p.voter.knew, p.forgot = true, true, false
	p.keepKnowledge()
}

// onForgot takes notice, durably, that this node's disk has lost some of its
// data. A lone voter has nobody to ask: what is left is all that there is.
func (p *Party) onForgot() {
	if p.seat >= 0 && len(p.roster.Voters) == 1 {
		return
	}
	p.voter.knows, p.forgot = false, true
	p.keepKnowledge()
}

// knowledge is what a node keeps of what it knows.
type knowledge struct {
	Epoch  uint64 `json:"e"`
	Knows  bool   `json:"k,omitempty"` // of that epoch's voter
	Knew   bool   `json:"n,omitempty"` // of that epoch's voter
	Forgot bool   `json:"f,omitempty"` // whatever the epoch
}

func (p *Party) keepKnowledge() {
	p.keep(keyKnows, knowledge{p.roster.Epoch, p.voter.knows, p.voter.knew, p.forgot})
}

// recall restores what the voter of the present roster knows.
func (p *Party) recall(k knowledge) {
	p.forgot = k.Forgot
	if k.Epoch == p.roster.Epoch {
		p.voter.knows, p.voter.knew = k.Knows, k.Knew
		return
	}
	p.arrive()
}

// arrive is what a voter knows when its roster begins.
func (p *Party) arrive() {
	p.voter.knows = p.first()
	p.voter.knew = p.voter.knows
	p.forgot = p.forgot && !p.voter.knows
}
