// Package sim is for running whole meshes in one goroutine, on a virtual clock,
// to see whether they keep their promises whatever happens to them.
//
// Each node is the production code: a core.Core, and with it the merge, the
// leases and the roster, the ranking, the plans, the reservations and the life
// of copies. Only the outermost shell is a model: the disk (disk.go), the
// network (network.go), gossip's membership (members.go: SWIM, with suspicion
// and false alarms), the clocks (clock.go), supervisors and tasks (tasks.go),
// and the people who ask for things (people.go).
//
// A run is a pure function of the scenario and its seed: the same two give the
// same trace to the byte, on any machine. Nothing here reads a clock, starts a
// goroutine or uses floating point; chance comes from streams that derive from
// the seed, one a purpose (chance.go).
//
// A run has two phases. At first anything may go wrong, as the scenario says or
// the seed draws, and after every step the invariants must hold that are about
// safety. Then faults end, and within a stated time everything must be as
// people asked for; see check.go and final.go for both lists by name.
package sim

import (
	"fmt"
	"time"

	"mn/mesh"
)

// Options say how to run a scenario once.
type Options struct {
	Seed  uint64
	Nodes int // instead of the scenario's, if above 0

	// Without are the numbers of faults to leave out, as [Result.Faults] counts.
	Without []int
	// Until ends the run early, to look at a prefix of it. 0 is the whole.
	Until time.Duration
	// Crash lets a panic of a core through, for its stack to be seen.
	Crash bool
	// Timeline keeps the run's story in the result, with messages if asked for.
	Timeline, Messages bool
}

// Result is what came of a run.
type Result struct {
	Scenario string        `json:"scenario"`
	Seed     uint64        `json:"seed"`
	Nodes    int           `json:"nodes"`
	Virtual  mesh.Duration `json:"virtual"` // time that passed in it
	Steps    int           `json:"steps"`   // of all cores
	Trace    string        `json:"trace"`   // digest of everything that happened
	Faults   []Struck      `json:"faults"`  // in order

	Violation *Violation `json:"violation,omitempty"`
	Sometimes []Count    `json:"sometimes"`
	Figures   Figures    `json:"figures"`
	Timeline  []Line     `json:"timeline,omitempty"`
	Spans     []Span     `json:"-"` // for a picture; with the timeline

	failovers, takeovers []time.Duration
	traffic              map[class]Traffic
	span                 int64 // milliseconds of all nodes' lives together
}

// Struck is a fault that happened.
type Struck struct {
	Number int           `json:"number"` // under which it can be left out
	At     mesh.Duration `json:"at"`
	Text   string        `json:"text"`
}

// Violation is a promise that was broken.
type Violation struct {
	Invariant string        `json:"invariant"` // its name
	At        mesh.Duration `json:"at"`        // when
	Step      int           `json:"step"`      // after which step of all cores
	Text      string        `json:"text"`      // what was seen
}

// Error is the violation in a line.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s at %v: %s", v.Invariant, v.At, v.Text)
}

// Run runs a scenario, which must be valid. Whatever the cores do, it returns:
// a panic is a violation too.
func Run(s Scenario, o Options) (r Result) {
	w := newWorld(s, o)
	defer func() {
		if !o.Crash {
			if p := recover(); p != nil {
				w.breach("no-panic", "%v", p)
			}
		}
		r = w.result()
	}()
	w.form()
	w.trouble()
	w.rest()
	return
}
