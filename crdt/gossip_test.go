package crdt

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
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
	written []Entry            // everything that any node ever wrote
	highest map[string]*Entry  // of each key
	graves  map[string][]Entry // deletes, by key
	bursts  bool               // nodes write more at once than Seen can name gaps
}

type meshNode struct {
	*Replica
	kept    Kept
	ahead   time.Duration  // how far its wall clock is
	reports map[int]Report // what the others said last that they have
}

type message struct {
	from, to int
	body     any // Request, Answer or []Entry
}

// names of the nodes; the first two fall into one group.
var names = []string{"n8", "n63", "n1", "n2"}

func newMesh(t *rapid.T, ahead time.Duration) *mesh {
	m := &mesh{wall: noon, highest: map[string]*Entry{}, graves: map[string][]Entry{}}
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
	r, err := NewReplica(names[i], n.kept)
	if err != nil {
		panic(err)
	}
	n.Replica, n.reports = r, map[int]Report{}
}

// send keeps, then sends.
func (m *mesh) send(from, to int, body any) {
	m.nodes[from].kept.Apply(m.nodes[from].Flush())
	m.wire = append(m.wire, message{from, to, body})
}

func (m *mesh) record(e Entry) {
	m.written = append(m.written, e)
	keep(m.highest, &e)
	if e.Deleted {
		m.graves[e.Key] = append(m.graves[e.Key], e)
	}
}

// keep keeps the higher entry of a key.
func keep(highest map[string]*Entry, e *Entry) {
	if o := highest[e.Key]; o == nil || e.Compare(o) > 0 {
		highest[e.Key] = e
	}
}

func (m *mesh) wrote(t *rapid.T, i int, e Entry) {
	m.record(e)
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
		if report, ok := n.Asker(body); ok {
			n.reports[msg.from] = report
		}
		m.send(msg.to, msg.from, n.Answer(body))
	case Answer:
		out := n.Apply(body, m.wall.Add(n.ahead))
		if report, ok := n.Answerer(body); ok {
			n.reports[msg.from] = report
		}
		if out.Next != nil {
			m.send(msg.to, msg.from, *out.Next)
		}
		if len(out.Push) > 0 {
			m.send(msg.to, msg.from, out.Push)
		}
	case []Entry:
		n.Merge(body, m.wall.Add(n.ahead))
	}
	n.kept.Apply(n.Flush())
}

// step is one thing that may happen. Most often a message arrives: else few
// sessions would come to their end.
func (m *mesh) step(t *rapid.T) {
	i := rapid.IntRange(0, len(m.nodes)-1).Draw(t, "node")
	j := (i + rapid.IntRange(1, len(m.nodes)-1).Draw(t, "peer")) % len(m.nodes)
	switch do := rapid.IntRange(0, 23).Draw(t, "do"); {
	case do < 3:
		m.write(t, i)
	case do < 6:
		m.send(i, j, m.nodes[i].Request())
	case do < 16:
		m.arrive(t)
	case do < 19:
		m.talk(t, i, j)
	case do < 20:
		m.start(i)
	case do < 21:
		m.wall = m.wall.Add(time.Duration(rapid.IntRange(0, 5400).Draw(t, "seconds")) * time.Second)
	case do < 23:
		m.collect(i)
	default:
		m.lose(t, i)
	}
}

// write has a node write something, or delete it.
func (m *mesh) write(t *rapid.T, i int) {
	n := m.nodes[i]
	if m.bursts && rapid.IntRange(0, 2).Draw(t, "burst") == 0 {
		m.burst(t, i)
		return
	}
	key := rapid.SampledFrom([]string{"k0", "k1", "k2"}).Draw(t, "key")
	fence := Fence{Ballot: rapid.Uint64Range(0, 1).Draw(t, "ballot")}
	if m.forgotten(n, key, fence) {
		return
	}
	if rapid.IntRange(0, 2).Draw(t, "kind") > 0 {
		m.wrote(t, i, n.Put(key, m.value(t), fence, m.wall.Add(n.ahead)))
	} else if e, ok := n.Delete(key, fence, m.wall.Add(n.ahead)); ok {
		m.wrote(t, i, e)
	}
}

// burst has a node write much, part of it soon replaced, and tell a peer of
// every second write only.
func (m *mesh) burst(t *rapid.T, i int) {
	n := m.nodes[i]
	keys := rapid.IntRange(MaxGaps/2, 4*MaxGaps).Draw(t, "keys")
	var pushed []Entry
	for k := range 3 * MaxGaps {
		key := fmt.Sprintf("k%d", k*7%keys)
		if m.forgotten(n, key, Fence{}) {
			continue
		}
		e := n.Put(key, nil, Fence{}, m.wall.Add(n.ahead))
		m.record(e)
		if k%2 == 0 {
			pushed = append(pushed, e)
		}
	}
	to := (i + rapid.IntRange(1, len(m.nodes)-1).Draw(t, "peer")) % len(m.nodes)
	m.send(i, to, pushed)
}

// value is a new value; two large ones do not fit into one answer.
func (m *mesh) value(t *rapid.T) []byte {
	size := rapid.SampledFrom([]int{0, 0, 0, AnswerBytes * 2 / 3}).Draw(t, "size")
	return append(make([]byte, size), fmt.Sprint(len(m.written))...)
}

