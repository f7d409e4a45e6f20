package runner

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
)

// Around is what the texts of a copy's tasks refer to outside of it, as its node sees that now. It comes
// before Run, and again when any of it has changed.
type Around struct {
	Address  string // of the node, without a port
	Pool     string
	OS, Arch string
	Labels   map[string]string
	// Services has those of [Copy.Refers] of which there are instances that can be used.
	Services map[mesh.ServiceRef]Instances
}

func (Around) input() {}

// Instances are those of a service that can be used.
type Instances struct {
	First Place   // the one that the copy goes to
	All   []Place // it is one of them
}

// Place is where an instance of a service is.
type Place struct {
	Address string
	Port    int // 0 for one without
}

// String is "host:port".
func (p Place) String() string {
	if at, err := netip.ParseAddr(p.Address); err == nil {
		return netip.AddrPortFrom(at, uint16(p.Port)).String()
	}
	return p.Address + ":" + strconv.Itoa(p.Port)
}

// Refers says to which services the texts of the copy's tasks refer, and whether to the node.
func (c *Copy) Refers() (services []mesh.ServiceRef, node bool) {
	for _, t := range c.tasks {
		for _, s := range t.services {
			if !slices.Contains(services, s) {
				services = append(services, s)
			}
		}
		node = node || t.node
	}
	return services, node
}

// hear takes what is around the copy now.
func (c *Copy) hear(in Around) {
	c.around = &in
	for _, t := range c.tasks {
		t.stale = len(t.def.Templates) > 0 && t.refers()
	}
}

// refers says whether the texts of the task refer to anything around the copy.
func (t *task) refers() bool { return t.node || len(t.services) > 0 }

// lacks is the first service that a task refers to and that has no instance, if there is one.
func (c *Copy) lacks(t *task) (mesh.ServiceRef, bool) {
	for _, s := range t.services {
		if _, found := c.around.Services[s]; !found {
			return s, true
		}
	}
	return mesh.ServiceRef{}, false
}

// await has a task start as soon as it can, as the attempt after the last.
func (c *Copy) await(t *task, reason string) {
	t.status.State, t.status.Reason, t.status.NextStart = mesh.Pending, reason, time.Time{}
	t.status.Restarts = t.attempt // as those say who have yet to start one
}

// holdsUp says whether a task has to wait for something around the copy. A poststop task, for which the copy
// does, fails instead.
func (c *Copy) holdsUp(t *task) bool {
	if !t.refers() {
		return false
	}
	if c.around == nil {
		return true
	}
	switch s, lacks := c.lacks(t); {
	case !lacks:
		return false
	case t.is(mesh.Poststop):
		c.fail(t, fmt.Sprintf("no instance of service %v passes", s))
	default:
		c.await(t, fmt.Sprintf("waits for service %v: no instance passes", s))
	}
	return true
}

// refer is what a reference of a task's texts stands for, besides variables.
func (c *Copy) refer(t *task, r mesh.Reference) (string, error) {
	switch r.Space {
	case mesh.SpaceNode:
		return c.ofNode(r)
	case mesh.SpaceService:
		return c.ofService(r)
	}
	switch r.Key {
	case "id":
		return string(c.alloc.ID), nil
	case "index":
		return strconv.Itoa(c.alloc.Index), nil
	case "job":
		return string(c.alloc.Job), nil
	case "group":
		return c.alloc.Group, nil
	case "task":
		return t.def.Name, nil
	case "dir":
		return c.path(SharedDir(c.alloc.ID)), nil
	}
	if c.alloc.Grants != nil {
		for _, p := range c.alloc.Grants.Ports {
			if p.Label == r.Of {
				return strconv.Itoa(int(p.Number)), nil
			}
		}
	}
	return "", fmt.Errorf("the copy was given no port for ${alloc.port.%s}", r.Of)
}

func (c *Copy) ofNode(r mesh.Reference) (string, error) {
	switch a := c.around; {
	case r.Key == "id":
		return string(c.facts.Node), nil
	case r.Key == "name":
		return c.facts.Name, nil
	case a == nil:
		return "", fmt.Errorf("nothing is known yet for ${node.%s}", r.Key)
	case r.Key == "address":
		return a.Address, nil
	case r.Key == "pool":
		return a.Pool, nil
	case r.Key == "os":
		return a.OS, nil
	case r.Key == "arch":
		return a.Arch, nil
	default:
		value, ok := a.Labels[r.Of]
		if !ok {
			return "", fmt.Errorf("the node has no label %q, for ${node.label.%s}: have a constraint on label.%s",
				r.Of, r.Of, r.Of)
		}
		return value, nil
	}
}

func (c *Copy) ofService(r mesh.Reference) (string, error) {
	of := r.Service()
	if c.around == nil || len(c.around.Services[of].All) == 0 {
		return "", fmt.Errorf("no instance of service %v passes", of)
	}
	found := c.around.Services[of]
	if r.Key != "address" && slices.ContainsFunc(found.All, func(p Place) bool { return p.Port == 0 }) {
		return "", fmt.Errorf("an instance of service %v has no port", of)
	}
	switch r.Key {
	case "address":
		return found.First.Address, nil
	case "port":
		return strconv.Itoa(found.First.Port), nil
	case "hostport":
		return found.First.String(), nil
	}
	var all []string
	for _, p := range found.All {
		all = append(all, p.String())
	}
	return strings.Join(all, ","), nil
}
