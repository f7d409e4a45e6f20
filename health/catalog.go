package health

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"mn/mesh"
)

// Instance is a service as one task of one copy offers it.
type Instance struct {
	Service  string             `json:"service"`
	Job      mesh.JobID         `json:"job"`
	Alloc    mesh.AllocID       `json:"alloc"`
	Group    string             `json:"group"`
	Index    int                `json:"index"`
	Task     string             `json:"task"`
	Node     mesh.NodeID        `json:"node"` // that runs the copy, and checks it
	Address  string             `json:"address"`
	Port     int                `json:"port,omitempty"` // 0 for one without
	Tags     []string           `json:"tags"`
	Meta     map[string]string  `json:"meta,omitempty"`
	External bool               `json:"external,omitempty"` // nothing that the copy runs
	Health   mesh.Health        `json:"status"`
	Since    time.Time          `json:"since"`
	Checks   []mesh.CheckStatus `json:"checks,omitempty"`
	// Deployment and Version are what the copy was placed for, and Role what it is to the job's
	// deployment: nobody is sent to one that is not primary without asking for it.
	Deployment mesh.JobID    `json:"deployment_key"`
	Version    uint64        `json:"deployment_version"`
	Role       mesh.Standing `json:"role"`
	// Hidden is why nobody is sent there, or "".
	Hidden string `json:"hidden,omitempty"`
	// apart: it is hidden for its role alone.
	apart bool
}

// AnyRole stands for all roles where one is asked for.
const AnyRole = "any"

// Catalog is all that tasks offer that run as far as a node knows, by service, job, copy and task. It
// rests on what the nodes have said of their copies, and on whether they are in sight now.
func Catalog(v *mesh.View) []Instance {
	var all []Instance
	for i := range v.Allocs {
		all = append(all, Offered(v, &v.Allocs[i])...)
	}
	slices.SortStableFunc(all, func(a, b Instance) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Group, b.Group),
			cmp.Compare(a.Index, b.Index), cmp.Compare(a.Alloc, b.Alloc), cmp.Compare(a.Task, b.Task))
	})
	return all
}

// Offered are the services that the tasks of a copy offer, by task.
func Offered(v *mesh.View, a *mesh.AllocView) []Instance {
	if a.Status == nil || a.Placed == nil || a.State().Final() {
		return nil
	}
	var all []Instance
	for i := range a.Status.Tasks {
		t := &a.Status.Tasks[i]
		if len(t.Services) == 0 {
			continue
		}
		for _, def := range a.Placed.Offered(&a.Alloc, t.Name) {
			if said := statusOf(t.Services, def.Name); said != nil {
				all = append(all, instance(v, a, t, &def, said))
			}
		}
	}
	return all
}

// instance is a service of a task of a copy.
func instance(
	v *mesh.View, a *mesh.AllocView, t *mesh.TaskStatus, def *mesh.ServiceDef, said *mesh.ServiceStatus,
) Instance {
	i := Instance{
		Service: def.Name, Job: a.Job, Alloc: a.ID, Group: a.Group, Index: a.Index, Task: t.Name, Node: a.Node,
		Address: def.Address, Port: def.PortNumber(), Tags: def.Tags, Meta: def.Meta, External: def.External(),
		Health: said.Health, Since: said.Since, Checks: said.Checks, Hidden: hidden(v, a, t, said),
		Deployment: a.Job, Version: a.Version, Role: a.Role(),
	}
	if i.Role != mesh.Primary && i.Hidden == "" {
		i.apart = true
		i.Hidden = fmt.Sprintf("it is a %s of version %d, which is not promoted", i.Role, i.Version)
	}
	if n := v.Node(a.Node); n != nil && !i.External {
		if at, err := netip.ParseAddrPort(n.Address); err == nil { // else it has not told its address yet
			i.Address = at.Addr().String()
		}
	}
	return i
}

// hidden is why nobody is sent to an instance, or "".
func hidden(v *mesh.View, a *mesh.AllocView, t *mesh.TaskStatus, said *mesh.ServiceStatus) string {
	switch n := v.Node(a.Node); {
	case n == nil || !n.Known:
		return "its node is not known here yet"
	case n.Evicted:
		return "its node is evicted"
	case n.Liveness == mesh.Left:
		return "its node has left"
	case n.Liveness != mesh.Alive && n.ID != v.Self:
		return "its node is out of sight"
	case n.Unread:
		return "what its node says is not read yet"
	case a.Status.Boot != n.Boot:
		return "its node was started anew since"
	case a.Want == mesh.WantStop:
		return "its copy is to end"
	case t.State != mesh.Running:
		return "its task is " + string(t.State)
	case said.Health != mesh.Passing:
		return string(said.Health)
	}
	if at, fails := v.Failing[mesh.KeyOf(a.ID, t.Name, said.Name)]; fails && at.After(a.Status.At) {
		return "its node says that a check has failed"
	}
	return ""
}

// Usable are those of a service that others may be sent to, with all of the tags.
func Usable(all []Instance, name string, tags []string) []Instance {
	return slices.DeleteFunc(slices.Clone(all), func(i Instance) bool {
		return i.Service != name || i.Hidden != "" || !i.Has(tags)
	})
}

// Is says whether the instance is what those look for who ask for a role, or for any with "" or
// [AnyRole].
func (i *Instance) Is(role string) bool {
	return role == "" || role == AnyRole || mesh.Standing(role) == i.Role
}

// Open says whether those are sent there who ask for a role: for [AnyRole], or if that is "" for
// primary copies.
func (i *Instance) Open(role string) bool {
	if i.Hidden != "" && !i.apart {
		return false
	}
	return role == AnyRole || cmp.Or(mesh.Standing(role), mesh.Primary) == i.Role
}

// Has says whether the instance has all of some tags.
func (i *Instance) Has(tags []string) bool {
	return !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(i.Tags, tag) })
}
