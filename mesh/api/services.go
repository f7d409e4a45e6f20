package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mn/health"
	"mn/mesh"
)

// Service is a service as one task of one copy offers it.
type Service struct {
	Name     string             `json:"service"`
	Job      mesh.JobID         `json:"job"`
	Alloc    mesh.AllocID       `json:"alloc"`
	Group    string             `json:"group"`
	Index    int                `json:"index"`
	Task     string             `json:"task"`
	Node     string             `json:"node"` // that runs the copy, and checks it
	NodeID   mesh.NodeID        `json:"node_id"`
	Address  string             `json:"address"`
	Port     int                `json:"port"` // 0 for one without
	Tags     []string           `json:"tags"`
	Meta     map[string]string  `json:"meta"`
	External bool               `json:"external"` // nothing that the copy runs
	Status   mesh.Health        `json:"status"`
	Since    *time.Time         `json:"since"`
	Checks   []mesh.CheckStatus `json:"checks"`
	Hidden   string             `json:"hidden"` // why nobody is sent there; "" if somebody is
	// What the copy was placed for, and what it is to the job's deployment.
	DeploymentKey     mesh.JobID    `json:"deployment_key"`
	DeploymentVersion uint64        `json:"deployment_version"`
	Role              mesh.Standing `json:"role"`
}

// ServicesRequest says which services. Empty fields select everything.
type ServicesRequest struct {
	Service string `json:"service,omitempty"`
	Tag     string `json:"tag,omitempty"`  // all of which it has, separated by commas
	Node    string `json:"node,omitempty"` // that runs it
	All     bool   `json:"all,omitempty"`  // those to which nobody is sent, too
	Role    string `json:"role,omitempty"` // of copies that are primary, canary or candidate, or "any"; primary if ""
}

// Preflight is whether there is what a job needs, and what it offers.
type Preflight struct {
	Job   string      `json:"job"`
	Needs []NeedCheck `json:"needs"`
	Met   bool        `json:"met"` // all of them
}

// NeedCheck is a service that a job cannot do without, or one of its tasks.
type NeedCheck struct {
	Need    string    `json:"need"`
	Service string    `json:"service"`
	Tags    []string  `json:"tags"`
	Task    string    `json:"task"` // "" for the job, which needs it anywhere; a task needs it on its node
	Met     bool      `json:"met"`
	By      []Service `json:"by"`     // the instances to which others are sent
	Reason  string    `json:"reason"` // why it is not met
}

// services are those that a request asks for, by name, job and copy.
func (p picture) services(r ServicesRequest) ([]Service, error) {
	rows := []Service{}
	var on mesh.NodeID
	if r.Node != "" {
		n, err := p.findNode(r.Node)
		if err != nil {
			return nil, err
		}
		on = n.ID
	}
	if err := checkRole(r.Role); err != nil {
		return nil, err
	}
	need := mesh.ServiceNeed{Name: r.Service, Tags: r.Tags()}
	for _, i := range health.Catalog(p.View) {
		if r.Service != "" && i.Service != r.Service || !i.Has(need.Tags) || on != "" && i.Node != on {
			continue
		}
		if r.All && i.Is(r.Role) || i.Open(r.Role) {
			rows = append(rows, p.service(&i))
		}
	}
	return rows, nil
}

// Roles are what a ServicesRequest may ask for.
func Roles() []string {
	return []string{string(mesh.Primary), string(mesh.CanaryCopy), string(mesh.Candidate), health.AnyRole}
}

// checkRole refuses what is no role.
func checkRole(role string) error {
	if role == "" || slices.Contains(Roles(), role) {
		return nil
	}
	return mesh.Faultf(mesh.Invalid, "%q is no role of a copy: %s", role, strings.Join(Roles(), ", "))
}

// Tags are those that the services have, all of them.
func (r *ServicesRequest) Tags() []string {
	return strings.FieldsFunc(r.Tag, func(r rune) bool { return r == ',' })
}

