package lease

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	depthFlag   = flag.Int("depth", 1000, "how many moves deep to explore each world")
	statesFlag  = flag.Int("states", 60_000, "how many states of each world to explore")
	minutesFlag = flag.Float64("minutes", 0, "how long to explore all worlds; 0 for no bound")
)

// endsEvery is of how many states one is tried for the good end that it leads to.
const endsEvery = 300

// bugStates is how many states must suffice to find a planted bug.
const bugStates = 400_000

// TestExploration looks at every state that the worlds come to within the bounds,
// whatever is lost, late, repeated and reordered, and whoever crashes.
func TestExploration(t *testing.T) {
	all := append(worlds(), traps()...)
	rows := make([]string, len(all))
	t.Run("worlds", func(t *testing.T) {
		for i, m := range all {
			t.Run(m.name, func(t *testing.T) {
				if *minutesFlag == 0 {
					t.Parallel()
				}
				rows[i] = exploreWhole(t, m, *minutesFlag/float64(len(all)))
			})
		}
	})
	t.Logf("\n%s\n%s", head, strings.Join(rows, "\n"))
}

var head = fmt.Sprintf("%-15s %5s %9s %10s %8s%s %8s", "world", "depth", "states", "moves", "parties",
	fmt.Sprintf(strings.Repeat(" %9s", len(sightNames)), sightNames[:]...), "seconds")

// exploreWhole explores a world without a bug, and says how far it came.
func exploreWhole(t *testing.T, m *model, minutes float64) string {
	begun := time.Now()
	enough := func() bool { return minutes > 0 && time.Since(begun).Minutes() > minutes }
	x := explore(m)
	x.sampleEvery = endsEvery
	r := x.run(*depthFlag, *statesFlag, enough)
	if r.breach != "" {
		t.Errorf("%s, after %d moves:\n%s", r.breach, len(r.path), strings.Join(x.retell(r.path), "\n"))
	}
	for _, s := range m.shows {
		if r.seen[s] == 0 {
			t.Errorf("no state of %d is %s: nothing was shown of what this world is for",
				r.states, sightNames[s])
		}
	}
	for _, s := range x.samples {
		for _, e := range x.endings(s) {
			if missing := x.goodEnd(s.state, e); missing != "" {
				t.Fatalf("%s, though nothing goes wrong after this but %+v:\n%s",
					missing, e, strings.Join(x.retell(x.pathTo(s.number)), "\n"))
			}
		}
	}
	row := fmt.Sprintf("%-15s %5d %9d %10d %8d", m.name, r.depth, r.states, r.moves, len(x.parties.all)-1)
	for _, n := range r.seen {
		row += fmt.Sprintf(" %9d", n)
	}
	return row + fmt.Sprintf(" %8.1f", time.Since(begun).Seconds())
}

// TestExplorationFindsPlantedBugs plants a bug at a time, and wants the shortest
// way to what it does.
func TestExplorationFindsPlantedBugs(t *testing.T) {
	for _, m := range planted() {
		t.Run(m.bug.name, func(t *testing.T) {
			t.Parallel()
			x := explore(m)
			r := x.run(*depthFlag, max(*statesFlag, bugStates), func() bool { return false })
			if r.breach == "" {
				t.Fatalf("%d states of %q, %d moves deep, did not show it", r.states, m.name, r.depth)
			}
			t.Logf("%d moves in %q, after %d states: %s\n%s", len(r.path), m.name, r.states, r.breach,
				strings.Join(x.retell(r.path), "\n"))
		})
	}
}

// TestExplorationFindsADeadEnd: states from which nothing good follows are found,
// as in a mesh whose bidders never give up what they propose.
func TestExplorationFindsADeadEnd(t *testing.T) {
	t.Parallel()
	m := plant(twoBid(), bug{
		name: "a proposal is repeated for ever",
		step: spoils(func(p *Party, _ *Output) {
			if try := &p.bidder.claims[slotExplored].try; try.proposed {
				try.tries = 0
			}
		}),
	})
	x := explore(m)
	x.sampleEvery = endsEvery
	x.run(*depthFlag, *statesFlag, func() bool { return false })
	for _, s := range x.samples {
		for _, e := range x.endings(s) {
			if missing := x.goodEnd(s.state, e); missing != "" {
				t.Logf("%s, after %+v and:\n%s", missing, e,
					strings.Join(x.retell(x.pathTo(s.number)), "\n"))
				return
			}
		}
	}
	t.Errorf("%d ends are good", len(x.samples))
}
