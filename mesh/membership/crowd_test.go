package membership

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"mn/mesh"
)

// air is a network without cables: gossip's packets and streams, and the local
// network's broadcasts, among the nodes of one test. Packets take 2 ms.
type air struct {
	mu    sync.Mutex
	ports map[string]*port
	apart map[string]int           // address → side of a split; 0 if unset
	far   map[string]time.Duration // address → what packets from and to it take longer
	lans  map[*lanPort]bool
	bytes int64
	count int64
}

func newAir() *air {
	return &air{ports: map[string]*port{}, apart: map[string]int{}, far: map[string]time.Duration{}, lans: map[*lanPort]bool{}}
}

const delay = 2 * time.Millisecond

func (a *air) reaches(from, to string) *port {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.apart[from] != a.apart[to] {
		return nil
	}
	return a.ports[to]
}

func (a *air) split(sides ...[]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.apart)
	for i, side := range sides {
		for _, addr := range side {
			a.apart[addr] = i
		}
	}
}

// port is one node's transport.
type port struct {
	a       *air
	addr    string
	node    string
	packets chan *memberlist.Packet
	streams chan net.Conn
	closed  chan struct{}
}

var _ memberlist.NodeAwareTransport = (*port)(nil)

func (a *air) plug(node, addr string) *port {
	p := &port{
		a: a, addr: addr, node: node, closed: make(chan struct{}),
		packets: make(chan *memberlist.Packet, 1024), streams: make(chan net.Conn, 64),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ports[addr] = p
	return p
}

func udp(addr string) *net.UDPAddr {
	u, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		panic(err)
	}
	return u
}

func (p *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	u := udp(p.addr)
	return u.IP.To4(), u.Port, nil
}

func (p *port) WriteTo(b []byte, addr string) (time.Time, error) {
	p.a.mu.Lock()
	p.a.bytes += int64(len(b)) + 28
	p.a.count++
	takes := delay + p.a.far[p.addr] + p.a.far[addr]
	p.a.mu.Unlock()
	packet := &memberlist.Packet{Buf: slices.Clone(b), From: udp(p.addr)}
	time.AfterFunc(takes, func() {
		to := p.a.reaches(p.addr, addr)
		if to == nil {
			return
		}
		packet.Timestamp = time.Now()
		select {
		case to.packets <- packet:
		default:
		}
	})
	return time.Now(), nil
}

func (p *port) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return p.WriteTo(b, a.Addr)
}

