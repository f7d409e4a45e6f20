package lease

import (
	"time"

	"mn/crdt"
)

// A model is a small world that is explored: who is there, what they are told,
// and what may go wrong beside losses and delays, which always may.
type model struct {
	name   string
	nodes  int
	voters []int // of the roster at the beginning, epoch 1
	views  []view
	later  []later // may come at any time, or never
	cfg    Config
	rates  []rate

	crashes, delays int
	mortal          []int // who may crash; nil for all
	dead            []int // who never starts
	reboots         bool
	oneRoster       bool // there will be no other
	calm            bool // nobody asks by itself whether there is another

	lead  func(x *explorer, s state) state // to where the exploration begins
	gone  []int                            // who is not admitted, when all is told
	shows []sight                          // what some state must show
	bug   bug
}

// view is who is admitted and alive as a node sees it, by numbers, and whether
// it is to hold the slot.
type view struct {
	admitted, alive []int
	bids            bool
}

// later is something that a node's agent tells it, which the others' did not
// wait for.
type later struct {
	node int
	view view
}

// rate is how fast a boot clock runs against true time.
type rate struct{ num, den int64 }

func (m *model) rate(i int) rate {
	if m.rates == nil {
		return rate{1, 1}
	}
	return m.rates[i]
}

// of is how much the clock advances in a true time.
func (r rate) of(d time.Duration) time.Duration {
	return time.Duration(int64(d) / r.den * r.num)
}

// until is the true time, in whole numbers of den, until the clock has advanced
// by d.
func (r rate) until(d time.Duration) time.Duration {
	return time.Duration((int64(d) + r.num - 1) / r.num * r.den)
}

// bug is a line that somebody forgot. It spoils how a party takes a step, or
// what it knows after a restart.
type bug struct {
	name  string
	step  func(p *Party, in Input, step func(Input) Output) Output
	birth func(p *Party)
}

func (b bug) planted() bool { return b.name != "" }

// beat is what all times of a model are multiples of, so that it has few
// instants. With clocks of one rate, holder and voter count a lease to the same
// instant: nothing is left between them.
const beat = time.Second

func beats() Config {
	return Config{Length: 3 * beat, Renew: beat, Retry: beat, Replace: 3 * beat}
}

// members is a view as the agent tells it.
func (x *machine) members(v view) Members {
	var m Members
	for _, i := range v.admitted {
		m.Admitted = append(m.Admitted, x.cast[i].member)
	}
	for _, i := range v.alive {
		m.Alive = append(m.Alive, x.cast[i].id)
	}
	return m
}

func (v view) bid() Bid {
	if v.bids {
		return Bid{SlotsOf(slotExplored)}
	}
	return Bid{}
}

// briefing is what node i is told as it starts.
func (x *machine) briefing(i int, told uint32) []Input {
	v := x.views[i]
	for k, l := range x.later {
		if told>>k&1 != 0 {
			v = l.view
		}
	}
	return []Input{x.members(v), v.bid()}
}

// founding is the disk of node i before its first start: a roster that it has
// had for long, and the lives that its peers begin.
func (x *machine) founding(i int) uint32 {
	r := Roster{Epoch: 1, Length: x.cfg.Length}
	for _, k := range x.voters {
		r.Voters = append(r.Voters, Voter{x.cast[k].id, x.cast[k].member.Key})
	}
	facts := map[string][]byte{
		keyRun: encode(run{Count: 1}), keyOpen: encode(uint64(1)), rosterKey(1): encode(r),
	}
	for k, n := range x.cast {
		if k != i {
			facts[keySeen+string(n.id)] = encode(run{Count: 2, Nonce: birth{k, 2}.Uint64()})
		}
	}
	return x.addDisk(facts)
}

// readDisk finds what is checked of a disk.
func readDisk(facts []Fact) disk {
	d := disk{facts: facts, rosters: map[uint64]uint64{}}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	for _, f := range facts {
		switch f.Key {
		case keyRun:
			must(crdt.Decode(f.Value, &d.run))
		case keyBallot:
			must(crdt.Decode(f.Value, &d.box))
		case keyPromise:
			must(crdt.Decode(f.Value, &d.kept))
		default:
			var r Roster
			if f.Key[:min(len(f.Key), len(keyRoster))] == keyRoster {
				must(crdt.Decode(f.Value, &r))
				d.rosters[r.Epoch] = r.view()
			}
		}
	}
	return d
}
