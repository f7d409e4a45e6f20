package dns

import (
	"cmp"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mn/health"
	"mn/mesh"
)

// The parts of the zone.
const (
	serviceSuffix = ".service"
	nodeSuffix    = ".node"
	addrSuffix    = ".addr"
	nearestPrefix = "nearest."
	nearestTag    = "nearest"
)

// Table is all that questions are answered from. It does not change.
type Table struct {
	self   string // the name of this node; "" as long as it does not know the mesh that it is in
	serial uint32
	// names has what there is by name, in lower case and without the zone. Those that only have
	// others below them have an empty entry.
	names map[string]*entry
	// near has, of services, what is on the nearest node; one of several that are as near.
	near map[string][]*set
}

// entry is what a name stands for.
type entry struct {
	set
	service bool
	places  []place // of a service
}

// place is where an instance is.
type place struct {
	node   mesh.NodeID // that runs it; "" for what no node runs
	addr   netip.Addr  // or else host is set
	host   string      // ends with a dot
	port   uint16      // 0 for one without
	target string      // a name for the addr or host
}

// set is the records of a name.
type set struct {
	v4, v6 []netip.Addr
	hosts  []string
	ports  []port
}

// port is where somebody listens.
type port struct {
	target string
	port   uint16
}

func (s *set) empty() bool { return len(s.v4)+len(s.v6)+len(s.hosts)+len(s.ports) == 0 }

// setOf are the records for some places, each once.
func setOf(places []place) set {
	var s set
	said := map[place]bool{}
	first := func(p place) bool {
		was := said[p]
		said[p] = true
		return !was
	}
	for _, p := range places {
		switch {
		case p.host != "" && first(place{host: p.host}):
			s.hosts = append(s.hosts, p.host)
		case p.addr.Is4() && first(place{addr: p.addr}):
			s.v4 = append(s.v4, p.addr)
		case p.addr.Is6() && first(place{addr: p.addr}):
			s.v6 = append(s.v6, p.addr)
		}
		if p.port != 0 && first(place{target: p.target, port: p.port}) {
			s.ports = append(s.ports, port{p.target, p.port})
		}
	}
	return s
}

// New is the table of what a node sees, of the services in it, and of how far away the other nodes are.
// Those of which that is not known are farther than all others; this node is the nearest.
func New(v *mesh.View, all []health.Instance, away map[mesh.NodeID]time.Duration) *Table {
	b := builder{v: v, names: map[string]*entry{}, targets: map[mesh.NodeID]string{}}
	b.nodes()
	b.services(all)
	b.between()
	t := &Table{
		self: b.targets[v.Self], serial: uint32(v.Now.Unix()), names: b.names, near: map[string][]*set{},
	}
	for name, e := range t.names {
		if len(e.places) > 0 {
			t.near[name] = nearest(e.places, v.Self, away)
		}
	}
	return t
}

// unknown is farther than all that is known.
const unknown = time.Duration(1<<63 - 1)

// nearest are those of some places that are on the nearest node, or on each of several that are as near.
// What no node runs is each for itself, and farther than what one does.
func nearest(places []place, self mesh.NodeID, away map[mesh.NodeID]time.Duration) []*set {
	type whose struct {
		node  mesh.NodeID
		other place
	}
	best := unknown
	groups := map[whose][]place{}
	var order []whose
	far := func(p place) time.Duration {
		if p.node == "" {
			return unknown
		}
		if p.node == self {
			return -1
		}
		if d, ok := away[p.node]; ok {
			return max(d, 0)
		}
		return unknown - 1
	}
	for _, p := range places {
		d := far(p)
		if d > best {
			continue
		}
		if d < best {
			best, order = d, nil
			clear(groups)
		}
		w := whose{node: p.node}
		if p.node == "" {
			w.other = place{addr: p.addr, host: p.host}
		}
		if groups[w] == nil {
			order = append(order, w)
		}
		groups[w] = append(groups[w], p)
	}
	sets := make([]*set, 0, len(order))
	for _, w := range order {
		s := setOf(groups[w])
		sets = append(sets, &s)
	}
	return sets
}

