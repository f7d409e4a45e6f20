package dns

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzReply: whatever comes, what goes back can be read, is as long as it may be, and is about what came.
func FuzzReply(f *testing.F) {
	table := testTable()
	for _, name := range []string{
		"web.service.mn.", "nearest.web.service.mn.", "loop.service.mn.", "mn.", "c0000207.addr.mn.", "_db._tcp.service.mn.",
		`\000\.\255.mn.`, "idb.node.mn.", strings.Repeat("a.", 120) + "service.mn.",
	} {
		for _, kind := range []uint16{dns.TypeA, dns.TypeSRV, dns.TypeANY, dns.TypeOPT} {
			f.Add(question(f, name, kind), false)
			f.Add(question(f, name, kind, func(m *dns.Msg) { m.SetEdns0(700, true) }), true)
		}
	}
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), false) // it points to itself
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		out := Reply(table, packet, Protocol(tcp), testRand())
		if out == nil {
			return
		}
		if !tcp && len(out) > datagramMax {
			t.Errorf("%d bytes", len(out))
		}
		var m dns.Msg
		if err := m.Unpack(out); err != nil {
			t.Fatalf("the reply cannot be read: %v", err)
		}
		if !m.Response || m.Id != uint16(packet[0])<<8|uint16(packet[1]) {
			t.Errorf("it is no reply to that: %v", m.MsgHdr)
		}
		if m.Rcode == dns.RcodeServerFailure {
			t.Errorf("no reply could be made to % x", packet)
		}
	})
}

func BenchmarkReply(b *testing.B) {
	table := crowd(20)
	for _, c := range []struct {
		name string
		kind uint16
	}{
		{"web.service.mn.", dns.TypeA},
		{"web.service.mn.", dns.TypeSRV},
		{"nearest.web.service.mn.", dns.TypeA},
		{"nosuch.service.mn.", dns.TypeA},
	} {
		b.Run(c.name+dns.TypeToString[c.kind], func(b *testing.B) {
			packet, r := question(b, c.name, c.kind, func(m *dns.Msg) { m.SetEdns0(1232, false) }), testRand()
			b.ReportAllocs()
			for b.Loop() {
				if Reply(table, packet, UDP, r) == nil {
					b.Fatal("no reply")
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	v, all := world()
	for range 100 {
		more := slices.Clone(all[:4])
		all = append(all, more...)
	}
	for b.Loop() {
		New(v, all, nil)
	}
}