func (p *port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return p.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (p *port) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	to := p.a.reaches(p.addr, a.Addr)
	if to == nil {
		select {
		case <-time.After(timeout):
			return nil, errors.New("nothing answers")
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
	if a.Name != "" && a.Name != to.node || to == p {
		return nil, fmt.Errorf("another node is at %q", a.Addr)
	}
	time.Sleep(delay)
	c, s := net.Pipe()
	to.streams <- s
	return c, nil
}

func (p *port) PacketCh() <-chan *memberlist.Packet { return p.packets }
func (p *port) StreamCh() <-chan net.Conn           { return p.streams }
func (p *port) Shutdown() error {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	if p.a.ports[p.addr] == p {
		delete(p.a.ports, p.addr)
	}
	close(p.closed)
	return nil
}

// lanPort is one node's ear on the local network.
type lanPort struct {
	a      *air
	heard  chan []byte
	closed chan struct{}
}

func (a *air) lan() *lanPort {
	l := &lanPort{a: a, heard: make(chan []byte, 64), closed: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lans[l] = true
	return l
}

func (l *lanPort) Send(b []byte) error {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	for o := range l.a.lans {
		select {
		case o.heard <- slices.Clone(b):
		default:
		}
	}
	return nil
}

func (l *lanPort) Receive(buf []byte) (int, error) {
	select {
	case b := <-l.heard:
		return copy(buf, b), nil
	case <-l.closed:
		return 0, net.ErrClosed
	}
}

func (l *lanPort) Close() error {
	l.a.mu.Lock()
	defer l.a.mu.Unlock()
	delete(l.a.lans, l)
	close(l.closed)
	return nil
}

// crowd is a mesh of memberships in a bubble.
type crowd struct {
	t       *testing.T
	air     *air
	dir     string
	profile Profile
	ids     []mesh.NodeID
	nodes   map[mesh.NodeID]*node
	lan     bool
}

type node struct {
	*Membership
	addr string

	mu   sync.Mutex
	seen []Event
	done chan struct{}
}

var testKeyring = [][]byte{[]byte("0123456789abcdef0123456789abcdef")}

func newCrowd(t *testing.T, profile Profile, n int) *crowd {
	c := &crowd{t: t, air: newAir(), dir: t.TempDir(), profile: profile, nodes: map[mesh.NodeID]*node{}}
	for i := range n {
		c.ids = append(c.ids, mesh.NodeID(fmt.Sprintf("node%02d", i)))
	}
	return c
}

func addrOf(i int) string { return fmt.Sprintf("10.0.0.%d:7000", i+1) }

// start runs node i at an address, with what its book holds from before.
func (c *crowd) start(i int, addr string, seeds ...string) *node {
	c.t.Helper()
	id := c.ids[i]
	book, err := OpenBook(filepath.Join(c.dir, string(id)+".json"), func(string, ...any) {})
	if err != nil {
		c.t.Fatal(err)
	}
	peers := slices.Clone(c.ids)
	conf := Config{
		Self: id, Profile: c.profile, Keyring: testKeyring, Book: book, Seeds: seeds,
		Transport: c.air.plug(string(id), addr),
		Vitals:    Vitals{Name: "name-" + string(id), Address: addr, Boot: "boot", Role: mesh.Worker},
		Peers:     func() []mesh.NodeID { return peers },
		Admitted:  func(id mesh.NodeID) bool { return slices.Contains(peers, id) },
		Log:       slog.New(slog.DiscardHandler),
	}
	if c.lan {
		conf.Discovery = c.air.lan()
	}
	m, err := Start(conf)
	if err != nil {
		c.t.Fatal(err)
	}
	n := &node{Membership: m, addr: addr, done: make(chan struct{})}
	go n.collect()
	c.nodes[id] = n
	return n
}

func (n *node) collect() {
	defer close(n.done)
	for {
		select {
		case e := <-n.Events():
			n.mu.Lock()
			n.seen = append(n.seen, e)
			n.mu.Unlock()
		case <-n.ctx.Done():
			return
		}
	}
}

func (n *node) losses() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, e := range n.seen {
		if e.State == mesh.Lost {
			count++
		}
	}
	return count
}

// startAll runs all nodes; all but the first know its address.
func (c *crowd) startAll() {
	c.t.Helper()
	for i := range c.ids {
		if i == 0 {
			c.start(i, addrOf(i))
		} else {
			c.start(i, addrOf(i), addrOf(0))
		}
	}
	c.until("all see all", 3*time.Minute, c.whole)
}

// crash ends a node without a goodbye.
func (c *crowd) crash(i int) {
	c.t.Helper()
	n := c.nodes[c.ids[i]]
	delete(c.nodes, c.ids[i])
	if err := n.Close(); err != nil {
		c.t.Error(err)
	}
	<-n.done
}

// end stops all, and gives Serf's goroutines the time to end.
func (c *crowd) end() {
	for i, id := range c.ids {
		if c.nodes[id] != nil {
			c.crash(i)
		}
	}
	time.Sleep(5 * time.Minute)
}

// whole says whether every running node sees every other alive where it is.
func (c *crowd) whole() bool {
	for id, n := range c.nodes {
		for other, o := range c.nodes {
			if a, _ := n.Address(other); id != other && (n.state(other) != mesh.Alive || a != o.addr) {
				return false
			}
		}
	}
	return true
}

// until waits for something to be so, and says how long it took.
func (c *crowd) until(what string, limit time.Duration, so func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !so() {
		if time.Since(start) > limit {
			for id, n := range c.nodes {
				c.t.Logf("%s at %s: %+v %+v", id, n.addr, n.Stats(), n.Members())
			}
			c.t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(start)
}

// sees says whether all running nodes have that opinion of node i.
func (c *crowd) sees(i int, s mesh.Liveness) func() bool {
	return func() bool {
		for _, n := range c.nodes {
			if n.state(c.ids[i]) != s {
				return false
			}
		}
		return true
	}
}
