package configs

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// Profile is how fast gossip finds a dead node, against what it costs.
type Profile string

// The profiles.
const (
	ProfileLab  Profile = "lab"  // a few machines on one LAN (the default)
	ProfileFast Profile = "fast" // a death is known in well under a second
	ProfileWAN  Profile = "wan"  // machines far apart
)

// Defaults of a node.
const (
	DefaultPort          = 7700
	DefaultDiscoveryPort = 7701
	DefaultLeaseLength   = 3 * time.Second
	DefaultDNS           = "127.0.0.1:8653"
)

// Daemon is what an agent is told when it starts: its TOML file, and the flags
// that override it. Zero values mean the default.
type Daemon struct {
	Data      string            `toml:"data"`    // directory of all that the node keeps
	Name      string            `toml:"name"`    // a label for people; the host's name if empty
	Bind      string            `toml:"bind"`    // IP to listen on; all interfaces if empty
	Port      int               `toml:"port"`    // UDP; DefaultPort if 0
	HTTP      string            `toml:"http"`    // loopback host:port of the HTTP API; off if empty
	Seeds     []string          `toml:"seeds"`   // host:port of peers to try besides the known ones
	Profile   Profile           `toml:"profile"` // ProfileLab if empty
	Lease     Lease             `toml:"lease"`
	Pool      string            `toml:"pool"`      // of nodes; mesh.DefaultPool if empty
	Volumes   []string          `toml:"volumes"`   // folders of which tasks may have what is in them
	Artifacts []string          `toml:"artifacts"` // folders of which tasks may be given files: see mesh.Artifact
	Labels    map[string]string `toml:"labels"`
	Capacity  mesh.Resources    `toml:"capacity"` // instead of what was found, where not 0
	Reserve   mesh.Resources    `toml:"reserve"`  // of the capacity, kept from tasks
	Discovery Discovery         `toml:"discovery"`
	DNS       DNS               `toml:"dns"`
	Container Container         `toml:"container"`
	Devices   []Device          `toml:"device"` // that agents do not find by themselves
}

// Container is what the agent is told of the engine of containers.
type Container struct {
	Socket string `toml:"socket"` // absolute; found by itself if empty
}

// Lease is the rhythm of agreement. It is the same on all nodes of a mesh.
type Lease struct {
	Length mesh.Duration `toml:"length"` // DefaultLeaseLength if 0
	Renew  mesh.Duration `toml:"renew"`  // a third of Length if 0
}

// Discovery is the search for peers by broadcast on the LAN.
type Discovery struct {
	Off  bool `toml:"off"`
	Port int  `toml:"port"` // UDP, the same on all nodes; DefaultDiscoveryPort if 0
}

// DNS is where the agent answers questions about services and nodes.
type DNS struct {
	Off    bool   `toml:"off"`
	Listen string `toml:"listen"` // ip:port, of UDP and TCP; DefaultDNS, if that is free, if empty
}

// At is the effective Listen; it is not valid if that is not.
func (d *DNS) At() netip.AddrPort {
	at, _ := netip.ParseAddrPort(cmp.Or(d.Listen, DefaultDNS))
	return at
}

// Bounds of an agent's settings.
const (
	leaseMin  = 200 * time.Millisecond
	leaseMax  = time.Minute
	seedsMax  = 256
	sharesMax = 64 // folders that are shared
)

// Validate checks settings that did not all come from a file, such as flags.
// The error is a [mesh.Fault] with a line for each thing wrong.
func (c *Daemon) Validate() error {
	var lines []string
	for _, f := range c.faults() {
		lines = append(lines, f.path+": "+f.text)
	}
	if len(lines) == 0 {
		return nil
	}
	return mesh.Faultf(mesh.Invalid, "%s", strings.Join(lines, "\n"))
}

// setting is what is wrong with one setting.
type setting struct{ path, text string }

