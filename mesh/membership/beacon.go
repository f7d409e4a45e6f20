package membership

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"mn/mesh"
)

// A beacon says to the local network "this node is at this address". It is how
// nodes whose addresses have all changed find each other. It is sealed under
// the gossip keyring: others learn nothing from it and cannot make one. One
// that is replayed leads to a connection that fails, since nothing but the
// node's certificate opens one.

// Bounds of beacons.
const (
	maxBeacon   = 256 // bytes
	beaconForm  = 1
	beaconKey   = "mn: discovery beacon"
	firstBeacon = time.Second
	lastBeacon  = 30 * time.Second
)

var errBeacon = errors.New("open beacon: it is not one of this mesh")

// Discovery is the local network as beacons need it.
type Discovery interface {
	// Send says something to all on the network.
	Send(packet []byte) error
	// Receive waits for what someone says, this node included. It fails only
	// when the network is closed.
	Receive(buf []byte) (int, error)
	Close() error
}

type beaconCounts struct{ sent, heard, bad int64 }

// beacon is what a beacon says.
type beacon struct {
	Node    mesh.NodeID
	Address string
}

func beaconCipher(key []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, beaconKey, 32)
	if err != nil {
		return nil, fmt.Errorf("derive beacon key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("make beacon cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a beacon under the keyring's first key.
func (b beacon) seal(keyring [][]byte) ([]byte, error) {
	aead, err := beaconCipher(keyring[0])
	if err != nil {
		return nil, err
	}
	plain := []byte{beaconForm, byte(len(b.Node))}
	plain = append(plain, b.Node...)
	plain = append(plain, b.Address...)
	return aead.Seal(nil, nil, plain, nil), nil
}

// openBeacon decrypts a beacon that was sealed under any key of the keyring.
func openBeacon(packet []byte, keyring [][]byte) (beacon, error) {
	if len(packet) > maxBeacon {
		return beacon{}, errBeacon
	}
	for _, key := range keyring {
		aead, err := beaconCipher(key)
		if err != nil {
			return beacon{}, err
		}
		if plain, err := aead.Open(nil, nil, packet, nil); err == nil {
			return parseBeacon(plain)
		}
	}
	return beacon{}, errBeacon
}

func parseBeacon(plain []byte) (beacon, error) {
	if len(plain) < 2 || plain[0] != beaconForm || len(plain) < 2+int(plain[1]) {
		return beacon{}, errBeacon
	}
	rest := plain[2:]
	b := beacon{Node: mesh.NodeID(rest[:plain[1]]), Address: string(rest[plain[1]:])}
	if _, err := netip.ParseAddrPort(b.Address); err != nil || b.Node == "" {
		return beacon{}, errBeacon
	}
	return b, nil
}

// listenBeacons gives what the network says to the rejoiner.
func (m *Membership) listenBeacons() {
	buf := make([]byte, maxBeacon+1)
	for {
		n, err := m.conf.Discovery.Receive(buf)
		if err != nil {
			return
		}
		b, err := openBeacon(buf[:n], m.conf.Keyring)
		m.mu.Lock()
		switch {
		case err != nil:
			m.beacons.bad++
		case b.Node != m.conf.Self:
			m.beacons.heard++
		}
		m.mu.Unlock()
		if err == nil && b.Node != m.conf.Self && m.conf.Admitted(b.Node) {
			m.rejoin.heard(b.Node, b.Address)
		}
	}
}

// sendBeacons says where we are, once at the start and then for as long as a
// peer is missing, less and less often.
func (m *Membership) sendBeacons() {
	wait := firstBeacon
	for first := true; ; first = false {
		if first || m.rejoin.missing() {
			m.sendBeacon()
		} else {
			wait = firstBeacon
		}
		timer := time.NewTimer(wait*3/4 + rand.N(wait/2))
		select {
		case <-timer.C:
			wait = min(2*wait, lastBeacon)
		case <-m.ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (m *Membership) sendBeacon() {
	packet, err := beacon{m.conf.Self, m.vitals.wanted().Address}.seal(m.conf.Keyring)
	if err == nil {
		err = m.conf.Discovery.Send(packet)
	}
	if err != nil {
		m.conf.Log.Debug("beacon not sent", "why", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.beacons.sent++
}
