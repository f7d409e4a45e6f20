package lease

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// TestFrozenPartiesDoAsLivingOnes walks at random through every world, with
// parties that are never frozen beside those that are frozen after each step.
// They must stay in the same state: then freezing forgets nothing that matters.
func TestFrozenPartiesDoAsLivingOnes(t *testing.T) {
	const walks, steps = 4, 150
	for _, m := range append(worlds(), traps()...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(walks) {
				w := newWalk(m, seed)
				for n := range steps {
					if text := w.step(); text != "" {
						t.Fatalf("walk %d, step %d: %s", seed, n, text)
					}
				}
			}
		})
	}
}

// walk is one way through a world.
type walk struct {
	*explorer
	rng    *rand.Rand
	s      state
	living []*Party
	now    []time.Duration // on each node's clock
}

func newWalk(m *model, seed uint64) *walk {
	x := explore(m)
	w := &walk{explorer: x, rng: rand.New(rand.NewPCG(seed, 5)), s: x.origin()}
	for i := range x.nodes {
		w.now = append(w.now, thawedAt)
		w.living = append(w.living, nil)
		if w.s[i] != 0 {
			p := *x.party(w.s[i])
			w.living[i] = &p
		}
	}
	return w
}

// step takes one of the moves, and says what is different after it.
func (w *walk) step() string {
	var moves []move
	for m := range w.moves(w.s) {
		moves = append(moves, m)
	}
	m := moves[w.rng.IntN(len(moves))]
	before := append(state{}, w.s...)
	t, _, ok := w.try(w.s, m)
	if !ok {
		return ""
	}
	w.s = append(state{}, t...)
	w.live(before, m)
	for i, p := range w.living {
		if (p == nil) != (w.s[i] == 0) {
			return w.cast[i].name() + " is not up in both"
		}
		if p == nil {
			continue
		}
		q := *p // to be frozen is to be tidied
		w.restrain(&q)
		if got := w.freezer.freeze(&q, nil); !bytes.Equal(got, w.parties.all[w.s[i]].state) {
			return w.cast[i].name() + " has lived to another state than it has come to frozen"
		}
	}
	return ""
}

// live does a move with the living.
func (w *walk) live(s state, m move) {
	i := int(m.at)
	switch m.kind {
	case arrive, tear:
		f := &w.flights.all[w.sent(s)[m.at]]
		w.give(f.to, w.inputs(f, w.at(f.to)))
		if m.kind == tear {
			w.living[f.to] = nil
		}
	case wake:
		w.give(i, []Input{Tick{}})
	case pass, delay:
		w.age(s, m)
	case crash:
		w.living[i] = nil
	case restart, reboot:
		w.living[i] = w.born(i, w.disk(s, i), w.now[i])
		w.give(i, w.briefing(i, w.told(s, i)))
	}
}

// at is the party of node i at its present time.
func (w *walk) at(i int) *Party {
	p := w.living[i]
	w.restrain(p)
	p.now = w.now[i]
	return p
}

func (w *walk) give(i int, inputs []Input) {
	p := w.at(i)
	for _, in := range inputs {
		told(p, w.now[i], in)
	}
}

// age lets the time pass that a move has let pass.
func (w *walk) age(s state, m move) {
	d := w.untilDue(s)
	for i := range w.living {
		w.now[i] += w.rate(i).of(d)
		if w.living[i] != nil {
			w.at(i)
		}
	}
	for i, p := range w.living {
		if p != nil && p.Wake() <= w.now[i] && !(m.kind == delay && i == int(m.at)) {
			w.give(i, []Input{Tick{}})
		}
	}
}
