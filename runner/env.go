package runner

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// defaultPath is for agents that were started without a PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// BaseEnv is the part of an agent's environment that its tasks may see.
// Everything else stays with the agent: it may hold secrets.
func BaseEnv(environ []string) []string {
	base := map[string]string{"PATH": defaultPath}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if slices.Contains(mesh.BaseVariables, name) && value != "" {
			base[name] = value
		}
	}
	return list(base)
}

// list is an environment as "name=value", sorted.
func list(env map[string]string) []string {
	var vars []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		vars = append(vars, name+"="+env[name])
	}
	return vars
}

// spec is what the driver needs to start a task's next attempt.
func (c *Copy) spec(t *task) (Spec, error) {
	s := Spec{
		Alloc:     c.alloc.ID,
		Job:       c.alloc.Job,
		Task:      t.def.Name,
		Attempt:   t.attempt + 1,
		User:      t.def.User,
		Grace:     t.grace(),
		Stop:      t.def.StopSignal,
		Warn:      t.def.WarnSignal,
		WarnTime:  t.warnTime(),
		Resources: t.def.Resources,
		Isolation: t.def.Isolation,
		Volumes:   t.def.Volumes,
		Saving:    c.saving(t),
		Devices:   c.devices(t),
		Payload:   c.job.Payload,
		Artifacts: t.def.Artifacts,
		Python:    t.def.Python,
		Outputs:   t.def.Outputs,
		LogStays:  t.def.KeepLogs != nil && !*t.def.KeepLogs,
		Container: t.def.Container,
		Ports:     c.ports(t),
	}
	if c.leased {
		s.Until = c.until
	}
	e := c.environment(t)
	env := map[string]string{}
	for name := range e.vars {
		value, err := e.value(name, nil)
		if err != nil {
			return s, fmt.Errorf("env %q: %w", name, err)
		}
		env[name] = value
	}
	s.Env = list(env)
	for i, arg := range t.def.Command {
		arg, err := e.expand(arg, nil)
		if err != nil {
			return s, fmt.Errorf("command[%d]: %w", i, err)
		}
		s.Command = append(s.Command, arg)
	}
	if box := t.def.Container; box != nil {
		own := *box
		own.Entrypoint = nil
		for i, arg := range box.Entrypoint {
			arg, err := e.expand(arg, nil)
			if err != nil {
				return s, fmt.Errorf("container.entrypoint[%d]: %w", i, err)
			}
			own.Entrypoint = append(own.Entrypoint, arg)
		}
		s.Container = &own
	}
	var err error
	if s.Templates, err = c.templates(t, e); err != nil {
		return s, err
	}
	if s.Dir, err = e.expand(t.def.Dir, nil); err != nil {
		return s, fmt.Errorf("dir: %w", err)
	}
	return s, t.fillable(e)
}

// environment is the unexpanded environment of a task: the node's, over it the
// task's own, over it what we say about the task.
func (c *Copy) environment(t *task) environment {
	e := environment{vars: map[string]string{}, plain: map[string]bool{}, done: map[string]string{}}
	e.refer = func(r mesh.Reference) (string, error) { return c.refer(t, r) }
	base := c.facts.Base
	if t.def.Container != nil {
		base = nil // it is the node's, and the image has its own
	}
	for _, v := range base {
		name, value, _ := strings.Cut(v, "=")
		if name == "HOME" && (t.def.User != "" || t.def.Isolation == mesh.IsolateSandbox) {
			continue // it is the agent's user's, not this one's, or not to be seen
		}
		e.vars[name], e.plain[name] = value, true
	}
	for name, value := range t.def.Env {
		e.vars[name], e.plain[name] = value, false
	}
	own := map[string]string{
		mesh.VarJob:        string(c.alloc.Job),
		mesh.VarTask:       t.def.Name,
		mesh.VarAllocID:    string(c.alloc.ID),
		mesh.VarAllocIndex: strconv.Itoa(c.alloc.Index),
		mesh.VarNode:       c.facts.Name,
		mesh.VarFence:      strconv.FormatUint(c.fence.Number(), 10),
		mesh.VarTaskDir:    c.path(WorkDir(c.alloc.ID, t.def.Name)),
		mesh.VarAllocDir:   c.path(SharedDir(c.alloc.ID)),
	}
	if i := c.alloc.Index; i < c.array.Len() {
		own[mesh.VarArrayIndex], own[mesh.VarArraySize] = strconv.Itoa(c.array.At(i)), strconv.Itoa(c.array.Len())
	}
	if s := c.saving(t); s != nil {
		own[mesh.VarCheckpointDir], own[mesh.VarCheckpointReady] = s.Dir, s.Ready
	}
	for i := range t.def.Volumes {
		v := &t.def.Volumes[i]
		own[v.Variable()] = v.At(t.def.Contained())
	}
	if g := c.alloc.Gang; g != nil {
		own[mesh.VarRank], own[mesh.VarWorldSize] = strconv.Itoa(g.Rank), strconv.Itoa(g.Size)
		own[mesh.VarMaster] = g.Master
	}
	maps.Copy(own, c.job.Told())
	c.granted(t, own)
	for name, value := range own {
		e.vars[name], e.plain[name] = value, true
	}
	return e
}

