package cases

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
	"mn/sim/lab/watch"
)

// services are the cases of what copies offer.
func services() []Case {
	return []Case{{
		Name: "services-in-a-split", Faults: "F15", CI: true, Nodes: 4, run: (*scene).servicesInASplit,
		Shows: "what cannot be reached is hidden on each side of a split, and back when it heals, each once",
	}}
}

// hiddenMax is how long instances may be shown that cannot be reached: until gossip misses their nodes.
const hiddenMax = eagerMax

// servicesInASplit cuts the mesh in halves, with an instance of each service on every node.
func (s *scene) servicesInASplit() {
	all := s.shuffled()
	n := len(all)
	s.start(s.offering("kept", mesh.Keep, n), s.offering("eager", mesh.Eager, n))
	for _, job := range []string{"kept", "eager"} {
		s.finds(job, all, all, n, startMax)
	}
	sides := [][]*lab.Node{all[:n/2], all[n/2:]}
	at := s.split(sides...)
	for _, side := range sides {
		s.finds("kept", side, side, s.liveOn("kept", side), hiddenMax)
	}
	s.took("hidden on both sides", watch.Now()-at)
	for _, side := range sides { // what is lost is replaced on each side, and found there
		s.finds("eager", side, side, n, eagerMax)
	}
	s.heal()
	for _, job := range []string{"kept", "eager"} {
		s.finds(job, all, all, n, settleMax)
	}
}

// offering is a service of copies that each offer a service of its name. It has no check: a command
// within a task would be taken for the task, by what is looked for in the process table.
func (s *scene) offering(name string, p mesh.OnPartition, copies int) mesh.Job {
	job := s.service(name, p, copies)
	job.Tasks[0].Services = []mesh.ServiceDef{{Name: name, Port: "7"}}
	return job
}

// liveOn is how many copies of a job run on some nodes.
func (s *scene) liveOn(job string, nodes []*lab.Node) int { return len(s.live(job, names(nodes)...)) }

// finds waits until each node that is asked finds so many instances of a service, each of another copy,
// and all of them on some nodes.
func (s *scene) finds(service string, asked, on []*lab.Node, want int, within time.Duration) {
	what := fmt.Sprintf("%v find %d instances of %s on %v", names(asked), want, service, names(on))
	s.until(within, what, func() (bool, string) {
		for _, n := range asked {
			found, err := ask(s, func(ctx context.Context) ([]api.Service, error) {
				return n.Client().Services(ctx, api.ServicesRequest{Service: service})
			})
			if err != nil {
				return false, err.Error()
			}
			seen := map[int]bool{}
			for _, f := range found {
				if seen[f.Index] || !slices.Contains(names(on), f.Node) {
					return false, fmt.Sprintf("%s finds %s[%d] on %s", n.Name, service, f.Index, f.Node)
				}
				seen[f.Index] = true
			}
			if len(found) != want {
				return false, fmt.Sprintf("%s finds %d", n.Name, len(found))
			}
		}
		return true, ""
	})
}
