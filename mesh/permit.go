package mesh

import "time"

// SharedLimit bounds how many copies run at once of all the jobs that name its key: of
// those that load the same storage, or hold a licence. A copy is placed only with a permit,
// and only while fewer than Max others have one.
type SharedLimit struct {
	Key string `json:"key" toml:"key"`
	Max int    `json:"max" toml:"max"`
}

// SlotOfLimit is the slot whose coordinator gives out the permits of a shared limit. No
// job has it for that name, which is none.
func SlotOfLimit(key string) Slot { return SlotOf(JobID("limit/" + key)) }

// Permit is what a copy has under a shared limit, from before it is placed until it has ended.
type Permit struct {
	Key         string    `json:"key"`
	Job         JobID     `json:"job"`
	Alloc       AllocID   `json:"alloc"`
	Coordinator NodeID    `json:"coordinator"`
	At          time.Time `json:"at"`
}

// shared checks the job's shared limit.
func (v *validator) shared(j *Job) {
	l := j.Limit
	if l == nil {
		return
	}
	v.name("the limit's key", l.Key, "limit", "key")
	if l.Max < 1 || l.Max > CopiesMax {
		v.fault("must be from 1 to %d, not %d", CopiesMax, l.Max).at("limit", "max")
	}
	switch p := j.Recovery.Partition(); {
	case j.Gang:
		v.fault("has copies wait for others, and gang = true places all together: leave one out").at("limit")
	case p == Eager && j.Recovery.Mode.Moves():
		v.fault("holds in the whole mesh, and with recovery.on_partition = %q each side of a split goes on by itself: "+
			"write on_partition = %q or %q there", Eager, Keep, Majority).at("limit")
	}
}
