package health

import (
	"slices"
	"testing"
	"time"

	"mn/mesh"
)

// one is a view of a node with one copy that offers the services web, checked, and db, which is external.
func one(health mesh.Health) *mesh.View {
	job := &mesh.Job{
		Name: "shop",
		Services: []mesh.ServiceDef{
			{Name: "db", Address: "db.example.org", Port: "5432"},
			{Name: "other", Port: "admin"}, // of another group
		},
		Tasks: []mesh.Task{
			{Name: "helper", Group: "g", Lifecycle: mesh.Prestart},
			{Name: "web", Group: "g", Services: []mesh.ServiceDef{{Name: "web", Port: "http", Tags: []string{"a", "b"}}}},
			{Name: "admin", Group: "h"},
		},
	}
	said := []mesh.ServiceStatus{{Name: "web", Health: health}, {Name: "db", Health: mesh.Passing}}
	return &mesh.View{
		Self: "n1",
		Nodes: []mesh.NodeView{
			{Node: mesh.Node{ID: "n1", Address: "10.0.0.1:7", Boot: "b"}, Known: true, Liveness: mesh.Unseen},
			{Node: mesh.Node{ID: "n2", Address: "10.0.0.2:7", Boot: "b"}, Known: true, Liveness: mesh.Alive},
		},
		Allocs: []mesh.AllocView{{
			Alloc: mesh.Alloc{
				ID: "a1", Job: "shop", Group: "g", Node: "n2", Want: mesh.WantRun,
				Grants: &mesh.Grants{Ports: []mesh.PortGrant{{Task: "web", Label: "http", Number: 20001}}},
			},
			Placed: job,
			Status: &mesh.Status{Alloc: "a1", Boot: "b", State: mesh.Running, Tasks: []mesh.TaskStatus{
				{Name: "web", State: mesh.Running, Services: said}, {Name: "helper", State: mesh.Complete},
			}},
		}},
	}
}

// TestCatalogSaysWhereServicesAre: with the ports that the copy was given, and the address of its node.
func TestCatalogSaysWhereServicesAre(t *testing.T) {
	all := Catalog(one(mesh.Passing))
	if len(all) != 2 {
		t.Fatalf("got %+v, want two instances", all)
	}
	db, web := all[0], all[1]
	if db.Service != "db" || !db.External || db.Address != "db.example.org" || db.Port != 5432 || db.Hidden != "" {
		t.Errorf("got %+v, want the external service where it is", db)
	}
	if web.Service != "web" || web.External || web.Address != "10.0.0.2" || web.Port != 20001 || web.Task != "web" {
		t.Errorf("got %+v, want the service on its node, with the port that the copy was given", web)
	}
	for _, c := range []struct {
		tags []string
		want int
	}{{nil, 1}, {[]string{"b"}, 1}, {[]string{"b", "a"}, 1}, {[]string{"b", "c"}, 0}} {
		if got := Usable(all, "web", c.tags); len(got) != c.want {
			t.Errorf("with tags %v: got %d instances, want %d", c.tags, len(got), c.want)
		}
	}
}

