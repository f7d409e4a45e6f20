package sim

import (
	"slices"
	"time"
)

// shrinkMax bounds how many runs it may take to shrink one.
const shrinkMax = 300

// Shrink looks for the shortest way to show what a run has shown: the run ends
// where its promise broke, and faults that have nothing to do with it are left
// out, as long as the same promise breaks without them. It returns options that
// replay what it found, and their result.
func Shrink(s Scenario, o Options, found Result) (Options, Result) {
	o.Timeline, o.Messages = false, false
	end := func(r *Result) time.Duration { return r.Violation.At.Std() + 1 }
	best := found
	o.Until = end(&best)
	runs := 0
	for again := true; again; {
		again = false
		for i := len(best.Faults) - 1; i >= 0 && runs < shrinkMax; i-- {
			n := best.Faults[i].Number
			if slices.Contains(o.Without, n) {
				continue
			}
			less := o
			less.Without = append(slices.Clone(o.Without), n)
			less.Until = 2 * o.Until // without the fault it may take longer
			runs++
			r := Run(s, less)
			if r.Violation == nil || r.Violation.Invariant != found.Violation.Invariant {
				continue
			}
			best, again = r, true
			o.Without, o.Until = less.Without, end(&r)
			break
		}
	}
	slices.Sort(o.Without)
	return o, best
}
