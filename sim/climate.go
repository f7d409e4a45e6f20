package sim

import (
	"time"

	"mn/mesh"
)

// climate draws what a scenario leaves to the seed: how many nodes, and if it
// asks for it, how network, disks, tasks and clocks are. Each run then has a
// weather of its own, and what only happens in one is found in it.
func climate(s Scenario, o Options) Scenario {
	dice := chanceOf(o.Seed, "climate")
	if s.NodesMax > s.Nodes {
		s.Nodes += dice.IntN(s.NodesMax - s.Nodes + 1)
	}
	if o.Nodes > 0 {
		s.Nodes = o.Nodes
	}
	if !s.Chaos.Climate {
		return s
	}
	rare := func(most Share) Share {
		if dice.IntN(2) == 0 {
			return 0
		}
		return Share(dice.IntN(int(most) + 1))
	}
	s.Network = Network{
		Delay: mesh.Duration(dice.about(time.Millisecond)), Jitter: mesh.Duration(dice.about(5 * time.Millisecond)),
		Late: rare(million / 20), LateBy: mesh.Duration(dice.about(2 * time.Second)),
		Loss: rare(million / 20), Duplicate: rare(million / 20),
	}
	s.Disk.Sync = mesh.Duration(dice.about(5 * time.Millisecond))
	s.Tasks.Start = mesh.Duration(dice.about(50 * time.Millisecond))
	s.Tasks.Stop = mesh.Duration(dice.about(500 * time.Millisecond))
	s.Tasks.Stubborn = rare(million / 5)
	var machines []Machine
	for i := range s.Nodes {
		var m Machine
		if i < len(s.Machines) {
			m = s.Machines[i]
		}
		m.PPM = dice.IntN(2*driftMax+1) - driftMax
		machines = append(machines, m)
	}
	s.Machines = machines
	return s
}
