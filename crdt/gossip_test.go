package crdt

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mesh is some copies with a network between them that loses, delays, reorders
// and repeats what it likes. Each copy keeps a disk, and says nothing before
// what it says is on it.
type mesh struct {
	nodes   []*meshNode
	wire    []message
	wall    time.Time
	written []Entry // everything that any node ever wrote
}

type meshNode struct {
	*Replica
	kept    Kept
	ahead   time.Duration // how far its wall clock is
	reports map[int]Seen  // what the others said last that they have
}

type message struct {
	from, to int
	body     any // Request, Answer or []Entry
}

func newMesh(t *rapid.T, ahead time.Duration) *mesh {
	m := &mesh{wall: noon}
	for i := range rapid.IntRange(2, 4).Draw(t, "nodes") {
		// Clocks are a little off, as clocks are.
		m.nodes = append(m.nodes, &meshNode{ahead: time.Duration(i) * 10 * time.Second})
		m.start(i)
	}
	m.nodes[0].ahead += ahead
	return m
}

func (m *mesh) start(i int) {
	n := m.nodes[i]
	n.kept.Life++
	r, err := NewReplica(fmt.Sprintf("n%d", i), n.kept)
	if err != nil {
		panic(err)
	}
	n.Replica, n.reports = r, map[int]Seen{}
}

// send keeps, then sends.
func (m *mesh) send(from, to int, body any) {
	m.nodes[from].kept.Apply(m.nodes[from].Flush())
	m.wire = append(m.wire, message{from, to, body})
}

func (m *mesh) wrote(t *rapid.T, i int, e Entry) {
	m.written = append(m.written, e)
	for to := range m.nodes {
		if to != i && rapid.Bool().Draw(t, "push") {
			m.send(i, to, []Entry{e})
		}
	}
	m.nodes[i].kept.Apply(m.nodes[i].Flush())
}

func (m *mesh) deliver(msg message) {
	n := m.nodes[msg.to]
	switch body := msg.body.(type) {
	case Request:
		n.reports[msg.from] = body.Seen
		m.send(msg.to, msg.from, n.Answer(body))
	case Answer:
		_, next, push := n.Apply(body, m.wall.Add(n.ahead))
		n.reports[msg.from] = body.Seen
		if next != nil {
			m.send(msg.to, msg.from, *next)
		}
		if len(push) > 0 {
			m.send(msg.to, msg.from, push)
		}
	case []Entry:
		n.Merge(body, m.wall.Add(n.ahead))
	}
	n.kept.Apply(n.Flush())
}

// step is one thing that may happen.
func (m *mesh) step(t *rapid.T) {
	i := rapid.IntRange(0, len(m.nodes)-1).Draw(t, "node")
	j := (i + rapid.IntRange(1, len(m.nodes)-1).Draw(t, "peer")) % len(m.nodes)
	n := m.nodes[i]
	key := rapid.SampledFrom([]string{"k0", "k1", "k2", "k3"}).Draw(t, "key")
	fence := Fence{Ballot: rapid.Uint64Range(0, 1).Draw(t, "ballot")}
	switch rapid.IntRange(0, 11).Draw(t, "do") {
	case 0, 1:
		if m.forgotten(n, key, fence) {
			return
		}
		m.wrote(t, i, n.Put(key, []byte(key+fmt.Sprint(len(m.written))), fence, m.wall.Add(n.ahead)))
	case 2:
		if e, ok := n.Delete(key, fence, m.wall.Add(n.ahead)); ok {
			m.wrote(t, i, e)
		}
	case 3, 4:
		m.send(i, j, n.Request())
	case 5, 6, 7:
		if len(m.wire) > 0 {
			at := rapid.IntRange(0, len(m.wire)-1).Draw(t, "message")
			msg := m.wire[at]
			if !rapid.Bool().Draw(t, "again") {
				m.wire = append(m.wire[:at:at], m.wire[at+1:]...)
			}
			if rapid.IntRange(0, 4).Draw(t, "lost") > 0 {
				m.deliver(msg)
			}
		}
	case 8:
		m.start(i)
	case 9:
		m.wall = m.wall.Add(time.Duration(rapid.IntRange(0, 5400).Draw(t, "seconds")) * time.Second)
	case 10:
		m.collect(i)
	case 11:
		m.reset(i)
	}
}