// forgotten says whether a write would be below a tombstone that the node has
// seen, or no longer has. It is a new write to those that have collected the
// tombstone, and a lost one to the others: nothing can be said of its end.
func (m *mesh) forgotten(n *meshNode, key string, fence Fence) bool {
	return slices.ContainsFunc(m.graves[key], func(h Entry) bool {
		below := fence.Compare(h.Fence) < 0 || wallMillis(m.wall.Add(n.ahead)) <= h.Stamp.Wall
		return below && (n.items[key] == nil || n.seen.Has(h.Dot))
	})
}

// arrive has a message arrive, mostly the one that has been under way for the
// longest time or the shortest. It may be lost, or come once more.
func (m *mesh) arrive(t *rapid.T) {
	const wireMax = 16
	m.wire = m.wire[max(0, len(m.wire)-wireMax):]
	if len(m.wire) == 0 {
		return
	}
	at := rapid.IntRange(0, len(m.wire)-1).Draw(t, "message")
	switch rapid.IntRange(0, 2).Draw(t, "which") {
	case 0:
		at = 0
	case 1:
		at = len(m.wire) - 1
	}
	msg := m.wire[at]
	if rapid.IntRange(0, 3).Draw(t, "again") > 0 {
		m.wire = append(m.wire[:at:at], m.wire[at+1:]...)
	}
	if rapid.IntRange(0, 7).Draw(t, "lost") > 0 {
		m.deliver(msg)
	}
}

// talk lets a node compare its copy with a peer's, for some messages or to the
// end, while the rest of the world stands still but for a write now and then.
func (m *mesh) talk(t *rapid.T, i, j int) {
	under := m.wire
	m.wire = nil
	m.send(i, j, m.nodes[i].Request())
	for range rapid.IntRange(1, 12).Draw(t, "messages") {
		if len(m.wire) > 0 {
			msg := m.wire[0]
			m.wire = m.wire[1:]
			m.deliver(msg)
		}
		if rapid.IntRange(0, 7).Draw(t, "meanwhile") == 0 {
			m.write(t, rapid.IntRange(0, len(m.nodes)-1).Draw(t, "writer"))
		}
	}
	m.wire = append(under, m.wire...)
}

// collect removes tombstones as a node does it: by what the others said last.
func (m *mesh) collect(i int) {
	n := m.nodes[i]
	if len(n.reports) < len(m.nodes)-1 {
		return
	}
	n.Collect(slices.Collect(maps.Values(n.reports)), m.wall.Add(n.ahead))
	n.kept.Apply(n.Flush())
}

// lose has a node lose all of its copy or some of its disk, if another one has
// all of it: nothing is to be lost here. The others take notice: what it said
// before counts no more.
func (m *mesh) lose(t *rapid.T, i int) {
	n := m.nodes[i]
	if !slices.ContainsFunc(m.nodes, func(o *meshNode) bool { return o != n && o.seen.Covers(n.seen) }) {
		return
	}
	if rapid.Bool().Draw(t, "all") {
		n.Reset()
		n.reports = map[int]Report{}
		n.kept.Apply(n.Flush())
	} else {
		lost := rapid.SampledFrom([]string{"k0", "k1", "k2"}).Draw(t, "lost key")
		n.kept.Entries = slices.DeleteFunc(n.kept.Entries, func(e Entry) bool { return e.Key == lost })
		n.kept.Damage = []string{lost}
		m.start(i)
		n.kept.Damage = nil
		n.kept.Apply(n.Flush())
	}
	for _, o := range m.nodes {
		delete(o.reports, i)
	}
	m.wire = slices.DeleteFunc(m.wire, func(msg message) bool { return msg.from == i || msg.to == i })
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
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			m.step(t)
			for _, n := range m.nodes {
				m.mustBeRight(t, n)
			}
		}
		m.mustConverge(t)
	})
}

func TestCopiesConvergeWithMoreGapsThanTheyCanName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMesh(t, 0)
		m.bursts = true
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
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
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			m.step(t)
		}
		m.mustConverge(t)
	})
}

func (m *mesh) mustConverge(t *rapid.T) {
	m.settle(t)
	want := map[string]Entry{}
	for key, e := range m.highest {
		if !e.Deleted {
			want[key] = *e
		}
	}
	for _, n := range m.nodes {
		got := map[string]Entry{}
		for e := range n.Scan("") {
			got[e.Key] = e
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s has %d keys, want %d, or other values", n.self, len(got), len(want))
		}
		if n.Digest() != m.nodes[0].Digest() || !n.Seen().Equal(m.nodes[0].Seen()) {
			t.Fatalf("%s: %v %v, n0: %v %v", n.self, n.sum, n.seen, m.nodes[0].sum, m.nodes[0].seen)
		}
	}
}

// mustBeRight holds a copy against what it promises, see Replica: of each key
// it has the highest write that it has seen, or one above; or nothing, if that
// one is a tombstone. So nothing that was deleted is there again, either.
func (m *mesh) mustBeRight(t *rapid.T, n *meshNode) {
	seen := map[string]*Entry{}
	for i := range m.written {
		if e := &m.written[i]; n.seen.Has(e.Dot) {
			keep(seen, e)
		}
	}
	for key, best := range seen {
		it := n.items[key]
		if it == nil && best.Deleted || it != nil && !best.beats(&it.Entry) {
			continue
		}
		holds := "nothing"
		if it != nil {
			holds = fmt.Sprintf("%v, a delete: %v", it.Dot, it.Deleted)
		}
		t.Fatalf("%s has seen %v of %q, and holds %s", n.self, best.Dot, key, holds)
	}
}
