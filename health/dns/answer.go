package dns

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// relative is a name of the zone without the zone, in lower case: "" for the zone itself.
func relative(name string) (rel string, inside bool) {
	name = dns.CanonicalName(name)
	if name == Zone {
		return "", true
	}
	return strings.CutSuffix(name, "."+Zone)
}

// answering is one question on its way to its answer.
type answering struct {
	t    *Table
	r    *rand.Rand
	m    *dns.Msg
	kind uint16
}

// about answers for a name, and for what it stands for as far as that is known here.
func (a *answering) about(name, rel string) {
	for range aliasesMax {
		said := len(a.m.Answer)
		alias := a.name(name, rel)
		if alias == "" && len(a.m.Answer) == said {
			a.m.Ns = append(a.m.Ns, a.t.soa(zoneOf(rel), TTLNegative))
		}
		if alias == "" {
			return
		}
		a.m.Answer = append(a.m.Answer, &dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: alias})
		var inside bool
		if rel, inside = relative(alias); !inside || a.kind == dns.TypeCNAME {
			return
		}
		name = alias
	}
}

// name answers for one name, or says what it is an alias of.
func (a *answering) name(name, rel string) (alias string) {
	if zoneOf(rel) == rel+"."+Zone || rel == "" {
		a.apex(name)
		return ""
	}
	found, exists := a.t.find(rel, a.r)
	if !exists {
		a.m.Rcode = dns.RcodeNameError
		return ""
	}
	if len(found.hosts) > 0 && len(found.v4)+len(found.v6) == 0 && a.kind != dns.TypeSRV && a.kind != dns.TypeANY {
		return found.hosts[a.r.IntN(len(found.hosts))]
	}
	a.set(name, found)
	return ""
}

// zoneOf is the zone that a name of ours is in.
func zoneOf(rel string) string {
	switch last := rel[strings.LastIndexByte(rel, '.')+1:]; "." + last {
	case serviceSuffix, nodeSuffix, addrSuffix:
		return last + "." + Zone
	}
	return Zone
}

// apex answers for a zone itself.
func (a *answering) apex(name string) {
	switch a.kind {
	case dns.TypeSOA:
		a.m.Answer = append(a.m.Answer, a.t.soa(name, TTL))
	case dns.TypeNS:
		a.m.Answer = append(a.m.Answer, &dns.NS{Hdr: header(name, dns.TypeNS), Ns: a.t.self})
		a.additional(a.t.self)
	case dns.TypeANY:
		a.any(name)
	}
}

// any is as little as may be said to somebody who wants to know all: RFC 8482.
func (a *answering) any(name string) {
	a.m.Answer = append(a.m.Answer, &dns.HINFO{Hdr: header(name, dns.TypeHINFO), Cpu: "RFC8482"})
}

// set answers with the records of a name that are of the kind that was asked for, if there are any.
func (a *answering) set(name string, s *set) {
	switch a.kind {
	case dns.TypeA:
		for addr := range pick(s.v4, a.r) {
			a.m.Answer = append(a.m.Answer, address(name, addr))
		}
	case dns.TypeAAAA:
		for addr := range pick(s.v6, a.r) {
			a.m.Answer = append(a.m.Answer, address(name, addr))
		}
	case dns.TypeSRV:
		said := map[string]bool{}
		for at := range pick(s.ports, a.r) {
			a.m.Answer = append(a.m.Answer, &dns.SRV{
				Hdr: header(name, dns.TypeSRV), Priority: 1, Weight: 1, Port: at.port, Target: at.target,
			})
			if !said[at.target] {
				said[at.target] = true
				a.additional(at.target)
			}
		}
	case dns.TypeANY:
		if !s.empty() {
			a.any(name)
		}
	}
}

// additional adds the addresses of a target, which would be asked for next.
func (a *answering) additional(target string) {
	rel, inside := relative(target)
	if !inside {
		return
	}
	found, exists := a.t.find(rel, a.r)
	if !exists {
		return
	}
	for addr := range pick(found.v4, a.r) {
		a.m.Extra = append(a.m.Extra, address(target, addr))
	}
	for addr := range pick(found.v6, a.r) {
		a.m.Extra = append(a.m.Extra, address(target, addr))
	}
}

// pick is up to answersMax of a list, in random order.
func pick[T any](list []T, r *rand.Rand) func(func(T) bool) {
	return func(yield func(T) bool) {
		if len(list) == 0 {
			return
		}
		n, from := min(len(list), answersMax), 0
		if n < len(list) {
			from = r.IntN(len(list))
		}
		var order [answersMax]int
		for i := range n { // each is put at a random place among those before it
			at := r.IntN(i + 1)
			order[i] = order[at]
			order[at] = (from + i) % len(list)
		}
		for _, i := range order[:n] {
			if !yield(list[i]) {
				return
			}
		}
	}
}

// address is the record of an address.
func address(name string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: header(name, dns.TypeA), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: addr.AsSlice()}
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: seconds(TTL)}
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }
