package membership

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/coordinate"

	"mn/mesh"
)

// How far away a node is follows from coordinates: every node has one, which its probes of others pull to
// where the distances fit what they took. So the way to a node is known though it was never probed from here
// over just that way, and to all nodes at about the cost of nothing: a coordinate is in each answer to a
// probe. The arithmetic is Serf's. The messages are ours, for Serf would put its own delegate in place of
// the doubter, and remembers without a bound.

// The layout of a coordinate in an answer: a version, then numbers of 4 bytes.
const (
	coordinateVersion = 1
	dimensions        = 8
	coordinateNumbers = dimensions + 3 // its error, adjustment and height
	coordinateBytes   = 1 + 4*coordinateNumbers
	// coordinateMax bounds each number, which are seconds but for the error: what is farther away is made up.
	coordinateMax = 60
)

// compass knows the coordinate of this node, and of those that it has probed.
type compass struct {
	client *coordinate.Client

	mu    sync.Mutex
	known map[mesh.NodeID]*coordinate.Coordinate
}

func newCompass() (*compass, error) {
	conf := coordinate.DefaultConfig()
	conf.Dimensionality = dimensions
	client, err := coordinate.NewClient(conf)
	if err != nil {
		return nil, fmt.Errorf("start measuring distances: %w", err)
	}
	return &compass{client: client, known: map[mesh.NodeID]*coordinate.Coordinate{}}, nil
}

// probed notes that a node has answered a probe after that long, and what it answered. What cannot be
// understood, as of an older release, which says nothing, is left out.
func (c *compass) probed(id mesh.NodeID, took time.Duration, answer []byte) {
	at, ok := decodeCoordinate(answer)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.known[id]; !known && len(c.known) >= maxMembers {
		return
	}
	if _, err := c.client.Update(string(id), at, took); err == nil { // else it took longer than a probe can
		c.known[id] = at
	}
}

// distance is how long a message to a node and its answer take, if that is known.
func (c *compass) distance(id mesh.NodeID) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.known[id]
	if !ok {
		return 0, false
	}
	return max(c.client.DistanceTo(at), 0), true
}

// encode is the coordinate of this node.
func (c *compass) encode() []byte {
	at := c.client.GetCoordinate()
	b := make([]byte, 0, coordinateBytes)
	b = append(b, coordinateVersion)
	for _, x := range append(at.Vec, at.Error, at.Adjustment, at.Height) {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(float32(x)))
	}
	return b
}

// decodeCoordinate reads a coordinate, and whatever a newer release may have put behind it.
func decodeCoordinate(b []byte) (*coordinate.Coordinate, bool) {
	if len(b) < coordinateBytes || b[0] != coordinateVersion {
		return nil, false
	}
	var numbers [coordinateNumbers]float64
	for i := range numbers {
		x := float64(math.Float32frombits(binary.BigEndian.Uint32(b[1+4*i:])))
		if !(math.Abs(x) <= coordinateMax) { // nor is it none
			return nil, false
		}
		numbers[i] = x
	}
	at := &coordinate.Coordinate{
		Vec: numbers[:dimensions:dimensions], Error: numbers[dimensions], Adjustment: numbers[dimensions+1],
		Height: numbers[dimensions+2],
	}
	return at, at.Error >= 0 && at.Height >= 0
}

// pings is who is told of answers to probes, and what ours have in them.
type pings struct {
	*doubter
	*compass
}

var _ memberlist.PingDelegate = pings{}

// AckPayload is for memberlist: our answers say where we are.
func (p pings) AckPayload() []byte { return p.encode() }

// NotifyPingComplete is for memberlist: the node has answered a probe.
func (p pings) NotifyPingComplete(n *memberlist.Node, took time.Duration, answer []byte) {
	id := mesh.NodeID(n.Name)
	p.answers(id)
	p.probed(id, took, answer)
}

// Distance is how long a message to a node and its answer take, as far as that is known: a hint, which
// gets better with time.
func (m *Membership) Distance(id mesh.NodeID) (time.Duration, bool) {
	if id == m.conf.Self {
		return 0, true
	}
	return m.compass.distance(id)
}
