// Package dns answers questions about services and nodes: every node of a mesh does, from what it
// knows itself, so that names resolve where a node is cut off from all others.
//
// The names are below [Zone]:
//
//	NAME.service.mn             the instances of a service that others may be sent to
//	TAG.NAME.service.mn         those with a tag
//	_NAME._tcp.service.mn       as RFC 2782 has it; also _NAME._TAG
//	nearest.NAME.service.mn     those on the nearest node that has some; also nearest.TAG.NAME
//	NODE.node.mn                a node, by name or id
//	HEX.addr.mn                 an address, for targets of SRV records that have no name
//
// A name is read from the right, by the longest name of a service that it ends with: names of
// services and tags may have dots in them. Upper and lower case are the same, also where two services
// or nodes differ in nothing else: whoever asks for one of them gets both. The tag "nearest" is not to
// be had.
//
// Each of service.mn, node.mn and addr.mn is a zone of its own: the rest of mn is a country's, and whoever
// forwards questions can do so for these three alone.
//
// What it does not do: it asks nobody else, and refuses what is outside of [Zone]. It signs nothing.
//
// [Reply] is a pure function from a packet and a [Table] to a packet; [Server] has the sockets. These
// hold for it:
//
//  1. Whatever comes, it does not panic, and what goes back is no longer than was asked for.
//  2. A name exists if one below it does: who is told that a name does not exist may take all below it
//     for nonexistent, too (RFC 8020).
//  3. The work for a packet does not grow with the number of services and instances.
package dns

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/miekg/dns"
)

// Zone is what all names end with.
const Zone = "mn."

// How long answers may be kept by whoever asked: an instance that fails is to be out of use soon.
const (
	TTL         = 2 * time.Second
	TTLNegative = time.Second // of answers that there is nothing
)

// Bounds of a reply.
const (
	answersMax  = 64   // records of one answer; which ones is a matter of chance if there are more
	aliasesMax  = 4    // names that stand for others, one after the other
	datagramMin = 512  // of UDP, for who does not say what it takes
	datagramMax = 1232 // of UDP, whoever asks for more: it is not cut into pieces on its way
	queryMax    = 4096 // of what comes; longer packets are not looked at
	headerBytes = 12
)

// Protocol is how a packet came.
type Protocol bool

// The protocols.
const (
	UDP Protocol = false
	TCP Protocol = true
)

// Reply answers a packet from what a table has, or not at all if the result is nil: what is no question
// might be an answer, and to answer those makes two servers talk for ever.
func Reply(t *Table, packet []byte, over Protocol, r *rand.Rand) []byte {
	if len(packet) < headerBytes || len(packet) > queryMax {
		return nil
	}
	bits := binary.BigEndian.Uint16(packet[2:])
	if response := bits>>15 == 1; response {
		return nil
	}
	if opcode := int(bits>>11) & 0xF; opcode != dns.OpcodeQuery {
		return bare(packet, dns.RcodeNotImplemented)
	}
	var q dns.Msg
	if !plausible(packet) || q.Unpack(packet) != nil || len(q.Question) != 1 {
		return bare(packet, dns.RcodeFormatError)
	}
	var opt *dns.OPT
	for _, rr := range q.Extra {
		if o, ok := rr.(*dns.OPT); ok && opt != nil {
			return bare(packet, dns.RcodeFormatError) // RFC 6891: not more than one
		} else if ok {
			opt = o
		}
	}
	reply := answer(t, &q, opt, r)
	size := dns.MaxMsgSize
	if over == UDP {
		size = datagramMin
		if opt != nil {
			size = min(max(int(opt.UDPSize()), datagramMin), datagramMax)
		}
	}
	fit(reply, size)
	out, err := reply.Pack()
	if err != nil || len(out) > size {
		return bare(packet, dns.RcodeServerFailure)
	}
	return out
}

// plausible says whether a question has as many records as questions have: one question, no answer, and
// little else. It is looked at before any of them is read.
func plausible(packet []byte) bool {
	count := func(at int) uint16 { return binary.BigEndian.Uint16(packet[at:]) }
	return count(4) == 1 && count(6) == 0 && count(8) <= 1 && count(10) <= 2
}

// bare is a reply without anything but a code.
func bare(packet []byte, code int) []byte {
	out := make([]byte, headerBytes)
	copy(out, packet[:4])
	const opcodeAndRD = 0x79
	out[2] = out[2]&opcodeAndRD | 0x80
	out[3] = byte(code)
	return out
}

// fit has a reply be no longer than that. It is said to be cut off only if something is missing that was
// asked for: what is additional can be asked for separately.
func fit(m *dns.Msg, size int) {
	answers, authority := len(m.Answer), len(m.Ns)
	m.Truncate(size)
	m.Truncated = len(m.Answer) < answers || len(m.Ns) < authority
}

// answer is the reply to a question that could be read.
func answer(t *Table, q *dns.Msg, opt *dns.OPT, r *rand.Rand) *dns.Msg {
	m := &dns.Msg{Question: q.Question}
	m.Id, m.Response, m.RecursionDesired = q.Id, true, q.RecursionDesired
	m.CheckingDisabled = q.CheckingDisabled
	if opt != nil {
		own := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		own.SetUDPSize(datagramMax)
		if opt.Do() {
			own.SetDo()
		}
		defer func() { m.Extra = append(m.Extra, own) }()
		if opt.Version() != 0 {
			m.Rcode = dns.RcodeBadVers
			return m
		}
	}
	asked := q.Question[0]
	rel, inside := relative(asked.Name)
	switch {
	case t == nil || t.self == "": // what is not known here yet may well exist
		m.Rcode = dns.RcodeServerFailure
		return m
	case !inside || asked.Qclass != dns.ClassINET || asked.Qtype == dns.TypeAXFR || asked.Qtype == dns.TypeIXFR:
		m.Rcode = dns.RcodeRefused
		return m
	}
	m.Authoritative = true
	a := answering{t: t, r: r, m: m, kind: asked.Qtype}
	a.about(asked.Name, rel)
	return m
}
