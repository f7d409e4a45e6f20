package inventory

import (
	"cmp"
	"io/fs"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// Ours tells what is ours from what is foreign. Nobody's is what no function claims.
type Ours struct {
	Process func(pid int) bool       // whether one of our tasks runs as it
	Device  func(device string) bool // whether one of our tasks has the device of this id
	User    func(pid int) string     // whose the process is, "" if that cannot be known
}

func (o Ours) process(pid int) bool  { return o.Process != nil && o.Process(pid) }
func (o Ours) device(id string) bool { return o.Device != nil && o.Device(id) }

// strangersMax is how many processes that are not ours are named for each device.
const strangersMax = 4

// strangers are the processes that are not ours and use a device: those that have the most
// of it, as user/pid, in the order of their pids, so that they seldom change.
func (o Ours) strangers(r Reading) []string {
	var theirs []User
	for _, u := range r.Users {
		if !o.process(u.PID) {
			theirs = append(theirs, u)
		}
	}
	slices.SortFunc(theirs, func(a, b User) int {
		return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.PID, b.PID))
	})
	theirs = theirs[:min(len(theirs), strangersMax)]
	slices.SortFunc(theirs, func(a, b User) int { return cmp.Compare(a.PID, b.PID) })
	var all []string
	for _, u := range theirs {
		name := ""
		if o.User != nil {
			name = o.User(u.PID)
		}
		all = append(all, cmp.Or(plain(name), "?")+"/"+strconv.Itoa(u.PID))
	}
	return all
}

// Runs says whose processes are, by name or else by number; for [Ours]. The root is that of
// the machine's files. It cannot say so of processes that are gone, or out of sight.
func Runs(root fs.FS) func(pid int) string {
	return func(pid int) string {
		for line := range strings.Lines(value(root, path.Join("proc", strconv.Itoa(pid), "status"))) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Uid:" {
				if u, err := user.LookupId(f[1]); err == nil {
					return u.Username
				}
				return f[1]
			}
		}
		return ""
	}
}

// driverMax is how much of a device's memory its driver may need for itself: no process
// has it.
const driverMax = 256 * mesh.MiB

// foreign is how much of a device's memory others have. What no named process has is
// theirs too if we have nothing that could be it: some drivers name no processes, some
// not what each has, and those of other containers cannot be seen.
func (o Ours) foreign(r Reading) mesh.Bytes {
	var ours, theirs mesh.Bytes
	known := len(r.Users) > 0 || !o.device(r.Device.ID) // whether ours is all that we have
	vague := false                                      // whether some of theirs is not told
	for _, u := range r.Users {
		switch mine := o.process(u.PID); {
		case mine && u.Memory >= 0:
			ours += min(u.Memory, sizeMax)
		case mine:
			known = false
		case u.Memory >= 0:
			theirs += min(u.Memory, sizeMax)
		default:
			vague = true
		}
	}
	if rest := r.Used - ours - theirs; known && (vague || rest > driverMax) {
		theirs += max(rest, 0)
	}
	return capacity(theirs, r.Device)
}

// capacity is b, or the whole memory of the device if that is known to be less.
func capacity(b mesh.Bytes, d mesh.Device) mesh.Bytes {
	if d.Memory > 0 {
		return min(b, d.Memory)
	}
	return b
}

// Steps in which foreign memory is told.
const (
	foreignStep  = 64 * mesh.MiB
	foreignSlack = 4 * foreignStep
)

// calm is what to tell of foreign memory that was told before: never less than there is,
// and no more often than it takes. Programs take and free memory all the time.
func calm(told, now mesh.Bytes, d mesh.Device) mesh.Bytes {
	if now > 0 && now <= told && now > told-foreignSlack {
		return told
	}
	return capacity((now+foreignStep-1)/foreignStep*foreignStep, d)
}

// generationsMax is how far a process may be from the one of ours that began it.
const generationsMax = 64

// Descendants are all processes that ours have started, and those have started in
// turn, and ours; for [Ours]. The root is that of the machine's files. A process is no
// descendant any more once all between have ended, unless one of ours adopts it.
func Descendants(root fs.FS, ours func(pid int) bool) func(pid int) bool {
	return func(pid int) bool {
		for range generationsMax {
			if pid <= 0 {
				return false
			}
			if ours(pid) {
				return true
			}
			pid = parent(root, pid)
		}
		return false
	}
}

// parent is the process that a process belongs to; 0 if it has none, or is gone.
func parent(root fs.FS, pid int) int {
	stat := value(root, path.Join("proc", strconv.Itoa(pid), "stat"))
	// 17 (name) S 4 …; the name may hold anything.
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return n
}
