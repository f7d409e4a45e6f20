package sim

import (
	"time"

	"mn/mesh"
)

// Total is what several runs have met and measured, all together.
type Total struct {
	Runs      int           `json:"runs"`
	Passed    int           `json:"passed"`
	Virtual   mesh.Duration `json:"virtual"`
	Steps     int           `json:"steps"`
	Sometimes []Count       `json:"sometimes"`
	Figures   TotalFigures  `json:"figures"`
}

// TotalFigures are the figures of several runs.
type TotalFigures struct {
	Failover Spread  `json:"failover"`
	Takeover Spread  `json:"takeover"`
	Calm     Spread  `json:"calm"`
	Moves    int64   `json:"moves"`
	Traffic  []Usage `json:"traffic"`
}

// Sum adds up runs.
func Sum(runs []Result) Total {
	t := Total{Runs: len(runs)}
	all := counts{}
	var failovers, takeovers, calm []time.Duration
	traffic := map[class]Traffic{}
	var span int64
	for i := range runs {
		r := &runs[i]
		if r.Violation == nil {
			t.Passed++
			calm = append(calm, r.Figures.Calm.Std())
		}
		t.Virtual += r.Virtual
		t.Steps += r.Steps
		t.Figures.Moves += r.Figures.Moves
		for _, c := range r.Sometimes {
			all[c.Name] += c.Times
		}
		failovers = append(failovers, r.failovers...)
		takeovers = append(takeovers, r.takeovers...)
		for c, one := range r.traffic {
			traffic[c] = traffic[c].plus(one)
		}
		span += r.span
	}
	t.Sometimes = all.list()
	t.Figures.Failover, t.Figures.Takeover = spreadOf(failovers), spreadOf(takeovers)
	t.Figures.Calm = spreadOf(calm)
	t.Figures.Traffic = usage(traffic, span)
	return t
}

// Unproven are the counts that a scenario says must not be zero, and are: what
// it is about did not happen in these runs.
func Unproven(s Scenario, runs []Result) []Name {
	met := counts{}
	for _, c := range Sum(runs).Sometimes {
		met[c.Name] = c.Times
	}
	var zero []Name
	for _, name := range s.Proves {
		if met[Name(name)] == 0 {
			zero = append(zero, Name(name))
		}
	}
	return zero
}