// nothing is what a name has that only exists.
var nothing = &set{}

// find is what a name of the zone has, and whether there is such a name.
func (t *Table) find(rel string, r *rand.Rand) (*set, bool) {
	e := t.names[rel]
	if e != nil && !e.bare() {
		return &e.set, true
	}
	if rest, ok := strings.CutPrefix(rel, nearestPrefix); ok {
		if of := t.names[rest]; of != nil && of.service && !strings.HasPrefix(rest, "_") {
			if near := t.near[rest]; len(near) > 0 {
				return near[r.IntN(len(near))], true
			}
			return nothing, true
		}
	}
	if e != nil {
		return nothing, true
	}
	if addr, ok := spelled(rel); ok {
		s := setOf([]place{{addr: addr}})
		return &s, true
	}
	return nil, false
}

// bare says whether a name has only others below it.
func (e *entry) bare() bool { return !e.service && e.empty() }

// soa is the record on a zone.
func (t *Table) soa(name string, ttl time.Duration) *dns.SOA {
	h := header(name, dns.TypeSOA)
	h.Ttl = seconds(ttl)
	return &dns.SOA{
		Hdr: h, Ns: t.self, Mbox: "hostmaster." + Zone, Serial: t.serial,
		Refresh: seconds(time.Hour), Retry: seconds(10 * time.Minute), Expire: seconds(24 * time.Hour),
		Minttl: seconds(TTLNegative),
	}
}

// builder makes a table.
type builder struct {
	v       *mesh.View
	names   map[string]*entry
	targets map[mesh.NodeID]string // the name of each node
}

// claim is the entry of a name that nobody has, if so.
func (b *builder) claim(name string) (e *entry, ok bool) {
	name = strings.ToLower(name)
	if b.names[name] != nil || !sayable(name) {
		return nil, false
	}
	e = &entry{}
	b.names[name] = e
	return e, true
}

// sayable says whether a name can be asked for: names of ours may end with dots, or have two in a row.
func sayable(rel string) bool {
	_, ok := dns.IsDomainName(rel + "." + Zone)
	return ok
}

// nodes notes the nodes, by id, and by name: what several are called stands for all of them, and none of
// them is told others by it.
func (b *builder) nodes() {
	called := map[string][]*mesh.NodeView{}
	for i := range b.v.Nodes {
		n := &b.v.Nodes[i]
		if n.Evicted || !mesh.ValidName(string(n.ID)) {
			continue
		}
		if e, ok := b.claim(string(n.ID) + nodeSuffix); ok {
			e.set = setOf(placesOf(n))
			b.targets[n.ID] = string(n.ID) + nodeSuffix + "." + Zone
		}
		if mesh.ValidName(n.Name) {
			name := strings.ToLower(n.Name)
			called[name] = append(called[name], n)
		}
	}
	for name, nodes := range called {
		e, ok := b.claim(name + nodeSuffix)
		if !ok {
			continue
		}
		var places []place
		for _, n := range nodes {
			places = append(places, placesOf(n)...)
		}
		e.set = setOf(places)
		if n := nodes[0]; len(nodes) == 1 && b.targets[n.ID] != "" {
			b.targets[n.ID] = n.Name + nodeSuffix + "." + Zone
		}
	}
}

// placesOf is where a node is, if that is known here.
func placesOf(n *mesh.NodeView) []place {
	at, err := netip.ParseAddrPort(n.Address)
	if addr, ok := usable(at.Addr()); err == nil && ok {
		return []place{{addr: addr}}
	}
	return nil
}

// usable is an address as records have it. One with a zone is of one machine only.
func usable(addr netip.Addr) (netip.Addr, bool) {
	addr = addr.Unmap()
	return addr, addr.IsValid() && !addr.IsUnspecified() && addr.Zone() == ""
}