func (p picture) service(i *health.Instance) Service {
	meta := maps.Clone(i.Meta)
	if meta == nil {
		meta = map[string]string{}
	}
	return Service{
		Name: i.Service, Job: i.Job, Alloc: i.Alloc, Group: i.Group, Index: i.Index, Task: i.Task,
		Node: p.nodeName(i.Node), NodeID: i.Node, Address: i.Address, Port: i.Port, Tags: listed(i.Tags), Meta: meta,
		External: i.External, Status: i.Health, Since: known(i.Since), Checks: listed(i.Checks), Hidden: i.Hidden,
		DeploymentKey: i.Deployment, DeploymentVersion: i.Version, Role: i.Role,
	}
}

// resolve are the instances of a service to which others are sent, at least one.
func (p picture) resolve(r ServicesRequest) ([]Service, error) {
	r.All = false
	found, err := p.services(r)
	if err != nil || len(found) > 0 {
		return found, err
	}
	need := mesh.ServiceNeed{Name: r.Service, Tags: r.Tags()}
	where := ""
	if r.Node != "" {
		where = fmt.Sprintf(" on node %s", r.Node)
	}
	r.All = true
	hidden, err := p.services(r)
	if err != nil {
		return nil, err
	}
	if len(hidden) > 0 {
		why := whyHidden(hidden)
		return nil, mesh.Faultf(mesh.Unavailable, "nobody is sent to %s%s now: %s", need.String(), where, why).
			Hint("mn service ls --all")
	}
	if r.Role != "" && r.Role != health.AnyRole {
		where += " as " + r.Role
	}
	f := mesh.Faultf(mesh.NotFound, "nothing that runs%s offers %s", where, need.String())
	if near := mesh.Nearest(r.Service, p.serviceNames()); near != "" && near != r.Service {
		return nil, f.Hint("there is a service %q", near)
	}
	return nil, f.Hint("mn service ls --all")
}

// serviceNames are the names of the services that there are.
func (p picture) serviceNames() []string {
	var names []string
	for _, i := range health.Catalog(p.View) {
		names = append(names, i.Service)
	}
	return slices.Compact(names)
}

// whyHidden says why nobody is sent to some instances: of few, of each.
func whyHidden(all []Service) string {
	const few = 3
	var why []string
	for _, s := range all[:min(len(all), few)] {
		text := fmt.Sprintf("on node %s %s", s.Node, s.Hidden)
		for _, c := range s.Checks {
			if c.Health != mesh.Passing && s.Hidden == string(s.Status) {
				text += fmt.Sprintf(" (check %q: %s)", c.Name, c.Reason)
				break
			}
		}
		why = append(why, text)
	}
	if len(all) > few {
		why = append(why, fmt.Sprintf("and %d more", len(all)-few))
	}
	return strings.Join(why, "; ")
}

// preflight says whether there is what a job needs.
func (p picture) preflight(job *mesh.Job) Preflight {
	f := Preflight{Job: job.Name, Needs: []NeedCheck{}, Met: true}
	add := func(needs []mesh.ServiceNeed, task string) {
		for _, n := range needs {
			c := NeedCheck{Need: n.String(), Service: n.Name, Tags: listed(n.Tags), Task: task, By: []Service{}}
			found, err := p.resolve(ServicesRequest{Service: n.Name, Tag: strings.Join(n.Tags, ",")})
			if err != nil {
				c.Reason = mesh.FaultOf(err).Text
			}
			c.By, c.Met = listed(found), err == nil
			f.Needs, f.Met = append(f.Needs, c), f.Met && c.Met
		}
	}
	add(job.Requires, "")
	for i := range job.Tasks {
		add(job.Tasks[i].Requires, job.Tasks[i].Name)
	}
	slices.SortStableFunc(f.Needs, func(a, b NeedCheck) int { return cmp.Compare(a.Task, b.Task) })
	return f
}
