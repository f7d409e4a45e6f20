package membership

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"mn/mesh"
)

// settings is Serf's configuration: its names are our ids, it resolves no name
// conflicts, keeps no snapshot and forgets nobody by itself.
func (m *Membership) settings(tag string) (*serf.Config, error) {
	ring, err := memberlist.NewKeyring(m.conf.Keyring, m.conf.Keyring[0])
	if err != nil {
		return nil, fmt.Errorf("read gossip keyring: %w", err)
	}
	logger := newSerfLog(m.conf.Log)
	t := m.conf.Profile.timing()

	list := t.memberlist()
	list.Transport = m.conf.Transport
	list.Keyring = ring
	list.Logger = logger
	list.LogOutput = nil
	list.Alive = m
	list.Ping = pings{m.doubter, m.compass}
	list.EnableCompression = false
	list.UDPBufferSize = packetBytes
	list.RequireNodeNames = false // seeds have no name

	s := serf.DefaultConfig()
	s.NodeName = string(m.conf.Self)
	s.Tags = map[string]string{vitalsTag: tag}
	s.EventCh = m.raw
	s.Logger = logger
	s.LogOutput = nil
	s.MemberlistConfig = list
	s.EnableNameConflictResolution = false
	s.DisableCoordinates = true // distance.go keeps them
	s.UserEventSizeLimit = maxHintRaw
	s.ReconnectInterval = never // rejoin.go does it better
	s.ReconnectTimeout = t.memory
	s.TombstoneTimeout = t.memory
	s.LeavePropagateDelay = t.leaveDelay
	s.BroadcastTimeout = t.broadcastTimeout
	return s, nil
}

// NotifyAlive is for memberlist: it refuses evicted nodes, and keeps in mind
// where a node says that it is, even if memberlist does not believe it yet.
func (m *Membership) NotifyAlive(n *memberlist.Node) error {
	id := mesh.NodeID(n.Name)
	if id == m.conf.Self {
		return nil
	}
	if !m.conf.Admitted(id) {
		return fmt.Errorf("node %q is not admitted", id)
	}
	m.rejoin.claim(id, n.Address())
	return nil
}

// watch turns Serf's events into ours. Only the latest state of a node waits to
// be taken, so a slow taker costs a bounded amount of memory, and Serf never
// waits for it.
func (m *Membership) watch() {
	var waiting []mesh.NodeID
	inDoubt := doubts{}
	look := time.NewTimer(time.Hour)
	defer look.Stop()
	for {
		var out chan<- Event
		var next Event
		if len(waiting) > 0 {
			out, next = m.events, m.event(waiting[0])
		}
		var changed []mesh.NodeID
		select {
		case ev := <-m.raw:
			changed = m.take(ev, inDoubt)
		case <-look.C:
		case out <- next:
			waiting = waiting[1:]
		case <-m.ctx.Done():
			return
		}
		lost, again := inDoubt.settled(time.Now())
		look.Reset(again)
		for _, member := range lost {
			if id, ok := m.apply(member, serf.EventMemberFailed); ok {
				changed = append(changed, id)
			}
		}
		for _, id := range changed {
			if !slices.Contains(waiting, id) {
				waiting = append(waiting, id)
			}
		}
	}
}

func (m *Membership) event(id mesh.NodeID) Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Event{m.members[id]}
}

// take applies one of Serf's events and names the nodes that it changed. A loss
// that is doubted is left in doubts; anything newer about the node ends that.
func (m *Membership) take(ev serf.Event, inDoubt doubts) []mesh.NodeID {
	switch ev := ev.(type) {
	case serf.UserEvent:
		m.hint(Hint{Name: ev.Name, Payload: ev.Payload})
	case serf.MemberEvent:
		if ev.Type == serf.EventMemberReap {
			return nil // Serf's memory, not the node, has ended
		}
		var changed []mesh.NodeID
		for _, member := range ev.Members {
			delete(inDoubt, mesh.NodeID(member.Name))
			if m.doubts(member, ev.Type, inDoubt) {
				continue
			}
			if id, ok := m.apply(member, ev.Type); ok {
				changed = append(changed, id)
			}
		}
		return changed
	}
	return nil
}

// doubts puts a loss in doubt, if it is to be, and says whether it has.
func (m *Membership) doubts(member serf.Member, kind serf.EventType, inDoubt doubts) bool {
	id, now := mesh.NodeID(member.Name), time.Now()
	if kind != serf.EventMemberFailed {
		return false
	}
	wait := m.doubter.doubt(id, now)
	if wait == 0 {
		return false
	}
	inDoubt[id] = doubted{member, now.Add(wait)}
	m.mu.Lock()
	m.doubted++
	m.mu.Unlock()
	return true
}

func (m *Membership) hint(h Hint) {
	select {
	case m.hints <- h:
	default:
		m.mu.Lock()
		m.hintsDropped++
		m.mu.Unlock()
	}
}

func (m *Membership) apply(s serf.Member, kind serf.EventType) (mesh.NodeID, bool) {
	id := mesh.NodeID(s.Name)
	if id == m.conf.Self {
		return "", false
	}
	now := Member{Node: id, State: liveness(kind), Address: hostPort(s.Addr, s.Port)}
	v, err := decodeVitals(s.Tags[vitalsTag])
	if err != nil {
		m.conf.Log.Debug("vitals not understood", "peer", id, "why", err)
	}
	now.Vitals = v
	m.mu.Lock()
	was, known := m.members[id]
	if !known && len(m.members) >= maxMembers {
		m.mu.Unlock()
		return "", false
	}
	m.members[id] = now
	m.mu.Unlock()
	if now.State == mesh.Alive {
		m.conf.Book.Saw(id, now.Address)
	}
	if now.State != was.State {
		m.rejoin.changed(id, now.State)
	}
	return id, now != was
}

func liveness(kind serf.EventType) mesh.Liveness {
	switch kind {
	case serf.EventMemberFailed:
		return mesh.Lost
	case serf.EventMemberLeave:
		return mesh.Left
	}
	return mesh.Alive
}

func hostPort(ip net.IP, port uint16) string {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port).String()
}
