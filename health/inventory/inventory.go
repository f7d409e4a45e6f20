// Package inventory is for knowing the devices of this machine, how they are, and
// what programs that are not ours use of the machine.
//
// A [Source] finds devices in one way: by the tool of a vendor, by /sys, by the
// agent's file. One whose driver is not on this machine finds nothing, at about no
// cost, and finds its devices once the driver is there: nothing is remembered about
// what a machine lacks. A [Watch] looks again and again, keeps devices whose drivers
// report errors away from work until they have been well for a while, and tells what
// has changed. What is done about it is for others.
//
// Tools are looked up in PATH every time: a directory in front with a script of the
// tool's name is a fake driver.
//
// Of what tools and drivers say, nothing is trusted: texts are clipped, lists are cut.
package inventory

import (
	"context"
	"io/fs"
	"os"

	"mn/mesh"
)

// DevicesMax is how many devices a machine has at most. More are cut, and that is told.
const DevicesMax = 64

// usersMax is how many users of a device are looked at.
const usersMax = 4096

// Source is one way to find devices.
type Source interface {
	// Name is what people call it: "nvidia".
	Name() string
	// Read is what it finds now, at most DevicesMax. Without an error that is all: what
	// it does not name is not there. With one, what it names is true, and about
	// others that it has named before it cannot say more than the error does. It comes
	// back when ctx ends, unless the kernel holds it.
	Read(ctx context.Context) ([]Reading, error)
}

// Reading is what a source says about a device.
type Reading struct {
	// Device is without Foreign. It is Sick while its driver says so.
	Device mesh.Device
	// Errors are those that could not be corrected, since the driver was loaded.
	Errors uint64
	// Busy is for how much of the last moment it was at work, in percent; nil if its driver
	// does not say.
	Busy *int
	// Used is how much of the memory is in use, by whomever.
	Used mesh.Bytes
	// Users are the processes that use it; none if there are none, or if its driver
	// names none.
	Users []User
}

// User is a process that uses a device.
type User struct {
	PID    int
	Memory mesh.Bytes // of the device; -1 if its driver does not say
}

// Sources are all ways to find devices of this machine. Those listed are in the agent's
// file.
func Sources(listed []mesh.Device) []Source {
	root := os.DirFS("/")
	return []Source{nvidia{root}, &cards{root: root}, apple{}, list{root, listed}}
}

// list is the source of the devices in the agent's file: they are there while their
// paths are.
type list struct {
	root    fs.FS
	devices []mesh.Device
}

func (list) Name() string { return "file" }

func (l list) Read(context.Context) ([]Reading, error) {
	var out []Reading
	for _, d := range l.devices {
		if d.Path != "" {
			if _, err := fs.Stat(l.root, within(d.Path)); err != nil {
				continue
			}
		}
		out = append(out, Reading{Device: d})
	}
	return out, nil
}
