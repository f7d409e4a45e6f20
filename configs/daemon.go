package configs

import "mn/mesh"

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
	Labels    map[string]string `toml:"labels"`
	Capacity  mesh.Resources    `toml:"capacity"` // instead of what was found, where not 0
	Reserve   mesh.Resources    `toml:"reserve"`  // of the capacity, kept from tasks
	Discovery Discovery         `toml:"discovery"`
}

// Lease is the rhythm of agreement. It is the same on all nodes of a mesh.
type Lease struct {
	Length mesh.Duration `toml:"length"` // 3s if 0
	Renew  mesh.Duration `toml:"renew"`  // a third of Length if 0
}

// Discovery is the search for peers by broadcast on the LAN.
type Discovery struct {
	Off  bool `toml:"off"`
	Port int  `toml:"port"` // UDP, the same on all nodes; DefaultDiscoveryPort if 0
}
