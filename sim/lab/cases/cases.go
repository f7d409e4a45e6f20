// Package cases is the catalogue of what is done to a mesh of real agents, and
// of what must hold in spite of it.
//
// A [Case] is a function that does the harm and checks what is particular to
// it; afterwards it is healed, and the oracles that always hold are asked
// (oracles.go). They look from outside: at the process table, at what tasks have
// written, at the answers of the agents' API and of mn, at the agents' logs. An
// agent's word about its tasks is compared with the kernel's, never believed.
//
// A [Run] runs cases beside each other, as most of their time is waiting. It
// owns its goroutines, and leaves no process, mount or folder behind, but for
// the folders of cases that failed.
package cases

import "time"

// Case is one way to harm a mesh.
type Case struct {
	Name   string
	Faults string // in the list of faults that the project holds itself to: "F15"
	Shows  string // what must hold, in a sentence
	CI     bool   // fast and telling enough to be run with every change
	Nodes  int    // 5 if 0
	Limit  time.Duration

	config string // TOML for the agents
	clock  bool   // the nodes have test clocks
	disk   int64  // bytes of each node's own disk; 0 for the machine's
	power  bool   // that disk loses what is not durable when the power fails
	run    func(*scene)
}

// limit is how long a case may take as a whole.
func (c Case) limit() time.Duration {
	if c.Limit == 0 {
		return 3 * time.Minute
	}
	return c.Limit
}

func (c Case) nodes() int {
	if c.Nodes == 0 {
		return 5
	}
	return c.Nodes
}

// All is the catalogue.
func All() []Case {
	var all []Case
	for _, part := range [][]Case{
		crashes(), room(), partitions(), links(), stops(), clocks(), disks(), files(), tasks(), drains(), services(),
		schedules(),
	} {
		all = append(all, part...)
	}
	return all
}

// Find is the case of that name.
func Find(name string) (Case, bool) {
	for _, c := range All() {
		if c.Name == name {
			return c, true
		}
	}
	return Case{}, false
}
