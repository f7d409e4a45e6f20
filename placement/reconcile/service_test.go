package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"mn/mesh"
)

// offer has another job's copy on a node offer a service: "passing", "failing", or "gone" as
// it has ended just now.
func (w *world) offer(service string, node mesh.NodeID, state string) {
	need := toyNeed(service)
	id := mesh.AllocID(service + "@" + string(node))
	o := mesh.Offer{
		Service: need.Name, Tags: need.Tags, Job: "models", Group: "server", Alloc: id, Node: node,
		Usable: state == "passing",
	}
	if state == "gone" {
		o.Ended = w.now
	}
	w.offers = slices.DeleteFunc(w.offers, func(o mesh.Offer) bool { return o.Alloc == id })
	w.offers = append(w.offers, o)
}

// offered are the services as they are seen: those on nodes out of sight are of no use.
func (w *world) offered() []mesh.Offer {
	all := slices.Clone(w.offers)
	for i := range all {
		n := w.nodes[all[i].Node]
		all[i].Usable = all[i].Usable && n != nil && n.view.Liveness == mesh.Alive
	}
	return all
}

// toyNeed reads NAME[:TAG+TAG].
func toyNeed(s string) mesh.ServiceNeed {
	name, tags, tagged := strings.Cut(s, ":")
	need := mesh.ServiceNeed{Name: name}
	if tagged {
		need.Tags = strings.Split(tags, "+")
	}
	return need
}

// needs takes from what a job is said to be what it needs of services: requires=SERVICE of the job,
// needs=SERVICE of its groups, and that its version is forced.
func (w *world) needs(job *mesh.Job, args []string) (rest []string, needs []mesh.ServiceNeed) {
	for _, arg := range args {
		switch key, value, _ := strings.Cut(arg, "="); key {
		case "requires":
			job.Requires = append(job.Requires, toyNeed(value))
		case "needs":
			needs = append(needs, toyNeed(value))
		case "forced":
			w.forced = true
		default:
			rest = append(rest, arg)
		}
	}
	return rest, needs
}

// drawNeeds has a job need services, of which there are two.
func drawNeeds(t *rapid.T, job *mesh.Job) {
	if rapid.IntRange(0, 4).Draw(t, "requires") == 0 {
		job.Requires = []mesh.ServiceNeed{{Name: "db"}}
	}
	for i := range job.Tasks {
		if rapid.IntRange(0, 3).Draw(t, "task requires") == 0 {
			job.Tasks[i].Requires = []mesh.ServiceNeed{{Name: "vllm"}}
		}
	}
}

// drawOffer changes what is offered on a node.
func (w *world) drawOffer(t *rapid.T, n *toyNode) {
	w.offer(rapid.SampledFrom([]string{"db", "vllm"}).Draw(t, "service"), n.view.ID,
		rapid.SampledFrom([]string{"passing", "passing", "failing", "gone"}).Draw(t, "state"))
}

// peaceful has each service pass on a node; for a job with a copy on each, on all.
func (w *world) peaceful(t *rapid.T, node mesh.NodeID) {
	w.offers = nil
	for _, name := range []string{"db", "vllm"} {
		w.offer(name, node, "passing")
		if w.job.Job.Type.PerNode() || rapid.Bool().Draw(t, fmt.Sprint("more ", name)) {
			for id := range w.nodes {
				w.offer(name, id, "passing")
			}
		}
	}
}
