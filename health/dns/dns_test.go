package dns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mn/health"
	"mn/mesh"
)

// world is what the tests ask about.
func world() (*mesh.View, []health.Instance) {
	node := func(id mesh.NodeID, name, addr string) mesh.NodeView {
		return mesh.NodeView{Node: mesh.Node{ID: id, Name: name, Address: addr}, Known: true, Liveness: mesh.Alive}
	}
	evicted := node("idevicted", "gone", "10.0.0.66:7700")
	evicted.Evicted = true
	v := &mesh.View{
		Now: time.Unix(1000, 0), Self: "ida",
		Nodes: []mesh.NodeView{
			node("ida", "box-a", "10.0.0.1:7700"), node("idb", "Box_B.lan", "10.0.0.2:7700"),
			node("idc", "c", "[fd00::3]:7700"), node("idd", "twin", "10.0.0.4:7700"), node("ide", "TWIN", "10.0.0.5:7700"),
			evicted, node("idn", "new", ""), node("idodd", "odd..", "10.0.0.7:7700"),
		},
		Jobs: []mesh.JobView{
			job(false, mesh.ServiceDef{Name: "soon", Tags: []string{"v1"}}),
			job(true, mesh.ServiceDef{Name: "stopped"}),
		},
	}
	on := func(name string, node mesh.NodeID, port int, tags ...string) health.Instance {
		n := v.Nodes[slices.IndexFunc(v.Nodes, func(n mesh.NodeView) bool { return n.ID == node })]
		host, _, _ := strings.Cut(n.Address, ":")
		if strings.HasPrefix(n.Address, "[") {
			host, _, _ = strings.Cut(n.Address[1:], "]")
		}
		return health.Instance{Service: name, Node: node, Address: host, Port: port, Tags: tags}
	}
	at := func(name, addr string, port int) health.Instance {
		return health.Instance{Service: name, Node: "ida", Address: addr, Port: port, External: true}
	}
	down := on("web", "idc", 81, "blue")
	down.Hidden = "critical"
	sick := on("sick", "ida", 5, "blue")
	sick.Hidden = "critical"
	return v, []health.Instance{
		on("web", "ida", 8080, "v1", "Blue"), on("web", "idb", 8081, "v1"), on("web", "idb", 8082), down, sick,
		on("db", "idc", 5432), on("My_App.v2", "idd", 1), on("My_App.v2", "ide", 2), on("noport", "ida", 0),
		on("a.b", "ida", 10), on("b", "idb", 20, "a", "a.x", "nearest"), on("x.b", "ida", 31, "a"),
		on("odd", "idodd", 7),
		on("strange.", "ida", 1), on("no..way", "ida", 1),
		at("api", "api.example.com", 443), at("ip", "192.0.2.7", 80), at("ip", "2001:db8::7", 80),
		at("mixed", "api.example.com", 443), at("mixed", "192.0.2.8", 444),
		at("inner", "web.service.mn", 99), at("loop", "loop.service.mn", 9), at("lost", "nobody.node.mn", 9),
		at("deep", "inner.service.mn", 98),
	}
}

func job(stopped bool, s mesh.ServiceDef) mesh.JobView {
	var j mesh.JobView
	j.Job.Tasks = []mesh.Task{{Services: []mesh.ServiceDef{s}}}
	j.Stopped = stopped
	return j
}

