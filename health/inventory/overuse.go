package inventory

import (
	"cmp"
	"fmt"
	"slices"

	"mn/mesh"
)

// Use is what a process has of a device's memory.
type Use struct {
	Device string
	User
}

// overLooks is how many looks in a row a task may have more than its part, the last of
// them excluded: what it takes for a moment harms nobody for long.
const overLooks = 3

// Excess is a task that has more of a device's memory than it was given.
type Excess struct {
	Alloc  mesh.AllocID
	Task   string
	Device string
	Has    mesh.Bytes
	Part   mesh.Bytes // 0 if the device was given to others alone
	First  bool       // it has not had before
	Last   bool       // it has had for too long, and is to end
}

// String says it in words, the task aside.
func (e Excess) String() string {
	if e.Part == 0 {
		return fmt.Sprintf("uses %v of device %s, which others were given", e.Has, e.Device)
	}
	return fmt.Sprintf("uses %v of device %s, of which it was given %v", e.Has, e.Device, e.Part)
}

// Overuse finds tasks that have more of devices than they were given. It is a state machine
// without a clock; its zero value has seen nothing.
type Overuse struct {
	looks map[holder]int // in a row in which it had too much
}

// holder is a task and a device.
type holder struct {
	alloc        mesh.AllocID
	task, device string
}

// Look compares what copies were granted with what processes have; owner is the task of a
// process, if it is one of ours. A device that none was given is nobody's to lose.
func (o *Overuse) Look(
	claims []mesh.Claim, uses []Use, owner func(pid int) (mesh.AllocID, string, bool),
) []Excess {
	given := map[string]bool{}       // devices
	whole := map[holder]bool{}       // with all of it
	parts := map[holder]mesh.Bytes{} // with so much
	for _, c := range claims {
		for _, g := range c.Devices {
			for _, d := range g.Given {
				at := holder{c.Alloc, g.Task, d.ID}
				given[d.ID] = true
				whole[at] = whole[at] || d.Part == 0
				parts[at] += d.Part
			}
		}
	}
	has := map[holder]mesh.Bytes{}
	for _, u := range uses {
		if !given[u.Device] || u.Memory < 0 {
			continue
		}
		if alloc, task, ok := owner(u.PID); ok {
			has[holder{alloc, task, u.Device}] += min(u.Memory, sizeMax)
		}
	}
	looks := map[holder]int{}
	var all []Excess
	for at, n := range has {
		if whole[at] || n <= parts[at] {
			continue
		}
		looks[at] = o.looks[at] + 1
		all = append(all, Excess{
			Alloc: at.alloc, Task: at.task, Device: at.device, Has: n, Part: parts[at],
			First: looks[at] == 1, Last: looks[at] >= overLooks,
		})
	}
	o.looks = looks
	slices.SortFunc(all, func(a, b Excess) int {
		return cmp.Or(cmp.Compare(a.Alloc, b.Alloc), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Device, b.Device))
	})
	return all
}
