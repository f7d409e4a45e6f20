package mesh

import (
	"cmp"
	"slices"
)

// GPU is the kind of the devices that agents find by themselves. Others are what the
// node's file says.
const GPU = "gpu"

// Device is a piece of hardware that a node shares out: whole, or by its memory.
type Device struct {
	// ID is the one that its driver gave it, if it has any: unique on the node, and the
	// same after a reboot.
	ID            string   `json:"id"`
	Kind          string   `json:"kind"`
	Vendor        string   `json:"vendor,omitempty"` // "nvidia", "amd", "intel", "apple"
	Model         string   `json:"model,omitempty"`
	Driver        string   `json:"driver,omitempty"`         // what programs use it by: "cuda", "rocm", "metal"
	DriverVersion string   `json:"driver_version,omitempty"` // of the kernel's driver
	APIVersion    string   `json:"api_version,omitempty"`    // the highest of Driver that it has
	Index         int      `json:"index"`                    // by which its vendor's tools count it
	Memory        Bytes    `json:"memory,omitempty"`
	Capabilities  []string `json:"capabilities,omitempty"` // sorted
	Path          string   `json:"path,omitempty"`         // in /dev, if it has one
	// Sick is why it takes no work: its driver reports errors.
	Sick string `json:"sick,omitempty"`
	// Foreign is how much of its memory processes have that are not ours.
	Foreign Bytes `json:"foreign,omitempty"`
	// ForeignBy are those of them that its driver names, as user/pid: the biggest, sorted.
	ForeignBy []string `json:"foreign_by,omitempty"`
}

// screenPart is the part of a device's memory that programs of others may have where it is
// given whole: a screen needs a little.
const screenPart = 8

// Whole says whether programs that are not ours leave so much of the device that it can be
// given whole.
func (d *Device) Whole() bool { return d.Foreign <= d.Memory/screenPart }

// Transport is what a port belongs to: two programs may have the same number of it, one
// of each.
type Transport string

// The transports.
const (
	TCP Transport = "tcp"
	UDP Transport = "udp"
)

// Port is a port of a host.
type Port struct {
	Number    uint16    `json:"port"`
	Transport Transport `json:"transport"`
}

// Dynamic ports are given out from this range.
const (
	DynamicPortMin = 20000
	DynamicPortMax = 32000
)

// Protocol says what a port is used for.
type Protocol string

// The protocols.
const (
	ProtocolTCP  Protocol = "tcp"
	ProtocolUDP  Protocol = "udp"
	ProtocolHTTP Protocol = "http"
	ProtocolGRPC Protocol = "grpc"
)

// Transport is what the protocol's ports belong to.
func (p Protocol) Transport() Transport {
	if p == ProtocolUDP {
		return UDP
	}
	return TCP
}

// PortRequest is a port that a task listens on.
type PortRequest struct {
	Label    string   `json:"label" toml:"label"`
	Number   int      `json:"port,omitempty" toml:"port"` // 0 for any that is free
	Protocol Protocol `json:"protocol,omitempty" toml:"protocol"`
}

// DeviceRequest is what a task needs of a node's devices: Count of them, each of which is
// all that the other fields say.
type DeviceRequest struct {
	Kind   string `json:"kind,omitempty" toml:"kind"`   // GPU if unset
	Count  int    `json:"count,omitempty" toml:"count"` // 1 if unset
	Vendor string `json:"vendor,omitempty" toml:"vendor"`
	Model  string `json:"model,omitempty" toml:"model"` // a part of it, whatever the case
	Driver string `json:"driver,omitempty" toml:"driver"`
	// MinMemory is held against the device's memory, and MinAPIVersion against its driver's.
	MinMemory     Bytes          `json:"min_memory,omitempty" toml:"min_memory"`
	MemoryRule    DeviceOperator `json:"memory_operator,omitempty" toml:"memory_operator"`
	MinAPIVersion string         `json:"min_api_version,omitempty" toml:"min_api_version"`
	APIRule       DeviceOperator `json:"api_version_operator,omitempty" toml:"api_version_operator"`
	Capabilities  []string       `json:"capabilities,omitempty" toml:"capabilities"`
	IDs           []string       `json:"ids,omitempty" toml:"ids"` // one of these
	// Memory and Share are for a part of each device, beside others: so much of its memory,
	// or such a part of it. Without them the device is the task's alone.
	Memory Bytes `json:"memory,omitempty" toml:"memory"`
	Share  Share `json:"share,omitempty" toml:"share"`
}

