package mesh

import (
	"slices"
	"strings"
	"testing"
)

func TestReferencesAreReadFromTheirSpaces(t *testing.T) {
	for _, tt := range []struct {
		text, err string
		want      Reference
	}{
		{"HOME", "", Reference{Space: SpaceEnv, Key: "HOME"}},
		{"", "", Reference{Space: SpaceEnv}},
		{"env.HOME", "", Reference{Space: SpaceEnv, Key: "HOME"}},
		{"node.name", "", Reference{Space: SpaceNode, Key: "name"}},
		{"node.label.rack", "", Reference{Space: SpaceNode, Key: "label", Of: "rack"}},
		{"node.label.example.org.rack", "", Reference{Space: SpaceNode, Key: "label", Of: "example.org.rack"}},
		{"alloc.port.http", "", Reference{Space: SpaceAlloc, Key: "port", Of: "http"}},
		{"alloc.id", "", Reference{Space: SpaceAlloc, Key: "id"}},
		{"service.vllm.address", "", Reference{Space: SpaceService, Key: "address", Of: "vllm"}},
		{"service.a.b.c.all", "", Reference{Space: SpaceService, Key: "all", Of: "a.b.c"}},
		{"service.port.port", "", Reference{Space: SpaceService, Key: "port", Of: "port"}},
		{"service.a.b.tag.v1.2.hostport", "", Reference{Space: SpaceService, Key: "hostport", Of: "a.b", Tag: "v1.2"}},
		{"service.tag.x.port", "", Reference{Space: SpaceService, Key: "port", Of: "tag.x"}},

		{"node", "", Reference{Space: SpaceEnv, Key: "node"}},
		{"node.", "unknown ${node.}; known of node are id, name, address, pool, os, arch, label.NAME", Reference{}},
		{"node.label.", "unknown ${node.label.}; did you mean ${node.label.NAME}?", Reference{}},
		{"node.label", "unknown ${node.label}; did you mean ${node.label.NAME}?", Reference{}},
		{"node.name.x", "unknown ${node.name.x}", Reference{}},
		{"node.labels.rack", "unknown ${node.labels.rack}; did you mean ${node.label.rack}?", Reference{}},
		{"node.adress", "unknown ${node.adress}; did you mean ${node.address}?", Reference{}},
		{"alloc.indx", "unknown ${alloc.indx}; did you mean ${alloc.index}?", Reference{}},
		{"allok.id", `unknown namespace "allok" in ${allok.id}; did you mean ${alloc.id}?`, Reference{}},
		{"config.x", `unknown namespace "config" in ${config.x}; known are env, node, alloc, service, and in job files var`, Reference{}},
		{"var.x", "${var.x} has a value only in a job file, where it is read", Reference{}},
		{"service.address", "is no name of a service", Reference{}},
		{"service..port", "is no name of a service", Reference{}},
		{"service.a.tag..port", "is no tag of a service", Reference{}},
		{"service.vllm", "ends in no key of a service: want ${service.NAME.KEY}, with one of address, port, hostport, all", Reference{}},
		{"service.vllm.hostprt", "did you mean ${service.vllm.hostport}?", Reference{}},
	} {
		got, err := ParseReference(tt.text)
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%q: got %+v, %v, want %+v", tt.text, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%q: got %+v, %v, want %q", tt.text, got, err, tt.err)
		}
	}
}

func TestATaskRefersToEachServiceOnce(t *testing.T) {
	task := &Task{
		Command:   []string{"x", "${service.a.address}:${service.a.port}", "$${service.not.port}", "${service.open.port"},
		Container: &Container{Entrypoint: []string{"${service.c.all}"}},
		Dir:       "/${service.d.port}",
		Env:       map[string]string{"E": "${service.a.tag.t.all}"},
		Templates: []Template{{Content: "${node.label.rack} ${service.f.port} ${nope.x}"}},
	}
	services, node := task.Refers()
	want := []ServiceRef{{"a", ""}, {"c", ""}, {"d", ""}, {"a", "t"}, {"f", ""}}
	if !slices.Equal(services, want) || !node {
		t.Errorf("got %v, %v, want %v and the node", services, node, want)
	}
	if services, node := (&Task{Command: []string{"${alloc.id}", "${HOME}"}}).Refers(); len(services) > 0 || node {
		t.Errorf("of no services: got %v, %v", services, node)
	}
	if got := want[3].String(); got != "a with tag t" {
		t.Errorf("got %q", got)
	}
}

// Whatever stands between braces, what is read of it is a key that is known, of what can have the name.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"A", "env.A", "node.label.a.b", "alloc.port.x", "service.a.b.tag.c.all", "service..", "x.y", "${"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		switch r.Space {
		case SpaceEnv:
			if s != r.Key && s != "env."+r.Key {
				t.Errorf("%q is the variable %q", s, r.Key)
			}
		case SpaceService:
			if !ValidName(r.Of) || r.Tag != "" && !ValidName(r.Tag) || !slices.Contains(serviceKeys, r.Key) {
				t.Errorf("%q is %+v", s, r)
			}
		case SpaceNode, SpaceAlloc:
			if whole := r.Space + "." + r.Key; s != whole && s != whole+"."+r.Of {
				t.Errorf("%q is %+v", s, r)
			}
		default:
			t.Errorf("%q is in the space %q", s, r.Space)
		}
	})
}
