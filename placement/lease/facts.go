package lease

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// The keys of the facts.
const (
	keyRun     = "lease/run"     // run: how often this node was started
	keySeen    = "lease/seen/"   // run, by node: the newest that we heard of
	keyBarred  = "lease/barred"  // string: why this node must join anew
	keyPromise = "lease/promise" // ledger: the promised ballots of the epoch
	keyOpen    = "lease/open"    // uint64: the epoch whose waiting time is over
	keyKnows   = "lease/knows"   // knowledge: whether this voter knows what was decided before
	keyBallot  = "lease/ballot"  // ballotBox: promise and vote for the successor
	keyRoster  = "lease/roster/" // Roster, by epoch
)

// chainMax is how many rosters a node keeps. One that was away for longer than
// so many changes must be given the roster by a person: it joins anew.
const chainMax = 256

// ledger is what a voter has promised in an epoch, slot by slot. Owners are
// listed once; Of has 1 + the position in Owners, or 0 for none.
type ledger struct {
	Epoch   uint64   `json:"e"`
	Ballots []uint64 `json:"b"`
	Owners  []asker  `json:"o"`
	Of      []uint16 `json:"w"`
}

func encode(v any) []byte {
	b, err := crdt.Encode(v)
	if err != nil {
		panic("lease: encode a value of our own: " + err.Error())
	}
	return b
}

// keep makes v the value of a fact, before anything is sent.
func (p *Party) keep(key string, v any) { p.keepBytes(key, encode(v)) }

func (p *Party) keepBytes(key string, value []byte) {
	for i := range p.out.Facts {
		if p.out.Facts[i].Key == key {
			p.out.Facts[i].Value = value
			return
		}
	}
	p.out.Facts = append(p.out.Facts, Fact{key, value})
}

func rosterKey(epoch uint64) string { return fmt.Sprintf("%s%08d", keyRoster, epoch) }

// load reads what this node kept. What it cannot read it does not guess at.
func (p *Party) load(facts []Fact) error {
	facts = slices.Clone(facts)
	slices.SortFunc(facts, func(a, b Fact) int { return cmp.Compare(a.Key, b.Key) })
	box, kept := ballotBox{}, ledger{}
	var openEpoch uint64
	var known knowledge
	for _, f := range facts {
		var err error
		switch {
		case f.Key == keyRun:
			err = crdt.Decode(f.Value, &p.run)
		case strings.HasPrefix(f.Key, keySeen):
			var r run
			err = crdt.Decode(f.Value, &r)
			p.seen[mesh.NodeID(strings.TrimPrefix(f.Key, keySeen))] = r
		case f.Key == keyBarred:
			err = crdt.Decode(f.Value, &p.barred)
		case f.Key == keyPromise:
			err = crdt.Decode(f.Value, &kept)
		case f.Key == keyOpen:
			err = crdt.Decode(f.Value, &openEpoch)
		case f.Key == keyKnows:
			err = crdt.Decode(f.Value, &known)
		case f.Key == keyBallot:
			err = crdt.Decode(f.Value, &box)
		case strings.HasPrefix(f.Key, keyRoster):
			var r Roster
			if err = crdt.Decode(f.Value, &r); err == nil {
				p.chain = append(p.chain, r)
			}
		}
		if err != nil {
			return fmt.Errorf("read fact %q: %w", f.Key, err)
		}
	}
	if len(p.chain) == 0 {
		return nil
	}
	p.stand(p.chain[len(p.chain)-1])
	if box.Epoch == p.roster.Epoch {
		p.box = box
		p.voter.sealed = box.Entry != nil
	}
	p.pacesOf = p.roster.Voters
	p.recall(known)
	return p.remember(kept, openEpoch)
}

// remember restores the voter. A grant is never written to disk, so a restarted
// voter assumes the worst (R4): that whatever it promised was granted in full
// the instant before it stopped, and that no waiting time had begun. Its own
// leases are the exception: they ended with the process that held them.
func (p *Party) remember(kept ledger, openEpoch uint64) error {
	v := &p.voter
	v.since, v.open = p.now, openEpoch == p.roster.Epoch
	if !v.open {
		v.blank = p.now + p.holdTime(p.longest())
		v.openAt = v.blank
	}
	if kept.Epoch != p.roster.Epoch {
		return nil
	}
	if len(kept.Ballots) != mesh.Slots || len(kept.Of) != mesh.Slots {
		return fmt.Errorf("read fact %q: %d ballots of %d slots",
			keyPromise, len(kept.Ballots), mesh.Slots)
	}
	until := p.now + p.holdTime(p.roster.Length)
	for i := range v.ballot {
		v.ballot[i] = kept.Ballots[i]
		k := int(kept.Of[i])
		if k == 0 {
			continue
		}
		if k > len(kept.Owners) {
			return fmt.Errorf("read fact %q: slot %d has no owner", keyPromise, i)
		}
		v.owner[i] = kept.Owners[k-1]
		if v.owner[i].ID != p.self {
			v.grant[i] = grant{v.owner[i].ID, v.ballot[i], until}
		}
	}
	return nil
}

// longest is the longest lease that may still run under an earlier roster.
func (p *Party) longest() time.Duration {
	length := p.roster.Length
	for _, r := range p.chain[max(len(p.chain)-2, 0):] {
		length = max(length, r.Length)
	}
	return length
}

// ledger is the voter's promises as they are kept.
func (v *voter) ledger(epoch uint64) ledger {
	l := ledger{Epoch: epoch, Ballots: v.ballot[:], Of: make([]uint16, mesh.Slots)}
	at := map[asker]uint16{}
	for i, id := range v.owner {
		if id.ID == "" {
			continue
		}
		k, ok := at[id]
		if !ok {
			l.Owners = append(l.Owners, id)
			k = uint16(len(l.Owners))
			at[id] = k
		}
		l.Of[i] = k
	}
	return l
}