// services notes what is offered. Of two readings of a name the one by the longer name of a service counts.
func (b *builder) services(all []health.Instance) {
	offers := map[string]map[string][]place{} // by name and tag, or "" for all, in lower case
	note := func(name string, tags []string, at ...place) {
		if !mesh.ValidName(name) {
			return
		}
		name = strings.ToLower(name)
		if offers[name] == nil {
			offers[name] = map[string][]place{}
		}
		offers[name][""] = append(offers[name][""], at...)
		for _, tag := range lower(tags) {
			if mesh.ValidName(tag) && tag != nearestTag {
				offers[name][tag] = append(offers[name][tag], at...)
			}
		}
	}
	for i := range b.v.Jobs {
		if j := &b.v.Jobs[i]; !j.Stopped { // its copies may be on their way
			for name, tags := range offered(&j.Job) {
				note(name, tags)
			}
		}
	}
	for i := range all {
		in := &all[i]
		p, ok := b.place(in)
		if ok && in.Hidden == "" {
			note(in.Service, in.Tags, p)
		} else {
			note(in.Service, in.Tags)
		}
	}
	names := make([]string, 0, len(offers))
	for name := range offers {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	for _, name := range names {
		b.offer(name+serviceSuffix, offers[name][""])
	}
	for _, name := range names {
		b.offer("_"+name+"._tcp"+serviceSuffix, offers[name][""])
		for tag, places := range offers[name] {
			if tag != "" {
				b.offer(tag+"."+name+serviceSuffix, places)
				b.offer("_"+name+"._"+tag+serviceSuffix, places)
			}
		}
	}
}

func (b *builder) offer(name string, places []place) {
	if e, ok := b.claim(name); ok {
		e.service, e.places, e.set = true, places, setOf(places)
	}
}

// lower are tags in lower case, each once.
func lower(tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, tag := range tags {
		if tag = strings.ToLower(tag); !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	return out
}

// offered are the names of the services of a job, each with its tags.
func offered(j *mesh.Job) func(func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		for i := range j.Services {
			if !yield(j.Services[i].Name, j.Services[i].Tags) {
				return
			}
		}
		for i := range j.Tasks {
			for k := range j.Tasks[i].Services {
				if s := &j.Tasks[i].Services[k]; !yield(s.Name, s.Tags) {
					return
				}
			}
		}
	}
}

// place is where an instance is, if that can be said.
func (b *builder) place(in *health.Instance) (place, bool) {
	p := place{node: in.Node, target: b.targets[in.Node]}
	if in.Port > 0 && in.Port <= 1<<16-1 {
		p.port = uint16(in.Port)
	}
	addr, err := netip.ParseAddr(in.Address)
	if !in.External {
		var ok bool
		p.addr, ok = usable(addr)
		return p, ok && err == nil && p.target != ""
	}
	p.node = ""
	if err == nil {
		var ok bool
		p.addr, ok = usable(addr)
		p.target = spell(p.addr)
		return p, ok
	}
	p.host = in.Address + "."
	p.target = p.host
	_, ok := dns.IsDomainName(p.host)
	return p, ok && mesh.ValidHost(in.Address)
}

// between adds the names that only have others below them.
func (b *builder) between() {
	have := make([]string, 0, len(b.names)+3)
	for name := range b.names {
		have = append(have, name)
	}
	have = append(have, "x"+serviceSuffix, "x._tcp"+serviceSuffix, "x"+nodeSuffix, "x"+addrSuffix)
	for _, name := range have {
		for _, above, ok := strings.Cut(name, "."); ok; _, above, ok = strings.Cut(above, ".") {
			if b.names[above] == nil {
				b.names[above] = &entry{}
			}
		}
	}
}

// spell is the name of an address.
func spell(addr netip.Addr) string {
	return hex.EncodeToString(addr.AsSlice()) + addrSuffix + "." + Zone
}

// spelled is the address that a name is, if it is one.
func spelled(rel string) (addr netip.Addr, ok bool) {
	text, ok := strings.CutSuffix(rel, addrSuffix)
	if !ok || len(text) != 2*4 && len(text) != 2*16 {
		return addr, false
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return addr, false
	}
	return netip.AddrFromSlice(b)
}
