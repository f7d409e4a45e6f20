package wire

import (
	"encoding/binary"
	"math/rand/v2"
)

// address is an Ethernet address.
type address [6]byte

// group says whether an address is for many: broadcast and multicast.
func (a address) group() bool { return a[0]&1 != 0 }

// What is known of frames.
const (
	headerBytes = 14 // of Ethernet: to, from, kind
	udpBytes    = 8
	kindIPv4    = 0x0800
	protocolUDP = 17
)

// addresses are whom a frame is for and from. It is false for what is none.
func addresses(frame []byte) (to, from address, ok bool) {
	if len(frame) < headerBytes {
		return to, from, false
	}
	copy(to[:], frame)
	copy(from[:], frame[len(to):])
	return to, from, true
}

// spoil changes one byte of what a datagram carries, and takes its checksum
// away: the kernel would not let it pass otherwise, and nobody would see it. It
// is false for a frame that carries none, which it leaves as it is.
func spoil(frame []byte, rng *rand.Rand) bool {
	if len(frame) < headerBytes+1 || binary.BigEndian.Uint16(frame[headerBytes-2:]) != kindIPv4 {
		return false
	}
	packet := frame[headerBytes:]
	head := int(packet[0]&0x0f) * 4
	if len(packet) <= head+udpBytes || head < 20 || packet[9] != protocolUDP ||
		binary.BigEndian.Uint16(packet[6:])&0x3fff != 0 { // a fragment
		return false
	}
	datagram := packet[head:]
	datagram[6], datagram[7] = 0, 0 // no checksum
	datagram[udpBytes+rng.IntN(len(datagram)-udpBytes)] ^= byte(1 + rng.IntN(255))
	return true
}
