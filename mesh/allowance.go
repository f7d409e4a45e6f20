package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Allowance is how much of what a node has people let the mesh have, in percent; 0 is as
// good as 100. What runs already stays, if it is more.
type Allowance struct {
	CPU    int `json:"cpu,omitempty"`
	Memory int `json:"memory,omitempty"`
	Disk   int `json:"disk,omitempty"`
	GPU    int `json:"gpu,omitempty"` // of how many there are
}

// parts are the percentages with their names.
func (s *Allowance) parts() []struct {
	name string
	of   *int
} {
	return []struct {
		name string
		of   *int
	}{{"cpu", &s.CPU}, {"memory", &s.Memory}, {"disk", &s.Disk}, {"gpu", &s.GPU}}
}

// Check says which percentages are none. One that is 0 was left out.
func (s Allowance) Check() *Fault {
	for _, p := range s.parts() {
		if *p.of < 0 || *p.of > 100 {
			return Faultf(Invalid, "%s: %d percent is not between 1 and 100", p.name, *p.of).
				Hint("to keep new work from a node: mn node maintenance NODE --enable")
		}
	}
	return nil
}

// With is s with what o says; what that has left out stays as it is.
func (s Allowance) With(o Allowance) Allowance {
	mine, others := s.parts(), o.parts()
	for i := range mine {
		if *others[i].of != 0 {
			*mine[i].of = *others[i].of
		}
		if *mine[i].of == 100 {
			*mine[i].of = 0
		}
	}
	return s
}

// String is "cpu 75 %, gpu 50 %", or "all".
func (s Allowance) String() string {
	var all []string
	for _, p := range s.parts() {
		if *p.of != 0 {
			all = append(all, fmt.Sprintf("%s %d %%", p.name, *p.of))
		}
	}
	if all == nil {
		return "all"
	}
	return strings.Join(all, ", ")
}

// Of is what the mesh may have of r.
func (s Allowance) Of(r Resources) Resources {
	return Resources{
		CPU:    Cores(portion(int64(r.CPU), s.CPU)),
		Memory: Bytes(portion(int64(r.Memory), s.Memory)),
		Disk:   Bytes(portion(int64(r.Disk), s.Disk)),
	}
}

// portion is so many percent of n, rounded down. It is exact, and n may be near its limit.
func portion(n int64, percent int) int64 {
	if percent == 0 {
		return n
	}
	p := int64(percent)
	return n/100*p + n%100*p/100
}

// GPUs is how many of so many GPUs may be in use at once: at least one, if there is one.
func (s Allowance) GPUs(n int) int { return max(int(portion(int64(n), s.GPU)), min(n, 1)) }

// Sharing is the share of a node that the mesh may have: the last that anybody has said,
// on whichever peer. It holds until somebody says otherwise, also over restarts.
type Sharing struct {
	Node  NodeID    `json:"node"`
	Share Allowance `json:"share"`
	By    NodeID    `json:"by"` // the peer that was asked
	At    time.Time `json:"at"`
}

// Bounds of a node's labels.
const (
	LabelsMax = 64
	LabelMax  = 256 // bytes of a value
)

// Labels are what people have said of a node besides what its agent was told: the last
// that anybody has said, on whichever peer.
type Labels struct {
	Node    NodeID            `json:"node"`
	Set     map[string]string `json:"set,omitempty"`
	Removed []string          `json:"removed,omitempty"` // of those that its agent was told, sorted
	By      NodeID            `json:"by"`                // the peer that was asked
	At      time.Time         `json:"at"`
}

// Over are the labels that a node has whose agent was told some.
func (l *Labels) Over(told map[string]string) map[string]string {
	if len(l.Set) == 0 && len(l.Removed) == 0 {
		return told
	}
	all := map[string]string{}
	maps.Copy(all, told)
	for _, name := range l.Removed {
		delete(all, name)
	}
	maps.Copy(all, l.Set)
	return all
}

// Change is l after some more were set, and others taken away, of a node whose agent was
// told some.
func (l *Labels) Change(told, set map[string]string, remove []string) (Labels, *Fault) {
	next := Labels{Node: l.Node, Set: map[string]string{}, Removed: slices.Clone(l.Removed)}
	maps.Copy(next.Set, l.Set)
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !ValidName(name) || len(set[name]) > LabelMax {
			return next, Faultf(Invalid, "label %q: want a name, and a value of at most %d bytes", name, LabelMax)
		}
		if Plain(set[name], LabelMax) != set[name] {
			return next, Faultf(Invalid, "label %q: its value %q has characters that cannot be shown", name, set[name])
		}
		next.Set[name] = set[name]
		next.Removed = slices.DeleteFunc(next.Removed, func(r string) bool { return r == name })
	}
	for _, name := range remove {
		_, is := l.Over(told)[name]
		_, both := set[name]
		switch _, its := told[name]; {
		case both:
			return next, Faultf(Invalid, "label %q is to be set and to be removed", name)
		case !is:
			return next, Faultf(NotFound, "it has no label %q", name).Hint("mn node status shows those it has")
		case its && !slices.Contains(next.Removed, name):
			next.Removed = append(next.Removed, name)
		}
		delete(next.Set, name)
	}
	if n := max(len(next.Over(told)), len(next.Removed)); n > LabelsMax {
		return next, Faultf(Invalid, "%d labels are more than %d", n, LabelsMax)
	}
	slices.Sort(next.Removed)
	return next, nil
}
