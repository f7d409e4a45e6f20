package mesh

import (
	"maps"
	"slices"
	"strings"
)

// ContainerDriver runs tasks as containers of the node's engine: Docker, or Podman.
const ContainerDriver = "container"

// Container says of what a task of [ContainerDriver] is made.
type Container struct {
	Image      string     `json:"image" toml:"image"`
	Pull       PullPolicy `json:"pull,omitempty" toml:"pull"`             // PullMissing if unset
	Entrypoint []string   `json:"entrypoint,omitempty" toml:"entrypoint"` // the image's if unset
	Network    Network    `json:"network,omitempty" toml:"network"`       // NetworkBridge if unset
	// Ports are the ports on which it listens inside, by the labels of the task's ports; the
	// same as outside where unset.
	Ports map[string]int `json:"ports,omitempty" toml:"ports"`
	// Init: its first process is one that hands signals on and reaps what others leave.
	Init     bool  `json:"init,omitempty" toml:"init"`
	ReadOnly bool  `json:"read_only,omitempty" toml:"read_only"` // all but the task's folders and volumes
	ShmSize  Bytes `json:"shm_size,omitempty" toml:"shm_size"`   // of /dev/shm; the engine's if unset
}

// PullPolicy says when an image is fetched from its registry.
type PullPolicy string

// The policies.
const (
	PullMissing PullPolicy = "missing" // if the node has none of that name (the default)
	PullAlways  PullPolicy = "always"  // before each start
	PullNever   PullPolicy = "never"
)

// Network is what a container sees of the network.
type Network string

// The networks.
const (
	NetworkBridge Network = "bridge" // its own, behind the node's; the task's ports lead into it (the default)
	NetworkHost   Network = "host"   // the node's
	NetworkNone   Network = "none"
)

// Engine is what runs containers on a node.
type Engine struct {
	Name    string `json:"name,omitempty"` // "Docker", "Podman"
	Version string `json:"version,omitempty"`
	Lacks   string `json:"lacks,omitempty"` // why there is none
}

// String is the engine in words.
func (e *Engine) String() string { return strings.TrimSpace(e.Name + " " + e.Version) }

// Contained says whether the task sees a file system of its own, and volumes where it wants
// them.
func (t *Task) Contained() bool { return t.Isolation == IsolateSandbox || t.Driver == ContainerDriver }

// Bounds of containers.
const (
	imageMax = 512 // bytes of an image's name
	shmMin   = 64 << 10
)

// imagePattern is what names of images are made of; whether there is one, a registry knows.
const imagePattern = `^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$`

// container checks what a task of the driver says of its container, and that no other does.
func (v *validator) container(t *Task) {
	c := t.Container
	if t.Driver != ContainerDriver {
		if c != nil {
			v.fault("is for tasks with driver = %q, which this is not: set it, or leave it out", ContainerDriver).
				at("container")
		}
		return
	}
	if t.Isolation != "" {
		v.fault("is for plain processes, and a container is kept apart by its engine: leave it out").at("isolation")
	}
	if c == nil {
		v.fault(`is missing: want a [task.container] with an image, such as image = "docker.io/library/nginx:1.29"`).
			at("container")
		return
	}
	switch {
	case c.Image == "":
		v.fault(`is missing: want the name of an image, such as "docker.io/library/nginx:1.29"`).
			at("container", "image")
	case len(c.Image) > imageMax || !validImage(c.Image):
		v.fault("%q is no name of an image: want such as %q", clip(c.Image), "docker.io/library/nginx:1.29").
			at("container", "image")
	}
	oneOf(v, c.Pull, pullPolicies, "container", "pull")
	oneOf(v, c.Network, networks, "container", "network")
	v.entrypoint(c.Entrypoint)
	v.inside(t, c)
	if c.ShmSize != 0 && c.ShmSize < shmMin || c.ShmSize > bytesMax {
		v.fault("%v is not between %v and what a machine has", c.ShmSize, Bytes(shmMin)).at("container", "shm_size")
	}
}

// validImage says whether a text may be the name of an image.
func validImage(s string) bool {
	const marks = "._/:@+-"
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(marks, r)
	}
	return !strings.ContainsFunc(s, bad) && !strings.ContainsRune(marks, rune(s[0]))
}

func (v *validator) entrypoint(argv []string) {
	switch {
	case len(argv) > argsMax:
		v.fault("has %d arguments, more than %d", len(argv), argsMax).at("container", "entrypoint")
		return
	case len(argv) > 0 && argv[0] == "":
		v.fault("begins with an empty program name").at("container", "entrypoint")
	}
	for _, arg := range argv {
		v.text(arg, "container", "entrypoint")
	}
}

// inside checks the ports on which a container listens.
func (v *validator) inside(t *Task, c *Container) {
	if len(c.Ports) > 0 && c.Network != "" && c.Network != NetworkBridge {
		v.fault("only a container with network = %q has ports of its own: leave it out", NetworkBridge).
			at("container", "ports")
	}
	if c.Network == NetworkNone && len(t.Ports) > 0 {
		v.fault("a container without a network listens on no port: leave it out, or change container.network").
			at("port")
	}
	for _, label := range slices.Sorted(maps.Keys(c.Ports)) {
		if !slices.ContainsFunc(t.Ports, func(p PortRequest) bool { return p.Label == label }) {
			v.fault("the task has no port with the label %q", clip(label)).at("container", "ports", label)
		}
		if n := c.Ports[label]; n < 1 || n > portMax {
			v.fault("must be from 1 to %d, not %d", portMax, n).at("container", "ports", label)
		}
	}
}