// devices are those that a task was given.
func (c *Copy) devices(t *task) []mesh.GivenDevice {
	var all []mesh.GivenDevice
	if c.alloc.Grants != nil {
		for _, d := range c.alloc.Grants.Devices {
			if d.Task == t.def.Name {
				all = append(all, d.Given...)
			}
		}
	}
	return all
}

// ports are those of a task.
func (c *Copy) ports(t *task) []mesh.PortGrant {
	if c.alloc.Grants == nil {
		return nil
	}
	var all []mesh.PortGrant
	for _, p := range c.alloc.Grants.Ports {
		if p.Task == t.def.Name {
			all = append(all, p)
		}
	}
	return all
}

// granted tells a task of the ports and devices that it has. Devices are named by their
// ids, which are the same whatever order a program's library counts them in.
func (c *Copy) granted(t *task, own map[string]string) {
	g := mesh.Grants{Ports: []mesh.PortGrant{}, Devices: []mesh.DeviceGrant{}}
	if has := c.alloc.Grants; has != nil {
		g.Ports = append(g.Ports, has.Ports...)
		for _, d := range has.Devices {
			d.IDs, d.Capabilities = nil, nil // they may be long, and say nothing of what was given
			g.Devices = append(g.Devices, d)
		}
	}
	for _, p := range g.Ports {
		own[mesh.VarPort+mesh.LabelVariable(p.Label)] = strconv.Itoa(int(p.Number))
	}
	var ids, drivers []string
	visible := map[string][]string{}
	for _, given := range c.devices(t) {
		ids = append(ids, given.ID)
		if given.Driver != "" && !slices.Contains(drivers, given.Driver) {
			drivers = append(drivers, given.Driver)
		}
		name := given.ID
		if given.Driver == "rocm" && !strings.HasPrefix(name, "GPU-") { // its library knows no other ids
			name = strconv.Itoa(given.Index)
		}
		visible[given.Driver] = append(visible[given.Driver], name)
	}
	if len(ids) > 0 {
		own[mesh.VarDeviceIDs], own[mesh.VarGPUDriver] = strings.Join(ids, ","), strings.Join(drivers, ",")
		// A program without a device of a kind must not find any of it.
		own[mesh.VarCUDADevices] = strings.Join(visible["cuda"], ",")
		own[mesh.VarROCmDevices] = strings.Join(visible["rocm"], ",")
	}
	text, err := json.Marshal(allocation{
		c.alloc.ID, c.alloc.Job, c.alloc.Group, c.alloc.Index, c.alloc.Node, c.alloc.Resources, g,
	})
	if err != nil {
		panic(fmt.Sprintf("runner: an allocation cannot be encoded: %v", err))
	}
	own[mesh.VarAllocation] = string(text)
}

// allocation is what programs are told of their copy as JSON.
type allocation struct {
	ID        mesh.AllocID   `json:"id"`
	Job       mesh.JobID     `json:"job"`
	Group     string         `json:"group"`
	Index     int            `json:"index"`
	Node      mesh.NodeID    `json:"node"`
	Resources mesh.Resources `json:"resources"` // of all its tasks together
	mesh.Grants
}

func (c *Copy) path(dir string) string { return path.Join(c.facts.Root, dir) }

// environment expands references in values, which may refer to each other.
type environment struct {
	refer func(mesh.Reference) (string, error) // to all that is no variable
	vars  map[string]string
	plain map[string]bool   // these have values that are not expanded
	done  map[string]string // expanded before: else doubling references take for ever
}

// value is what a reference stands for: the value of a variable, expanded, or something
// else. Within are the variables whose values led here.
func (e environment) value(name string, within []string) (string, error) {
	ref, err := mesh.ParseReference(name)
	if err != nil {
		return "", err
	}
	if ref.Space != mesh.SpaceEnv {
		return e.refer(ref)
	}
	name = ref.Key
	value, ok := e.vars[name]
	if !ok {
		return "", fmt.Errorf("unknown variable ${%s}; the known ones are %s",
			name, strings.Join(slices.Sorted(maps.Keys(e.vars)), ", "))
	}
	if e.plain[name] {
		return value, nil
	}
	if value, ok := e.done[name]; ok {
		return value, nil
	}
	if slices.Contains(within, name) {
		if within[len(within)-1] == name {
			return "", fmt.Errorf("${%s} refers to itself", name)
		}
		return "", fmt.Errorf("${%s} refers to itself by way of ${%s}", name, within[len(within)-1])
	}
	value, err = e.expand(value, append(within, name))
	if err == nil {
		e.done[name] = value
	}
	return value, err
}

// expand replaces each ${NAME} in s. Within are the variables whose values led
// here.
func (e environment) expand(s string, within []string) (string, error) {
	return mesh.Expand(s, func(name string) (string, error) { return e.value(name, within) })
}