// forgotten says whether a write would be below a tombstone that the node no
// longer has. It is a new write to those that have collected the tombstone, and
// a lost one to the others: nothing can be said of its end.
func (m *mesh) forgotten(n *meshNode, key string, fence Fence) bool {
	h, ok := fold(m.written)[key]
	return ok && h.Deleted && n.items[key] == nil &&
		(fence.Compare(h.Fence) < 0 || wallMillis(m.wall.Add(n.ahead)) <= h.Stamp.Wall)
}

// collect removes tombstones as a node does it: by what the others said last.
func (m *mesh) collect(i int) {
	n := m.nodes[i]
	have := []Seen{n.Seen()}
	for j := range m.nodes {
		if j == i {
			continue
		}
		if n.reports[j] == nil {
			return
		}
		have = append(have, n.reports[j])
	}
	n.Collect(Meet(have...))
	n.kept.Apply(n.Flush())
}

// reset empties a copy, if another one has all of it: nothing is to be lost here.
func (m *mesh) reset(i int) {
	for j, o := range m.nodes {
		if i != j && o.Seen().Covers(m.nodes[i].Seen()) {
			m.nodes[i].Reset()
			m.nodes[i].kept.Apply(m.nodes[i].Flush())
			return
		}
	}
}

// settle lets everybody talk to everybody, a day later.
func (m *mesh) settle(t *rapid.T) {
	m.wire = nil
	m.wall = m.wall.Add(24 * time.Hour)
	for range 3 {
		for i := range m.nodes {
			for j := range m.nodes {
				if i != j {
					m.send(i, j, m.nodes[i].Request())
				}
				for budget := 100; len(m.wire) > 0; budget-- {
					if budget == 0 {
						t.Fatalf("the session of %d with %d does not end", i, j)
					}
					msg := m.wire[0]
					m.wire = m.wire[1:]
					m.deliver(msg)
				}
			}
		}
	}
}

func TestWhateverTheNetworkDoesCopiesConvergeAndNothingComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMesh(t, 0)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			m.step(t)
			for _, n := range m.nodes {
				m.mustBeRight(t, n)
			}
		}
		m.mustConverge(t)
	})
}

func TestCopiesConvergeThoughOneClockIsWrong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMesh(t, 2*time.Hour)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			m.step(t)
		}
		m.mustConverge(t)
	})
}

func (m *mesh) mustConverge(t *rapid.T) {
	m.settle(t)
	want := map[string]Entry{}
	for key, e := range fold(m.written) {
		if !e.Deleted {
			want[key] = e
		}
	}
	for _, n := range m.nodes {
		got := map[string]Entry{}
		for e := range n.Scan("") {
			got[e.Key] = e
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s has\n%v, want\n%v", n.self, got, want)
		}
		if n.Digest() != m.nodes[0].Digest() || !n.Seen().Equal(m.nodes[0].Seen()) {
			t.Fatalf("%s: %v %v, n0: %v %v", n.self, n.sum, n.seen, m.nodes[0].sum, m.nodes[0].seen)
		}
	}
}

// mustBeRight holds a copy against what it promises: see Replica.
func (m *mesh) mustBeRight(t *rapid.T, n *meshNode) {
	for _, e := range m.written {
		it := n.items[e.Key]
		if !n.seen.Has(e.Dot) || it != nil && !e.beats(&it.Entry) || m.collected(n, e) {
			continue
		}
		t.Fatalf("%s has seen %v of %q, and holds %+v", n.self, e.Dot, e.Key, it)
	}
}

// collected says whether a copy has had a tombstone that e lost to.
func (m *mesh) collected(n *meshNode, e Entry) bool {
	for _, o := range m.written {
		if o.Key == e.Key && o.Deleted && n.seen.Has(o.Dot) && !e.beats(&o) {
			return true
		}
	}
	return false
}
