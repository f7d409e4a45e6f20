// Package wire is for a network that can be broken at will: the Ethernet
// switch, in this process, through which the nodes of a lab reach each other.
//
// Each direction between two nodes is a link with a [Rule] of its own: frames
// of it vanish, come late, twice, in another order or spoiled. That one thing
// makes splits, one-way and flapping links, rings, loss and replay, on any
// kernel, and it counts what went where.
//
// The switch does not know what a frame means, beyond the addresses it is for
// and from. What makes a network interface of a [Port] is package host.
//
// A Switch owns a goroutine for each port and one for frames that come late.
// [Switch.Close] closes the ports, and returns when all have ended.
package wire

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// Bounds of a switch.
const (
	frameMax     = 64 << 10 // bytes
	addressesMax = 1024     // that it learns
	portsMax     = 256
	lateMax      = 1 << 15 // frames that wait for their time; then new ones are lost
)

// Port is where a node is plugged in. Each Read is a frame that the node sends,
// each Write one that it gets. Write may be called by several goroutines.
type Port = io.ReadWriteCloser

// Link is one direction between two nodes, by their names.
type Link struct{ From, To string }

// Count is what became of the frames of a link.
type Count struct {
	Frames, Bytes int64 // that arrived, spoiled ones and second ones too
	Cut           int64 // frames that met a cut
	Lost          int64
	Spoiled       int64
	Again         int64 // that came a second time
	Refused       int64 // the node did not take them, or too many were late
}

// Switch carries frames between its ports.
type Switch struct {
	late *late

	mu     sync.Mutex
	rand   *rand.Rand
	ports  map[string]Port
	where  map[address]string // the port behind which an address was seen last
	rules  map[Link]Rule
	counts map[Link]*Count

	readers sync.WaitGroup
}

// New makes a switch without ports. Chance in its rules comes from the seed.
func New(seed uint64) *Switch {
	s := &Switch{
		late:   newLate(),
		rand:   rand.New(rand.NewPCG(seed, 1)),
		ports:  map[string]Port{},
		where:  map[address]string{},
		rules:  map[Link]Rule{},
		counts: map[Link]*Count{},
	}
	return s
}

// Plug connects a node under a name that no other has. The switch closes the
// port.
func (s *Switch) Plug(name string, p Port) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[name] != nil || len(s.ports) >= portsMax {
		return fmt.Errorf("plug in %q: the name is taken, or all %d ports are", name, portsMax)
	}
	s.ports[name] = p
	s.readers.Go(func() { s.read(name, p) })
	return nil
}

// Unplug disconnects a node and closes its port.
func (s *Switch) Unplug(name string) error {
	s.mu.Lock()
	p := s.ports[name]
	delete(s.ports, name)
	s.mu.Unlock()
	if p == nil {
		return fmt.Errorf("unplug %q: it is not plugged in", name)
	}
	return p.Close()
}

// Set says what happens from now on to the frames of some links. Frames that
// are late already come as they would have.
func (s *Switch) Set(r Rule, links ...Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range links {
		if r == (Rule{}) {
			delete(s.rules, l)
		} else {
			s.rules[l] = r
		}
	}
}

// Heal lets all frames pass again.
func (s *Switch) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.rules)
}

// Count is what became of a link's frames so far.
func (s *Switch) Count(l Link) Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.counts[l]; c != nil {
		return *c
	}
	return Count{}
}

// Total is the sum over all links.
func (s *Switch) Total() Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum Count
	for _, c := range s.counts {
		sum.Frames += c.Frames
		sum.Bytes += c.Bytes
		sum.Cut += c.Cut
		sum.Lost += c.Lost
		sum.Spoiled += c.Spoiled
		sum.Again += c.Again
		sum.Refused += c.Refused
	}
	return sum
}

// Close unplugs everyone.
func (s *Switch) Close() error {
	s.mu.Lock()
	var errs []error
	for name, p := range s.ports {
		delete(s.ports, name)
		errs = append(errs, p.Close())
	}
	s.mu.Unlock()
	s.readers.Wait()
	s.late.close()
	return errors.Join(errs...)
}

// read carries what a node sends, until its port is closed.
func (s *Switch) read(name string, p Port) {
	buf := make([]byte, frameMax)
	for {
		n, err := p.Read(buf)
		if err != nil {
			return
		}
		for _, d := range s.sort(name, buf[:n]) {
			d.send(s.late)
		}
	}
}

// delivery is a frame on its way to one port.
type delivery struct {
	port    Port
	frame   []byte
	delay   time.Duration
	refused func() // counts one that did not arrive
}

func (d delivery) send(later *late) {
	if d.delay > 0 {
		if !later.add(d) {
			d.refused()
		}
		return
	}
	if _, err := d.port.Write(d.frame); err != nil {
		d.refused()
	}
}

// sort says where a frame goes: to the port behind which its address is, to
// all others if that is not known.
func (s *Switch) sort(from string, frame []byte) []delivery {
	to, by, ok := addresses(frame)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.where[by]; known || len(s.where) < addressesMax {
		s.where[by] = from
	}
	if name, known := s.where[to]; known && !to.group() {
		return s.deliver(nil, Link{from, name}, frame)
	}
	var all []delivery
	for name := range s.ports {
		all = s.deliver(all, Link{from, name}, frame)
	}
	return all
}

// deliver adds what a link's rule makes of a frame.
func (s *Switch) deliver(all []delivery, l Link, frame []byte) []delivery {
	port := s.ports[l.To]
	if port == nil || l.From == l.To {
		return all
	}
	c := s.counts[l]
	if c == nil {
		c = &Count{}
		s.counts[l] = c
	}
	rule := s.rules[l]
	if rule.Cut {
		c.Cut++
		return all
	}
	fate := rule.fate(s.rand)
	if len(fate.delays) == 0 {
		c.Lost++
		return all
	}
	// The buffer is read into again before a frame that is late has gone.
	if fate.spoiled || fate.delays[len(fate.delays)-1] > 0 {
		frame = append([]byte(nil), frame...)
	}
	if fate.spoiled && spoil(frame, s.rand) {
		c.Spoiled++
	}
	c.Again += int64(len(fate.delays) - 1)
	refused := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.Refused++
	}
	for _, delay := range fate.delays {
		c.Frames++
		c.Bytes += int64(len(frame))
		all = append(all, delivery{port, frame, delay, refused})
	}
	return all
}
