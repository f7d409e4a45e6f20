// Package membership says who is here: Serf's gossip among the nodes of a
// mesh, over the transport that it is given.
//
// What it says is a hint and nothing more: whoever holds the gossip key can
// say anything. No authority may rest on it. In return it is fast (a crash is
// known within seconds, with the profile "fast" within 0.6 s), and it finds its
// peers again by itself: Serf forgets, so the package keeps an address book of
// its own, asks the local network, and tries for as long as it runs.
//
// A [Membership] owns its goroutines (and those of Serf) and channels:
// [Membership.Close] returns when its own have ended.
package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"mn/mesh"
)

// Bounds of a membership.
const (
	serfQueue   = 512  // of Serf's events: Serf waits when it is full
	hintQueue   = 256  // hints that nobody has taken yet; then the newest is dropped
	maxHint     = 1100 // bytes of a hint: larger ones would not fit a packet and never gossip
	maxHintRaw  = 1200 // bytes of a hint as Serf encodes it
	maxMembers  = 4096
	packetBytes = 1200 // of gossip: fits any path that QUIC fits
)

// Config says what a membership needs to know.
type Config struct {
	Self      mesh.NodeID
	Vitals    Vitals // of this node, as it starts
	Transport memberlist.NodeAwareTransport
	Keyring   [][]byte // AES keys; the first encrypts
	Profile   Profile  // Lab if empty
	Book      *Book

	Seeds     []string               // ip:port of nodes to try when others fail
	Peers     func() []mesh.NodeID   // the admitted nodes; tried until they are here
	Admitted  func(mesh.NodeID) bool // false for a node that was evicted
	Discovery Discovery              // the local network; nil: not used. Close closes it.
	Log       *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Self == "" || c.Transport == nil || c.Book == nil:
		return errors.New("check membership: Self, Transport and Book are needed")
	case c.Peers == nil || c.Admitted == nil || c.Log == nil:
		return errors.New("check membership: Peers, Admitted and Log are needed")
	case len(c.Keyring) == 0:
		return errors.New("check membership: a gossip key is needed: packets have no other protection")
	}
	for _, s := range c.Seeds {
		if _, err := netip.ParseAddrPort(s); err != nil {
			return fmt.Errorf("check membership: seed %q: want ip:port", s)
		}
	}
	return c.Profile.Validate()
}

// Member is a node as gossip sees it.
type Member struct {
	Node    mesh.NodeID
	State   mesh.Liveness // Alive, Lost or Left
	Address string        // ip:port of its one UDP port
	Vitals  Vitals        // what it last said about itself
}

// Event says that a member's state, address or vitals have changed.
type Event struct{ Member }

// Hint is a few bytes that some node has said to all. Hints can be lost, come
// twice, and in any order.
type Hint struct {
	Name    string
	Payload []byte
}

// Membership is a running node of the gossip.
type Membership struct {
	conf    Config
	serf    *serf.Serf
	raw     chan serf.Event
	events  chan Event
	hints   chan Hint
	vitals  *announcer
	rejoin  *rejoiner
	doubter *doubter
	compass *compass

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu           sync.Mutex
	members      map[mesh.NodeID]Member
	hintsDropped int64
	doubted      int64
	beacons      beaconCounts
}

// Start joins the gossip. It does not wait for peers: they are looked for in
// the background, for as long as the membership runs.
func Start(conf Config) (*Membership, error) {
	if err := conf.validate(); err != nil {
		return nil, err
	}
	tag, err := conf.Vitals.encode()
	if err != nil {
		return nil, err
	}
	m := &Membership{
		conf:    conf,
		raw:     make(chan serf.Event, serfQueue),
		events:  make(chan Event),
		hints:   make(chan Hint, hintQueue),
		members: map[mesh.NodeID]Member{},
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.rejoin = newRejoiner(m)
	m.doubter = newDoubter(conf.Profile.timing())
	if m.compass, err = newCompass(); err != nil {
		m.stop()
		return nil, err
	}
	settings, err := m.settings(tag)
	if err != nil {
		return nil, err
	}
	if m.serf, err = serf.Create(settings); err != nil {
		m.stop()
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	m.vitals = newAnnouncer(m, conf.Vitals)
	m.wg.Go(m.watch)
	m.wg.Go(m.watchLag)
	m.wg.Go(m.vitals.run)
	m.wg.Go(m.rejoin.run)
	if conf.Discovery != nil {
		m.wg.Go(m.listenBeacons)
		m.wg.Go(m.sendBeacons)
	}
	return m, nil
}

// Events is the changes of members: the latest of each. It must be taken from.
func (m *Membership) Events() <-chan Event { return m.events }

// Hints is what nodes have broadcast, this one included.
func (m *Membership) Hints() <-chan Hint { return m.hints }

// Members is everyone that gossip has seen since the start, but this node, by id.
func (m *Membership) Members() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Member, 0, len(m.members))
	for _, member := range m.members {
		list = append(list, member)
	}
	slices.SortFunc(list, func(a, b Member) int {
		return strings.Compare(string(a.Node), string(b.Node))
	})
	return list
}

