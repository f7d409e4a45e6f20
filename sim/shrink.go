package sim

import (
	"slices"
	"time"
)

// Shrink looks for the shortest way to show what a run has shown: the run ends
// where its promise broke, and faults that have nothing to do with it are left
// out, as long as the same promise breaks without them: at first many at once,
// then fewer (delta debugging: Zeller, Hildebrandt 2002). It goes on while more
// says so, and returns options that replay what it found, with their result.
func Shrink(s Scenario, o Options, found Result, more func() bool) (Options, Result) {
	o.Timeline, o.Messages = false, false
	o.Until = end(&found)
	for chunk := len(found.Faults); chunk > 0; chunk /= 2 {
		for from := 0; from < len(found.Faults) && more(); {
			less, r, ok := without(s, o, &found, from, chunk)
			if ok {
				o, found = less, r // the faults after it have moved up
			} else {
				from += chunk
			}
		}
	}
	slices.Sort(o.Without)
	return o, found
}

// end is just after a violation.
func end(r *Result) time.Duration { return r.Violation.At.Std() + 1 }

// without runs without some more of the faults that have struck.
func without(s Scenario, o Options, found *Result, from, chunk int) (Options, Result, bool) {
	const slack = 2 // it may take so much longer without them
	less := o
	less.Without = slices.Clone(o.Without)
	for _, f := range found.Faults[from:min(from+chunk, len(found.Faults))] {
		less.Without = append(less.Without, f.Number)
	}
	less.Until = slack * o.Until
	r := Run(s, less)
	if r.Violation == nil || r.Violation.Invariant != found.Violation.Invariant {
		return o, *found, false
	}
	less.Until = end(&r)
	return less, r, true
}
