package lease

import (
	"slices"
	"time"
)

// An explorer finds the states that a model can come to, all of those that are
// one move away from the beginning, then two, and so on.
type explorer struct {
	*machine
	laterID []uint32 // flights of what agents tell later

	spare state         // where moves are tried
	clock time.Duration // true time, where a story is told
	story *[]string     // is told, if not nil

	known  digests
	trail  []footprint // of each state, by its number
	fringe []state     // of the next level
	arena  []uint32    // where they are
	report report

	sampleEvery int // of so many states one is put aside; 0 for none
	samples     []sample
}

// footprint says how a state was first come to.
type footprint struct {
	from int32 // the number of a state, -1 of none
	by   move
}

// sample is a state with its number.
type sample struct {
	state  state
	number int32
}

// report is what an exploration has come to.
type report struct {
	depth  int // of the last level that is complete
	states int
	moves  int
	seen   [sightsMax]int
	breach string
	path   []move // to the breach
}

// sight is what a state can show of what an exploration is there for.
type sight int

// The sights.
const (
	heldOnce    sight = iota // a node holds the slot
	contested                // several bid for it, or hold it
	twoEpochs                // nodes know different rosters
	someSealed               // a voter has voted for the next one
	someDown                 // a node is down
	someEvicted              // a node knows that it is no longer admitted
	sightsMax
)

var sightNames = [sightsMax]any{"held", "contested", "2 epochs", "sealed", "down", "evicted"}

func explore(m *model) *explorer {
	x := &explorer{machine: newMachine(m)}
	for k, l := range m.later {
		x.laterID = append(x.laterID, x.addFlight(flight{
			from: -1 - k, to: l.node, clock: -1, told: []Input{x.members(l.view), l.view.bid()},
		}))
	}
	return x
}

// origin is where the exploration begins. All nodes have been up for long.
func (x *explorer) origin() state {
	t := make(state, x.fixed())
	t[2*x.nodes+faultsLeft] = uint32(x.crashes)<<crashes | uint32(x.delays)<<delays
	t = slices.Concat(t, x.laterID)
	slices.Sort(x.sent(t))
	for i := range x.nodes {
		t[x.nodes+i] = x.founding(i)
		if slices.Contains(x.dead, i) {
			continue
		}
		t, _ = x.begin(t, i, false)
		t[i] = x.settled(t[i])
	}
	if x.lead != nil {
		t = x.lead(x, t)
	}
	return slices.Clone(t)
}

// settled is a party that has long been up, and has seen its peers for long.
func (x *machine) settled(id uint32) uint32 {
	p := x.party(id)
	p.started = never
	for id, peer := range p.peers {
		peer.since = never
		p.peers[id] = peer
	}
	return x.add(x.parties.all[id].node, p)
}

// run explores until there is nothing new, something is wrong, or a bound is
// reached. Only whole levels count.
func (x *explorer) run(depth, states int, enough func() bool) report {
	x.reach(x.origin(), footprint{from: -1})
	first := 0
	for x.report.depth < depth && len(x.fringe) > 0 && x.report.breach == "" {
		level := x.fringe
		x.fringe, x.arena = nil, nil
		next := len(x.trail)
		for i, s := range level {
			if len(x.trail) > states || enough() {
				return x.done()
			}
			x.expand(s, int32(first+i))
			if x.report.breach != "" {
				return x.done()
			}
		}
		first = next
		x.report.depth++
	}
	return x.done()
}

func (x *explorer) done() report {
	x.report.states = len(x.trail)
	return x.report
}

// expand tries all moves in a state.
func (x *explorer) expand(s state, number int32) {
	for m := range x.moves(s) {
		t, breach, ok := x.try(s, m)
		if !ok {
			continue
		}
		x.report.moves++
		x.reach(t, footprint{number, m})
		if breach != "" {
			x.fail(breach, footprint{number, m})
		}
		if x.report.breach != "" {
			return
		}
	}
}

// reach notes a state, if it is new, and looks whether all is right in it.
func (x *explorer) reach(t state, by footprint) {
	if !x.known.add(t.digest()) {
		return
	}
	x.trail = append(x.trail, by)
	if cap(x.arena)-len(x.arena) < len(t) {
		x.arena = make([]uint32, 0, 1<<18)
	}
	from := len(x.arena)
	x.arena = append(x.arena, t...)
	x.fringe = append(x.fringe, x.arena[from:len(x.arena):len(x.arena)])
	x.sight(t)
	if x.sampleEvery > 0 && len(x.trail)%x.sampleEvery == 0 {
		x.samples = append(x.samples, sample{slices.Clone(t), int32(len(x.trail) - 1)})
	}
	if text := x.wrong(t); text != "" {
		x.fail(text, by)
	}
}

// forget takes out answers that will never again mean anything to who gets them,
// where epochs and lives of bidders are not to be told apart.
func (x *explorer) forget(t state) state {
	if !x.oneRoster || x.crashes > 0 {
		return t
	}
	kept := x.sent(t)[:0]
	for _, id := range x.sent(t) {
		if !x.spent(t, id) {
			kept = append(kept, id)
		}
	}
	return t[:x.fixed()+len(kept)]
}

// spent says whether an answer is about a bid that is over, or says what was
// known. Bids have ever higher ballots, and grants are only ever renewed; but
// how long a refusal is to last, and what it makes a holder do, can change.
func (x *explorer) spent(t state, id uint32) bool {
	f := &x.flights.all[id]
	if !f.spends || t[f.to] == 0 {
		return false
	}
	if p := f.msg.Promise; p != nil && len(p.Busy) > 0 && p.Ballot == x.parties.all[t[f.to]].tried {
		return false
	}
	return x.step(t[f.to], id).idle
}

// fail keeps the first breach with the path to it.
func (x *explorer) fail(breach string, by footprint) {
	if x.report.breach != "" {
		return
	}
	x.report.breach = breach
	if by.from >= 0 {
		x.report.path = append(x.pathTo(by.from), by.by)
	}
}

// pathTo is the moves by which a state was first come to.
func (x *explorer) pathTo(number int32) []move {
	var path []move
	for by := x.trail[number]; by.from >= 0; by = x.trail[by.from] {
		path = append(path, by.by)
	}
	slices.Reverse(path)
	return path
}

// sight counts what there is to be seen in a state.
func (x *explorer) sight(t state) {
	var shows [sightsMax]bool
	bids, epoch := 0, uint64(0)
	for i := range x.nodes {
		if t[i] == 0 {
			shows[someDown] = true
			continue
		}
		p := &x.parties.all[t[i]]
		holds := !p.held.IsZero()
		if holds || p.tried != 0 {
			bids++
		}
		shows[heldOnce] = shows[heldOnce] || holds
		shows[twoEpochs] = shows[twoEpochs] || epoch != 0 && epoch != p.epoch
		shows[someSealed] = shows[someSealed] || p.sealed
		shows[someEvicted] = shows[someEvicted] || p.evicted
		epoch = p.epoch
	}
	shows[contested] = bids > 1
	for i, is := range shows {
		if is {
			x.report.seen[i]++
		}
	}
}