func (c *Daemon) faults() []setting {
	var out []setting
	add := func(path, format string, args ...any) {
		out = append(out, setting{path, fmt.Sprintf(format, args...)})
	}
	if c.Name != "" && !mesh.ValidName(c.Name) {
		add("name", "%q is no name: want 1 to 63 of a-z, A-Z, 0-9, '-', '_' and '.', "+
			"beginning with a letter or digit", clip(c.Name))
	}
	if c.Bind != "" && net.ParseIP(c.Bind) == nil {
		add("bind", "%q is no IP address", clip(c.Bind))
	}
	if !port(c.Port) {
		add("port", "%d is not between 1 and 65535", c.Port)
	}
	if !port(c.Discovery.Port) {
		add("discovery.port", "%d is not between 1 and 65535", c.Discovery.Port)
	}
	if !c.DNS.At().IsValid() {
		add("dns.listen", "%q is not an IP address and a port, as in %q", clip(c.DNS.Listen), DefaultDNS)
	}
	if c.HTTP != "" {
		if err := loopback(c.HTTP); err != nil {
			add("http", "%v", err)
		}
	}
	if len(c.Seeds) > seedsMax {
		add("seeds", "%d seeds are more than %d", len(c.Seeds), seedsMax)
	}
	for i, s := range c.Seeds {
		if _, _, err := net.SplitHostPort(s); err != nil {
			add(element("seeds", i), "%q is not host:port", clip(s))
		}
	}
	out = append(out, folders("volumes", c.Volumes)...)
	out = append(out, folders("artifacts", c.Artifacts)...)
	if s := c.Container.Socket; s != "" && (!path.IsAbs(s) || path.Clean(s) != s) {
		add("container.socket", "%q is not an absolute path without . and ..", clip(s))
	}
	switch c.Profile {
	case "", ProfileLab, ProfileFast, ProfileWAN:
	default:
		add("profile", "%q is none of lab, fast, wan", clip(string(c.Profile)))
	}
	return slices.Concat(out, c.Lease.faults(), c.shares(), c.devices())
}

// folders checks a list of folders of the machine.
func folders(key string, dirs []string) []setting {
	var out []setting
	if len(dirs) > sharesMax {
		out = append(out, setting{key, fmt.Sprintf("%d folders are more than %d", len(dirs), sharesMax)})
	}
	for i, dir := range dirs {
		if !path.IsAbs(dir) || path.Clean(dir) != dir {
			text := fmt.Sprintf("%q is not an absolute path without . and ..", clip(dir))
			out = append(out, setting{element(key, i), text})
		}
	}
	return out
}

func (l Lease) faults() []setting {
	var out []setting
	if l.Length != 0 && (l.Length.Std() < leaseMin || l.Length.Std() > leaseMax) {
		out = append(out, setting{
			"lease.length",
			fmt.Sprintf("%v is not between %v and %v", l.Length, leaseMin, mesh.Duration(leaseMax)),
		})
	}
	length := cmp.Or(l.Length, mesh.Duration(DefaultLeaseLength))
	switch {
	case l.Renew < 0:
		out = append(out, setting{"lease.renew", fmt.Sprintf("%v is less than nothing", l.Renew)})
	case l.Renew > length/2:
		out = append(out, setting{
			"lease.renew",
			fmt.Sprintf("%v is more than half of the length %v", l.Renew, length),
		})
	}
	return out
}

// shares checks pool, labels, capacity and what is reserved of it.
func (c *Daemon) shares() []setting {
	var out []setting
	if c.Pool != "" && (!mesh.ValidName(c.Pool) || c.Pool == mesh.AnyPool) {
		out = append(out, setting{"pool", fmt.Sprintf("%q is no pool: want a name, other than %q, which stands for all",
			clip(c.Pool), mesh.AnyPool)})
	}
	if len(c.Labels) > mesh.LabelsMax {
		out = append(out, setting{"labels", fmt.Sprintf("%d labels are more than %d", len(c.Labels), mesh.LabelsMax)})
	}
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		if !mesh.ValidName(k) || len(c.Labels[k]) > mesh.LabelMax {
			out = append(out, setting{
				join("labels", k),
				fmt.Sprintf("want a name, and a value of at most %d bytes", mesh.LabelMax),
			})
		}
	}
	for _, r := range []struct {
		name           string
		capacity, kept int64
	}{
		{"cpu", int64(c.Capacity.CPU), int64(c.Reserve.CPU)},
		{"memory", int64(c.Capacity.Memory), int64(c.Reserve.Memory)},
		{"disk", int64(c.Capacity.Disk), int64(c.Reserve.Disk)},
	} {
		if r.capacity != 0 && r.kept > r.capacity {
			out = append(out, setting{"reserve." + r.name, "it is more than the capacity"})
		}
	}
	return out
}

// port says whether n is a port or unset.
func port(n int) bool { return n >= 0 && n <= 65535 }

// loopback checks that the HTTP API would listen on this machine alone.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", clip(addr))
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%q is not a loopback address: the HTTP API asks for no password; "+
			"use 127.0.0.1, and ssh to reach it from elsewhere", clip(addr))
	}
	return nil
}