// Shared says whether the request is for parts of devices.
func (r *DeviceRequest) Shared() bool { return r.Memory > 0 || r.Share > 0 }

// Part is how much of a device's memory the request is for; 0 for the whole device.
func (r *DeviceRequest) Part(d *Device) Bytes {
	if r.Share > 0 {
		return max(d.Memory/WholeShare*Bytes(r.Share), 1)
	}
	return r.Memory
}

// DeviceOperator says how what a device has is held against what is wanted.
type DeviceOperator string

// The operators; the first is meant if none is said.
const (
	AtLeast  DeviceOperator = ">="
	MoreThan DeviceOperator = ">"
	Exactly  DeviceOperator = "=="
)

// Grants are what of a node's ports and devices a copy has. As long as its node has not
// been asked they are what it needs: ports without a number, devices that are not named.
type Grants struct {
	Ports   []PortGrant   `json:"ports"`
	Devices []DeviceGrant `json:"devices"`
}

// Named says whether a node has been asked: ports have numbers, and devices are named.
func (g *Grants) Named() bool {
	if g == nil {
		return false
	}
	for i := range g.Ports {
		if g.Ports[i].Number == 0 {
			return false
		}
	}
	for i := range g.Devices {
		if len(g.Devices[i].Given) == 0 {
			return false
		}
	}
	return true
}

// PortGrant is a port of a task; its number is 0 before it has one.
type PortGrant struct {
	Task     string   `json:"task"`
	Label    string   `json:"label"`
	Protocol Protocol `json:"protocol"`
	Number   uint16   `json:"port"`
}

// Port is the port itself.
func (g *PortGrant) Port() Port { return Port{g.Number, g.Protocol.Transport()} }

// DeviceGrant is what a task asked for, and what it was given.
type DeviceGrant struct {
	Task string `json:"task"`
	DeviceRequest
	Given []GivenDevice `json:"given,omitempty"`
}

// GivenDevice is a device that a task may use, or its part of it.
type GivenDevice struct {
	ID     string `json:"id"`
	Index  int    `json:"index"`
	Driver string `json:"driver,omitempty"`
	Part   Bytes  `json:"part,omitempty"` // of its memory; 0 for the whole device
	Path   string `json:"path,omitempty"` // in /dev, if it has one
}

// Asks are the grants that a copy of the group needs; nil for none.
func (g *Group) Asks() *Grants {
	var all Grants
	for _, t := range g.Tasks {
		for _, p := range t.Ports {
			protocol := p.Protocol
			if protocol == "" {
				protocol = ProtocolTCP
			}
			all.Ports = append(all.Ports, PortGrant{t.Name, p.Label, protocol, uint16(p.Number)})
		}
		for _, d := range t.Devices {
			all.Devices = append(all.Devices, DeviceGrant{Task: t.Name, DeviceRequest: d})
		}
	}
	if len(all.Ports)+len(all.Devices) == 0 {
		return nil
	}
	return &all
}

// Usage is what copies have of a node: amounts, and what each of them was granted.
type Usage struct {
	Resources
	Claims []Claim // by copy; whoever gets it must not change it
}

// Claim is what a copy was granted.
type Claim struct {
	Alloc AllocID
	Grants
}

// IsZero says whether nothing is in use.
func (u *Usage) IsZero() bool { return u.Resources == (Resources{}) && len(u.Claims) == 0 }

// With is the usage with one more copy.
func (u Usage) With(a *Alloc) Usage {
	u.Resources = u.Resources.Add(a.Resources)
	if a.Grants != nil {
		at, _ := u.find(a.ID)
		u.Claims = slices.Insert(slices.Clone(u.Claims), at, Claim{a.ID, *a.Grants})
	}
	return u
}

// Without is the usage without a copy that is in it.
func (u Usage) Without(a *Alloc) Usage {
	u.Resources = u.Resources.Sub(a.Resources)
	if at, found := u.find(a.ID); found {
		u.Claims = slices.Delete(slices.Clone(u.Claims), at, at+1)
	}
	return u
}

func (u *Usage) find(id AllocID) (at int, found bool) {
	return slices.BinarySearchFunc(u.Claims, id, func(c Claim, id AllocID) int { return cmp.Compare(c.Alloc, id) })
}
