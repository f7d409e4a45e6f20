package placement

import (
	"testing"

	"mn/mesh"
)

func TestCopyGoesWhereTheServiceIsThatItNeeds(t *testing.T) {
	job := jobOf(mesh.Binpack, mesh.Resources{})
	job.Tasks[0].Requires = []mesh.ServiceNeed{{Name: "vllm", Tags: []string{"embedding"}}}
	nodes := []mesh.NodeView{node("n1", nil), node("n2", nil)}
	offer := func(change func(*mesh.Offer)) mesh.Offer {
		o := mesh.Offer{
			Service: "vllm", Tags: []string{"large", "embedding"}, Job: "models", Group: "server", Alloc: "a", Node: "n2",
			Usable: true,
		}
		change(&o)
		return o
	}
	const no = "no passing instance of vllm with tag embedding on this node"
	for name, tt := range map[string]struct {
		offer mesh.Offer
		want  string // why n2 is refused
	}{
		"passes":                    {offer(func(*mesh.Offer) {}), ""},
		"fails":                     {offer(func(o *mesh.Offer) { o.Usable = false }), no},
		"is elsewhere":              {offer(func(o *mesh.Offer) { o.Node = "n3" }), no},
		"is another":                {offer(func(o *mesh.Offer) { o.Service = "vllm2" }), no},
		"lacks a tag":               {offer(func(o *mesh.Offer) { o.Tags = []string{"large"} }), no},
		"is its own":                {offer(func(o *mesh.Offer) { o.Job, o.Group = "web", "web" }), no},
		"is another group's":        {offer(func(o *mesh.Offer) { o.Job, o.Group = "web", "db" }), ""},
		"is of a group of its name": {offer(func(o *mesh.Offer) { o.Job, o.Group = "models", "web" }), ""},
	} {
		c := place(&mesh.View{Nodes: nodes, Offers: []mesh.Offer{tt.offer}}, job, nil)
		refused := map[mesh.NodeID]string{}
		for _, r := range c.Refused {
			refused[r.Node] = r.Filter + ": " + r.Reason
		}
		want := tt.want
		if want != "" {
			want = "service: " + want
		}
		if refused["n1"] != "service: "+no || refused["n2"] != want {
			t.Errorf("%s: got %v", name, refused)
		}
	}
}

// Room is kept for who comes first only where that could go.
func TestRoomIsKeptOnlyWhereTheServiceIs(t *testing.T) {
	first := jobOf(mesh.Binpack, mesh.Resources{CPU: 4 * mesh.Core})
	first.Name, first.Priority = "first", 90
	first.Tasks[0].Requires = []mesh.ServiceNeed{{Name: "vllm"}}
	q := mesh.QueueView{
		Queued: mesh.Queued{Job: "first", Priority: 90, Groups: []mesh.QueuedGroup{{Group: "web", Copies: 1}}}, Spec: first,
	}
	v := &mesh.View{
		Nodes: []mesh.NodeView{node("n1", nil), node("n2", nil)}, Queue: []mesh.QueueView{q},
		Offers: []mesh.Offer{{Service: "vllm", Job: "models", Group: "server", Node: "n2", Usable: true}},
	}
	c := place(v, jobOf(mesh.Binpack, mesh.Resources{CPU: mesh.Core}), nil)
	if len(c.Candidates) != 1 || c.Candidates[0].Node != "n1" || len(c.Refused) != 1 || c.Refused[0].Filter != "priority" {
		t.Errorf("got\n%v", c)
	}
}
