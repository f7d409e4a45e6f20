package wire

import (
	"math/rand/v2"
	"time"
)

// Rule is what happens to the frames of a link. The zero Rule lets all of them
// pass at once.
type Rule struct {
	Cut    bool          // none arrives
	Loss   float64       // share that vanishes
	Delay  time.Duration // of each
	Jitter time.Duration // up to so much more, which changes their order
	Again  float64       // share that arrives a second time
	Replay time.Duration // how much later the second time is
	Spoil  float64       // share of which one byte arrives as another
}

// fate is what becomes of one frame: it arrives after each of the delays, the
// longest last.
type fate struct {
	delays  []time.Duration
	spoiled bool
}

func (r Rule) fate(rng *rand.Rand) fate {
	chance := func(share float64) bool { return share > 0 && rng.Float64() < share }
	if r.Cut || chance(r.Loss) {
		return fate{}
	}
	delay := r.Delay
	if r.Jitter > 0 {
		delay += time.Duration(rng.Int64N(int64(r.Jitter)))
	}
	f := fate{delays: []time.Duration{delay}, spoiled: chance(r.Spoil)}
	if chance(r.Again) {
		f.delays = append(f.delays, delay+r.Replay)
	}
	return f
}