// TestNobodyIsSentToWhatMayNotBeThere is each way in which an instance is hidden, or not there.
func TestNobodyIsSentToWhatMayNotBeThere(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(v *mesh.View)
		want   string // "-" if it is not in the catalog
	}{
		{"as it is", func(*mesh.View) {}, ""},
		{"in warning", func(v *mesh.View) { *v = *one(mesh.Warning) }, "warning"},
		{"critical", func(v *mesh.View) { *v = *one(mesh.Critical) }, "critical"},
		{"node lost", func(v *mesh.View) { v.Nodes[1].Liveness = mesh.Lost }, "its node is out of sight"},
		{"node not seen", func(v *mesh.View) { v.Nodes[1].Liveness = mesh.Unseen }, "its node is out of sight"},
		{"node left", func(v *mesh.View) { v.Nodes[1].Liveness = mesh.Left }, "its node has left"},
		{"node evicted", func(v *mesh.View) { v.Nodes[1].Evicted = true }, "its node is evicted"},
		{"node not read", func(v *mesh.View) { v.Nodes[1].Unread = true }, "what its node says is not read yet"},
		{"node not known", func(v *mesh.View) { v.Nodes[1].Known = false }, "its node is not known here yet"},
		{"node forgotten", func(v *mesh.View) { v.Nodes = v.Nodes[:1] }, "its node is not known here yet"},
		{"node rebooted", func(v *mesh.View) { v.Nodes[1].Boot = "c" }, "its node was started anew since"},
		{"on this node", func(v *mesh.View) { v.Self, v.Nodes[1].Liveness = "n2", mesh.Unseen }, ""},
		{"to stop", func(v *mesh.View) { v.Allocs[0].Want = mesh.WantStop }, "its copy is to end"},
		{"task stopping", func(v *mesh.View) { v.Allocs[0].Status.Tasks[0].State = mesh.Stopping }, "its task is stopping"},
		{"failing, by gossip", func(v *mesh.View) {
			v.Failing = map[mesh.ServiceKey]time.Time{mesh.KeyOf("a1", "web", "web"): v.Allocs[0].Status.At.Add(1)}
		}, "its node says that a check has failed"},
		{"failing, by gossip of before its record", func(v *mesh.View) {
			v.Failing = map[mesh.ServiceKey]time.Time{mesh.KeyOf("a1", "web", "web"): v.Allocs[0].Status.At}
		}, ""},
		{"another failing, by gossip", func(v *mesh.View) {
			v.Failing = map[mesh.ServiceKey]time.Time{mesh.KeyOf("a1", "web", "we"): v.Allocs[0].Status.At.Add(1)}
		}, ""},
		{"ended", func(v *mesh.View) { v.Allocs[0].Status.State = mesh.Failed }, "-"},
		{"task ended", func(v *mesh.View) { v.Allocs[0].Status.Tasks[0].Services = nil }, "-"},
		{"nothing said", func(v *mesh.View) { v.Allocs[0].Status = nil }, "-"},
		{"version not here", func(v *mesh.View) { v.Allocs[0].Placed = nil }, "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := one(mesh.Passing)
			c.change(v)
			all := Catalog(v)
			at := slices.IndexFunc(all, func(i Instance) bool { return i.Service == "web" })
			switch {
			case at < 0 && c.want != "-":
				t.Errorf("it is not there, want it hidden as %q", c.want)
			case at >= 0 && all[at].Hidden != c.want:
				t.Errorf("got %q, want %q", all[at].Hidden, c.want)
			}
		})
	}
}

// TestOnlyPrimaryCopiesAreShown: who asks for a role finds the others, if nothing else hides them.
func TestOnlyPrimaryCopiesAreShown(t *testing.T) {
	for _, c := range []struct {
		standing mesh.Standing
		health   mesh.Health
		role     string
		open     bool
		hidden   string
	}{
		{"", mesh.Passing, "", true, ""},
		{mesh.Primary, mesh.Passing, "", true, ""},
		{mesh.Primary, mesh.Passing, AnyRole, true, ""},
		{mesh.Primary, mesh.Passing, "canary", false, ""},
		{mesh.CanaryCopy, mesh.Passing, "", false, "it is a canary of version 4, which is not promoted"},
		{mesh.CanaryCopy, mesh.Passing, "primary", false, "it is a canary of version 4, which is not promoted"},
		{mesh.CanaryCopy, mesh.Passing, "canary", true, "it is a canary of version 4, which is not promoted"},
		{mesh.CanaryCopy, mesh.Passing, AnyRole, true, "it is a canary of version 4, which is not promoted"},
		{mesh.CanaryCopy, mesh.Critical, "canary", false, "critical"},
		{mesh.Candidate, mesh.Passing, "canary", false, "it is a candidate of version 4, which is not promoted"},
		{mesh.Candidate, mesh.Passing, "candidate", true, "it is a candidate of version 4, which is not promoted"},
	} {
		v := one(c.health)
		v.Allocs[0].Standing, v.Allocs[0].Version = c.standing, 4
		all := Catalog(v)
		i := &all[slices.IndexFunc(all, func(i Instance) bool { return i.Service == "web" })]
		if i.Open(c.role) != c.open || i.Hidden != c.hidden {
			t.Errorf("%q, %s, for %q: got %v, %q, want %v, %q",
				c.standing, c.health, c.role, i.Open(c.role), i.Hidden, c.open, c.hidden)
		}
		if i.Deployment != "shop" || i.Version != 4 || i.Role == "" {
			t.Errorf("got %q, %d, %q, want what it was placed for", i.Deployment, i.Version, i.Role)
		}
		usable := c.health == mesh.Passing && (c.standing == "" || c.standing == mesh.Primary)
		if got := len(Usable(all, "web", nil)) == 1; got != usable {
			t.Errorf("%q, %s: usable is %v, want %v", c.standing, c.health, got, usable)
		}
		offers := slices.IndexFunc(Offers(v), func(o mesh.Offer) bool { return o.Service == "web" && o.Usable })
		if (offers >= 0) != usable {
			t.Errorf("%q, %s: offered as usable is %v, want %v", c.standing, c.health, offers >= 0, usable)
		}
	}
}