func testTable() *Table {
	v, all := world()
	return New(v, all, map[mesh.NodeID]time.Duration{"idb": 20 * time.Millisecond, "idc": 3 * time.Millisecond})
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// question is a packet.
func question(t testing.TB, name string, kind uint16, change ...func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	for _, f := range change {
		f(m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// ask is the reply to a question.
func ask(t testing.TB, table *Table, over Protocol, packet []byte) *dns.Msg {
	t.Helper()
	out := Reply(table, packet, over, testRand())
	if out == nil {
		return nil
	}
	var m dns.Msg
	if err := m.Unpack(out); err != nil {
		t.Fatalf("the reply cannot be read: %v", err)
	}
	return &m
}

// text is a reply on a few lines: answers are in random order, and are sorted here.
func text(m *dns.Msg) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	for _, part := range []struct {
		mark string
		list []dns.RR
	}{{"", m.Answer}, {"authority: ", m.Ns}, {"also: ", m.Extra}} {
		var lines []string
		for _, rr := range part.list {
			lines = append(lines, "\n"+part.mark+strings.ReplaceAll(rr.String(), "\t", " "))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

const (
	soa   = "ZONE 1 IN SOA box-a.node.mn. hostmaster.mn. 1000 3600 600 86400 1"
	none  = "NOERROR\nauthority: " + soa
	never = "NXDOMAIN\nauthority: " + soa
)

func TestAnswers(t *testing.T) {
	table := testTable()
	for _, c := range []struct{ name, kind, want string }{
		// Services.
		{"web.service.mn.", "A", "NOERROR\nweb.service.mn. 2 IN A 10.0.0.1\nweb.service.mn. 2 IN A 10.0.0.2"},
		{"web.service.mn.", "AAAA", none},
		{"db.service.mn.", "AAAA", "NOERROR\ndb.service.mn. 2 IN AAAA fd00::3"},
		{"db.service.mn.", "A", none},
		{"WEB.Service.Mn.", "A", "NOERROR\nWEB.Service.Mn. 2 IN A 10.0.0.1\nWEB.Service.Mn. 2 IN A 10.0.0.2"},
		{"web.service.mn.", "SRV", `NOERROR
web.service.mn. 2 IN SRV 1 1 8080 box-a.node.mn.
web.service.mn. 2 IN SRV 1 1 8081 Box_B.lan.node.mn.
web.service.mn. 2 IN SRV 1 1 8082 Box_B.lan.node.mn.
also: Box_B.lan.node.mn. 2 IN A 10.0.0.2
also: box-a.node.mn. 2 IN A 10.0.0.1`},
		{"db.service.mn.", "SRV", "NOERROR\ndb.service.mn. 2 IN SRV 1 1 5432 c.node.mn.\nalso: c.node.mn. 2 IN AAAA fd00::3"},
		{"my_app.v2.service.mn.", "SRV", `NOERROR
my_app.v2.service.mn. 2 IN SRV 1 1 1 idd.node.mn.
my_app.v2.service.mn. 2 IN SRV 1 1 2 ide.node.mn.
also: idd.node.mn. 2 IN A 10.0.0.4
also: ide.node.mn. 2 IN A 10.0.0.5`},
		{"noport.service.mn.", "A", "NOERROR\nnoport.service.mn. 2 IN A 10.0.0.1"},
		{"noport.service.mn.", "SRV", none},
		{"odd.service.mn.", "SRV", "NOERROR\nodd.service.mn. 2 IN SRV 1 1 7 idodd.node.mn.\nalso: idodd.node.mn. 2 IN A 10.0.0.7"},
		{"web.service.mn.", "TXT", none},
		{"web.service.mn.", "HTTPS", none},
		{"sick.service.mn.", "A", none},
		{"soon.service.mn.", "A", none},
		{"v1.soon.service.mn.", "SRV", none},
		{"stopped.service.mn.", "A", never},
		{"nosuch.service.mn.", "A", never},
		{"nosuch.service.mn.", "SRV", never},
		{"strange.service.mn.", "A", never},

		// Tags.
		{"blue.web.service.mn.", "A", "NOERROR\nblue.web.service.mn. 2 IN A 10.0.0.1"},
		{"BLUE.web.service.mn.", "SRV", "NOERROR\nBLUE.web.service.mn. 2 IN SRV 1 1 8080 box-a.node.mn.\nalso: box-a.node.mn. 2 IN A 10.0.0.1"},
		{"green.web.service.mn.", "A", never},
		{"blue.sick.service.mn.", "A", none},
		{"a.b.service.mn.", "SRV", "NOERROR\na.b.service.mn. 2 IN SRV 1 1 10 box-a.node.mn.\nalso: box-a.node.mn. 2 IN A 10.0.0.1"},
		{"a.x.b.service.mn.", "SRV", "NOERROR\na.x.b.service.mn. 2 IN SRV 1 1 31 box-a.node.mn.\nalso: box-a.node.mn. 2 IN A 10.0.0.1"},
		{"_b._a.service.mn.", "SRV", "NOERROR\n_b._a.service.mn. 2 IN SRV 1 1 20 Box_B.lan.node.mn.\nalso: Box_B.lan.node.mn. 2 IN A 10.0.0.2"},
		{"x.blue.web.service.mn.", "A", never},

		// As RFC 2782 has it.
		{"_db._tcp.service.mn.", "SRV", "NOERROR\n_db._tcp.service.mn. 2 IN SRV 1 1 5432 c.node.mn.\nalso: c.node.mn. 2 IN AAAA fd00::3"},
		{"_My_App.v2._TCP.service.mn.", "A", "NOERROR\n_My_App.v2._TCP.service.mn. 2 IN A 10.0.0.4\n_My_App.v2._TCP.service.mn. 2 IN A 10.0.0.5"},
		{"_nosuch._tcp.service.mn.", "SRV", never},
		{"_db._udp.service.mn.", "SRV", never},

		// What has only others below it.
		{"service.mn.", "A", none},
		{"_tcp.service.mn.", "NS", none},
		{"v2.service.mn.", "A", none},
		{"node.mn.", "A", none},
		{"lan.node.mn.", "A", none},
		{"addr.mn.", "A", none},

		// The nearest.
		{"nearest.web.service.mn.", "A", "NOERROR\nnearest.web.service.mn. 2 IN A 10.0.0.1"},
		{"nearest.v1.web.service.mn.", "A", "NOERROR\nnearest.v1.web.service.mn. 2 IN A 10.0.0.1"},
		{"nearest.b.service.mn.", "A", "NOERROR\nnearest.b.service.mn. 2 IN A 10.0.0.2"},
		{"nearest.sick.service.mn.", "A", none},
		{"nearest.nosuch.service.mn.", "A", never},
		{"nearest.service.mn.", "A", never},
		{"nearest._web._tcp.service.mn.", "A", never},

		// Nodes.
		{"box-a.node.mn.", "A", "NOERROR\nbox-a.node.mn. 2 IN A 10.0.0.1"},
		{"BOX_b.LAN.node.mn.", "A", "NOERROR\nBOX_b.LAN.node.mn. 2 IN A 10.0.0.2"},
		{"idb.node.mn.", "A", "NOERROR\nidb.node.mn. 2 IN A 10.0.0.2"},
		{"c.node.mn.", "AAAA", "NOERROR\nc.node.mn. 2 IN AAAA fd00::3"},
		{"c.node.mn.", "A", none},
		{"twin.node.mn.", "A", "NOERROR\ntwin.node.mn. 2 IN A 10.0.0.4\ntwin.node.mn. 2 IN A 10.0.0.5"},
		{"new.node.mn.", "A", none},
		{"gone.node.mn.", "A", never},
		{"nosuch.node.mn.", "AAAA", never},

		// Services that the mesh does not run.
		{"api.service.mn.", "A", "NOERROR\napi.service.mn. 2 IN CNAME api.example.com."},
		{"api.service.mn.", "HTTPS", "NOERROR\napi.service.mn. 2 IN CNAME api.example.com."},
		{"api.service.mn.", "CNAME", "NOERROR\napi.service.mn. 2 IN CNAME api.example.com."},
		{"api.service.mn.", "SRV", "NOERROR\napi.service.mn. 2 IN SRV 1 1 443 api.example.com."},
		{"web.service.mn.", "CNAME", none},
		{"ip.service.mn.", "A", "NOERROR\nip.service.mn. 2 IN A 192.0.2.7"},
		{"ip.service.mn.", "SRV", `NOERROR
ip.service.mn. 2 IN SRV 1 1 80 20010db8000000000000000000000007.addr.mn.
ip.service.mn. 2 IN SRV 1 1 80 c0000207.addr.mn.
also: 20010db8000000000000000000000007.addr.mn. 2 IN AAAA 2001:db8::7
also: c0000207.addr.mn. 2 IN A 192.0.2.7`},
		{"C0000207.addr.mn.", "A", "NOERROR\nC0000207.addr.mn. 2 IN A 192.0.2.7"},
		{"c0000207.addr.mn.", "AAAA", none},
		{"20010db8000000000000000000000007.addr.mn.", "AAAA", "NOERROR\n20010db8000000000000000000000007.addr.mn. 2 IN AAAA 2001:db8::7"},
		{"c00002.addr.mn.", "A", never},
		{"x0000207.addr.mn.", "A", never},
		{"mixed.service.mn.", "A", "NOERROR\nmixed.service.mn. 2 IN A 192.0.2.8"},
		{"mixed.service.mn.", "SRV", `NOERROR
mixed.service.mn. 2 IN SRV 1 1 443 api.example.com.
mixed.service.mn. 2 IN SRV 1 1 444 c0000208.addr.mn.
also: c0000208.addr.mn. 2 IN A 192.0.2.8`},
		{"nearest.api.service.mn.", "A", "NOERROR\nnearest.api.service.mn. 2 IN CNAME api.example.com."},
		{"inner.service.mn.", "A", `NOERROR
inner.service.mn. 2 IN CNAME web.service.mn.
web.service.mn. 2 IN A 10.0.0.1
web.service.mn. 2 IN A 10.0.0.2`},
		{"deep.service.mn.", "AAAA", "NOERROR\ndeep.service.mn. 2 IN CNAME inner.service.mn.\n" +
			"inner.service.mn. 2 IN CNAME web.service.mn.\nauthority: " + soa},
		{"lost.service.mn.", "A", "NXDOMAIN\nlost.service.mn. 2 IN CNAME nobody.node.mn.\nauthority: " +
			strings.Replace(soa, "ZONE", "node.mn.", 1)},
		{"loop.service.mn.", "A", "NOERROR" + strings.Repeat("\nloop.service.mn. 2 IN CNAME loop.service.mn.", aliasesMax)},

		// The zone itself.
		{"mn.", "SOA", "NOERROR\n" + strings.Replace(soa, " 1 ", " 2 ", 1)},
		{"MN.", "NS", "NOERROR\nMN. 2 IN NS box-a.node.mn.\nalso: box-a.node.mn. 2 IN A 10.0.0.1"},
		{"mn.", "A", none},
		{"mn.", "ANY", "NOERROR\nmn. 2 IN HINFO \"RFC8482\" \"\""},
		{"web.service.mn.", "ANY", "NOERROR\nweb.service.mn. 2 IN HINFO \"RFC8482\" \"\""},
		{"api.service.mn.", "ANY", "NOERROR\napi.service.mn. 2 IN HINFO \"RFC8482\" \"\""},
		{"soon.service.mn.", "ANY", none},
		{"nosuch.service.mn.", "ANY", never},
		{"foo.mn.", "A", strings.Replace(never, "ZONE", "mn.", 1)},
		{"x.foo.mn.", "A", strings.Replace(never, "ZONE", "mn.", 1)},
		{"node.mn.", "SOA", "NOERROR\n" + strings.Replace(soa, " 1 ", " 2 ", 1)},
		{"service.mn.", "NS", "NOERROR\nservice.mn. 2 IN NS box-a.node.mn.\nalso: box-a.node.mn. 2 IN A 10.0.0.1"},

		// Odd names.
		{`a\.b.service.mn.`, "A", never},
		{`\000.service.mn.`, "A", never},
		{strings.Repeat("a.", 120) + "service.mn.", "A", never},

		// What others are asked for.
		{".", "NS", "REFUSED"},
		{"example.com.", "A", "REFUSED"},
		{"xmn.", "A", "REFUSED"},
		{"web.service.consul.", "A", "REFUSED"},
		{"mn.", "AXFR", "REFUSED"},
		{"web.service.mn.", "IXFR", "REFUSED"},
	} {
		m := ask(t, table, UDP, question(t, c.name, dns.StringToType[c.kind]))
		labels := dns.SplitDomainName(c.name)
		zone := strings.Join(labels[max(len(labels)-2, 0):], ".") + "."
		want := strings.ReplaceAll(c.want, "ZONE", zone)
		if got := text(m); got != want {
			t.Errorf("%s %s: got\n%s\nwant\n%s", c.name, c.kind, got, want)
		}
		if refused := m.Rcode == dns.RcodeRefused; m.Authoritative == refused || !m.Response || m.RecursionAvailable ||
			!m.RecursionDesired || m.Truncated {
			t.Errorf("%s %s: header %+v", c.name, c.kind, m.MsgHdr)
		}
		if len(m.Question) != 1 || m.Question[0].Name != c.name {
			t.Errorf("%s %s: it repeats the question as %v", c.name, c.kind, m.Question)
		}
	}
}

func TestWhatIsNoQuestionForUs(t *testing.T) {
	table := testTable()
	set := func(f func(m *dns.Msg)) []byte { return question(t, "web.service.mn.", dns.TypeA, f) }
	twice := set(func(m *dns.Msg) { m.SetEdns0(1000, false); m.Extra = append(m.Extra, m.Extra[0]) })
	cut := set(func(*dns.Msg) {})
	for _, c := range []struct {
		name   string
		packet []byte
		want   string // "" for no reply
	}{
		{"nothing", nil, ""},
		{"half a header", cut[:6], ""},
		{"more than anybody asks", make([]byte, queryMax+1), ""},
		{"an answer", set(func(m *dns.Msg) { m.Response = true }), ""},
		{"a question cut off", cut[:20], "FORMERR"},
		{"a header", append(slices.Clone(cut[:4]), make([]byte, 8)...), "FORMERR"},
		{"two questions", set(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), "FORMERR"},
		{"an answer in it", set(func(m *dns.Msg) { m.Answer = []dns.RR{&dns.A{Hdr: header("a.", dns.TypeA)}} }), "FORMERR"},
		{"two of EDNS", twice, "FORMERR"},
		{"an update", set(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), "NOTIMP"},
		{"a notify", set(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), "NOTIMP"},
		{"another class", set(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), "REFUSED"},
		{"any class", set(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassANY }), "REFUSED"},
	} {
		m := ask(t, table, UDP, c.packet)
		if m == nil {
			if c.want != "" {
				t.Errorf("%s: no reply, want %s", c.name, c.want)
			}
			continue
		}
		if got := dns.RcodeToString[m.Rcode]; got != c.want {
			t.Errorf("%s: got %s, want %q", c.name, got, c.want)
		}
	}
	for name, table := range map[string]*Table{"no table": nil, "not in it": New(&mesh.View{Self: "ida"}, nil, nil)} {
		if m := ask(t, table, UDP, cut); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: got %s", name, text(m))
		}
	}
}

func TestEDNSIsAnsweredInKind(t *testing.T) {
	table := testTable()
	plain := ask(t, table, UDP, question(t, "web.service.mn.", dns.TypeA))
	if plain.IsEdns0() != nil {
		t.Errorf("who does not know EDNS gets it: %s", text(plain))
	}
	m := ask(t, table, UDP, question(t, "web.service.mn.", dns.TypeA, func(m *dns.Msg) { m.SetEdns0(4096, true) }))
	if opt := m.IsEdns0(); opt == nil || opt.UDPSize() != datagramMax || !opt.Do() || opt.Version() != 0 {
		t.Errorf("got %v", m.IsEdns0())
	}
	if len(m.Answer) != 2 || m.AuthenticatedData {
		t.Errorf("got %s", text(m))
	}
	m = ask(t, table, UDP, question(t, "web.service.mn.", dns.TypeA, func(m *dns.Msg) {
		m.SetEdns0(4096, false).IsEdns0().SetVersion(1)
	}))
	if m.Rcode != dns.RcodeBadVers || m.IsEdns0() == nil || len(m.Answer) != 0 {
		t.Errorf("of a version that is not there yet: got %s", text(m))
	}
}

// crowd is a table in which one service has many instances, each on a node of its own.
func crowd(n int) *Table {
	v := &mesh.View{Now: time.Unix(1000, 0), Self: "id000"}
	var all []health.Instance
	for i := range n {
		id := mesh.NodeID(fmt.Sprintf("id%03d", i))
		addr := fmt.Sprintf("10.1.%d.%d", i/200, i%200+1)
		v.Nodes = append(v.Nodes, mesh.NodeView{
			Node: mesh.Node{ID: id, Name: fmt.Sprintf("node-%03d", i), Address: addr + ":7700"}, Known: true,
		})
		all = append(all, health.Instance{Service: "web", Node: id, Address: addr, Port: 8000 + i})
	}
	return New(v, all, nil)
}

func TestLongAnswersAreCutOffAndWholeOverTCP(t *testing.T) {
	edns := func(size uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(size, false) } }
	for _, c := range []struct {
		name      string
		instances int
		kind      uint16
		over      Protocol
		change    []func(*dns.Msg)
		size      int
		truncated bool
		answers   int // -1: some
	}{
		{"few", 5, dns.TypeA, UDP, nil, 512, false, 5},
		{"few, and what is additional does not fit", 11, dns.TypeSRV, UDP, nil, 512, false, 11},
		{"many", 50, dns.TypeA, UDP, nil, 512, true, -1},
		{"many, with EDNS", 50, dns.TypeA, UDP, []func(*dns.Msg){edns(1232)}, 1232, false, 50},
		{"a size that is too small", 50, dns.TypeA, UDP, []func(*dns.Msg){edns(10)}, 512, true, -1},
		{"a size that is too large", 60, dns.TypeSRV, UDP, []func(*dns.Msg){edns(60000)}, datagramMax, true, -1},
		{"whole", 60, dns.TypeSRV, TCP, nil, 65535, false, 60},
		{"whole, with EDNS, whose size is that of UDP", 60, dns.TypeSRV, TCP, []func(*dns.Msg){edns(512)}, 65535, false, 60},
		{"more than anybody wants", 300, dns.TypeSRV, TCP, nil, 65535, false, answersMax},
	} {
		packet := question(t, "web.service.mn.", c.kind, c.change...)
		out := Reply(crowd(c.instances), packet, c.over, testRand())
		var m dns.Msg
		if err := m.Unpack(out); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if len(out) > c.size || m.Truncated != c.truncated {
			t.Errorf("%s: %d bytes, truncated %v", c.name, len(out), m.Truncated)
		}
		if c.answers < 0 && (len(m.Answer) == 0 || len(m.Answer) >= c.instances) || c.answers >= 0 && len(m.Answer) != c.answers {
			t.Errorf("%s: %d answers", c.name, len(m.Answer))
		}
		if (m.IsEdns0() != nil) != (len(c.change) > 0) {
			t.Errorf("%s: EDNS %v", c.name, m.IsEdns0())
		}
	}
}

func TestAnswersComeInRandomOrder(t *testing.T) {
	r := testRand()
	for _, n := range []int{4, answersMax + 50} {
		table, packet := crowd(n), question(t, "web.service.mn.", dns.TypeA)
		first := map[string]int{}
		const rounds = 3000
		for range rounds {
			var m dns.Msg
			if err := m.Unpack(Reply(table, packet, TCP, r)); err != nil {
				t.Fatal(err)
			}
			said := map[string]bool{}
			for _, rr := range m.Answer {
				said[rr.String()] = true
			}
			if len(said) != min(n, answersMax) {
				t.Fatalf("%d of %d answers differ", len(said), len(m.Answer))
			}
			first[m.Answer[0].String()]++
		}
		fair := rounds / n
		for addr, times := range first {
			if len(first) != n || times < fair/4 || times > 3*fair {
				t.Errorf("of %d, %d come first; %s %d times, want about %d", n, len(first), addr, times, fair)
			}
		}
	}
}