// Address is where a member is now, as gossip knows it, else as the book does.
func (m *Membership) Address(id mesh.NodeID) (string, bool) {
	member, ok := m.member(id)
	if ok && member.State == mesh.Alive {
		return member.Address, true
	}
	if known := m.conf.Book.Addresses(id); len(known) > 0 {
		return known[0], true
	}
	return member.Address, ok
}

func (m *Membership) member(id mesh.NodeID) (Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	member, ok := m.members[id]
	return member, ok
}

func (m *Membership) state(id mesh.NodeID) mesh.Liveness {
	if member, ok := m.member(id); ok {
		return member.State
	}
	return mesh.Unseen
}

// SetVitals makes known what this node says about itself. Changes that follow
// each other quickly go out as one.
func (m *Membership) SetVitals(v Vitals) error { return m.vitals.set(v) }

// Broadcast says a few bytes to all nodes. It is for hints ("fetch X"): larger
// payloads are refused, since they would not spread.
func (m *Membership) Broadcast(h Hint) error {
	if n := len(h.Name) + len(h.Payload); n > maxHint {
		return fmt.Errorf("broadcast %q: %d bytes are more than %d", h.Name, n, maxHint)
	}
	if err := m.serf.UserEvent(h.Name, h.Payload, false); err != nil {
		return fmt.Errorf("broadcast %q: %w", h.Name, err)
	}
	return nil
}

// Join tries addresses now, whoever is there. It fails if no member answers.
func (m *Membership) Join(addrs []string) error {
	if _, err := m.serf.Join(addrs, true); err != nil {
		return fmt.Errorf("join %s: %w", strings.Join(addrs, ", "), err)
	}
	return nil
}

// Leave says goodbye, so that nobody takes this node for lost. It takes about
// a second; Close follows.
func (m *Membership) Leave() error {
	if err := m.serf.Leave(); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// Close ends everything without a goodbye: to the others it looks like a crash.
func (m *Membership) Close() error {
	err := m.serf.Shutdown() // while its events are still taken
	m.stop()
	if m.conf.Discovery != nil {
		err = errors.Join(err, m.conf.Discovery.Close())
	}
	m.wg.Wait()
	return errors.Join(err, m.conf.Book.Flush())
}

// Stats counts what a membership has seen.
type Stats struct {
	Members      int   `json:"members"` // but this node
	Alive        int   `json:"alive"`
	HintsDropped int64 `json:"hints_dropped"`
	BeaconsSent  int64 `json:"beacons_sent"`
	BeaconsHeard int64 `json:"beacons_heard"`
	BeaconsBad   int64 `json:"beacons_bad"` // not sealed by this mesh
	Rejoins      int64 `json:"rejoins"`     // tries to reach a missing peer
	Doubted      int64 `json:"doubted"`     // losses that were not believed at once
	Health       int   `json:"health"`      // 0 is good; Serf's opinion of this node
}

// Stats is the counts so far.
func (m *Membership) Stats() Stats {
	tries := m.rejoin.count()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Stats{
		Members: len(m.members), HintsDropped: m.hintsDropped,
		BeaconsSent: m.beacons.sent, BeaconsHeard: m.beacons.heard, BeaconsBad: m.beacons.bad,
		Rejoins: tries, Doubted: m.doubted, Health: m.serf.Memberlist().GetHealthScore(),
	}
	for _, member := range m.members {
		if member.State == mesh.Alive {
			s.Alive++
		}
	}
	return s
}
