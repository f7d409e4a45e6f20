package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// plug is a node's end of a cable without a kernel.
type plug struct {
	id     byte
	out    chan []byte // what the node sends
	in     chan []byte // what it gets
	closed chan struct{}
}

func (p *plug) Read(b []byte) (int, error) {
	select {
	case f := <-p.out:
		return copy(b, f), nil
	case <-p.closed:
		return 0, io.EOF
	}
}

func (p *plug) Write(b []byte) (int, error) {
	select {
	case p.in <- bytes.Clone(b):
		return len(b), nil
	default:
		return 0, io.ErrShortWrite
	}
}

func (p *plug) Close() error {
	close(p.closed)
	return nil
}

func (p *plug) address() address { return address{2, 0, 0, 0, 0, p.id} }

var everyone = address{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// frame is a UDP datagram in an Ethernet frame.
func frame(to, from address, text string) []byte {
	f := slices.Concat(to[:], from[:])
	f = binary.BigEndian.AppendUint16(f, kindIPv4)
	ip := make([]byte, 20)
	ip[0], ip[9] = 0x45, protocolUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(20+udpBytes+len(text)))
	f = append(f, ip...)
	f = append(f, 0, 1, 0, 2, 0, byte(udpBytes+len(text)), 0xbe, 0xef)
	return append(f, text...)
}

// text is what a frame carries.
func text(f []byte) string { return string(f[headerBytes+20+udpBytes:]) }

// say has a node send a text.
func (p *plug) say(to address, words string) { p.out <- frame(to, p.address(), words) }

// heard is what a node has got once nothing moves any more.
func (p *plug) heard() []string {
	synctest.Wait()
	var all []string
	for {
		select {
		case f := <-p.in:
			all = append(all, text(f))
		default:
			return all
		}
	}
}

// network runs f in a bubble, with a switch and nodes a, b, c... whose
// addresses the switch knows.
func network(t *testing.T, nodes int, f func(t *testing.T, s *Switch, at []*plug)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(1)
		var at []*plug
		for i := range nodes {
			p := &plug{byte(i + 1), make(chan []byte), make(chan []byte, 1000), make(chan struct{})}
			if err := s.Plug(name(i), p); err != nil {
				t.Fatal(err)
			}
			at = append(at, p)
		}
		for _, p := range at {
			p.say(everyone, "hello")
			synctest.Wait()
		}
		for _, p := range at {
			p.heard()
		}
		f(t, s, at)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func name(i int) string { return string(rune('a' + i)) }

func TestFrameReachesItsPortAlone(t *testing.T) {
	network(t, 3, func(t *testing.T, s *Switch, at []*plug) {
		at[0].say(at[1].address(), "for b")
		if got := at[1].heard(); !slices.Equal(got, []string{"for b"}) {
			t.Errorf("b heard %q", got)
		}
		if got := append(at[2].heard(), at[0].heard()...); len(got) > 0 {
			t.Errorf("others heard %q", got)
		}
	})
}

func TestBroadcastReachesAllOthers(t *testing.T) {
	network(t, 3, func(t *testing.T, s *Switch, at []*plug) {
		at[0].say(everyone, "for all")
		for _, p := range at[1:] {
			if got := p.heard(); !slices.Equal(got, []string{"for all"}) {
				t.Errorf("%d heard %q", p.id, got)
			}
		}
		if got := at[0].heard(); len(got) > 0 {
			t.Errorf("it came back: %q", got)
		}
	})
}

// TestAddressIsFoundWhereItWasSeenLast: a machine that moves takes it along.
func TestAddressIsFoundWhereItWasSeenLast(t *testing.T) {
	network(t, 3, func(t *testing.T, s *Switch, at []*plug) {
		at[2].out <- frame(everyone, at[1].address(), "now I am here")
		at[0].heard()
		at[1].heard()
		at[0].say(at[1].address(), "for b")
		if got := at[2].heard(); !slices.Equal(got, []string{"for b"}) {
			t.Errorf("c heard %q", got)
		}
	})
}

func TestShortFrameIsDropped(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		at[0].out <- []byte("short")
		synctest.Wait()
		if got := len(at[1].in); got != 0 {
			t.Errorf("%d frames arrived", got)
		}
	})
}

func TestCutIsOneDirection(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		s.Set(Rule{Cut: true}, Link{"a", "b"})
		at[0].say(at[1].address(), "lost")
		at[1].say(at[0].address(), "arrives")
		if got := at[1].heard(); len(got) > 0 {
			t.Errorf("b heard %q", got)
		}
		if got := at[0].heard(); !slices.Equal(got, []string{"arrives"}) {
			t.Errorf("a heard %q", got)
		}
		if got := s.Count(Link{"a", "b"}).Cut; got != 1 {
			t.Errorf("%d frames were counted as cut, want 1", got)
		}
		s.Heal()
		at[0].say(at[1].address(), "again")
		if got := at[1].heard(); !slices.Equal(got, []string{"again"}) {
			t.Errorf("healed, b heard %q", got)
		}
	})
}

func TestLossTakesItsShare(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		s.Set(Rule{Loss: 0.3}, Link{"a", "b"})
		const sent = 900
		for range sent {
			at[0].say(at[1].address(), "x")
		}
		got := len(at[1].heard())
		if got < sent*6/10 || got > sent*8/10 {
			t.Errorf("%d of %d arrived, want about seven tenths", got, sent)
		}
		if c := s.Count(Link{"a", "b"}); c.Lost != int64(sent-got) {
			t.Errorf("counted %d lost, %d were", c.Lost, sent-got)
		}
	})
}

func TestDelayKeepsTheOrder(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		s.Set(Rule{Delay: time.Second}, Link{"a", "b"})
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprint(i))
			at[0].say(at[1].address(), want[i])
		}
		time.Sleep(time.Second - time.Millisecond)
		if got := at[1].heard(); len(got) > 0 {
			t.Errorf("too early: %q", got)
		}
		time.Sleep(time.Millisecond)
		if got := at[1].heard(); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestJitterChangesTheOrder(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		s.Set(Rule{Jitter: time.Second}, Link{"a", "b"})
		var sent []string
		for i := range 50 {
			sent = append(sent, fmt.Sprint(i))
			at[0].say(at[1].address(), sent[i])
		}
		time.Sleep(time.Second)
		got := at[1].heard()
		if slices.Equal(got, sent) {
			t.Error("all came in the order in which they were sent")
		}
		slices.Sort(got)
		slices.Sort(sent)
		if !slices.Equal(got, sent) {
			t.Errorf("got %q", got)
		}
	})
}

func TestFrameComesAgain(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		s.Set(Rule{Again: 1, Replay: time.Minute}, Link{"a", "b"})
		at[0].say(at[1].address(), "x")
		if got := at[1].heard(); !slices.Equal(got, []string{"x"}) {
			t.Errorf("at first b heard %q", got)
		}
		time.Sleep(time.Minute)
		if got := at[1].heard(); !slices.Equal(got, []string{"x"}) {
			t.Errorf("a minute later b heard %q", got)
		}
		if c := s.Total(); c.Again != 1 {
			t.Errorf("counted %+v", c)
		}
	})
}

// TestSpoiledFrameIsAnotherThatTheKernelLetsPass: one byte of what it carries
// differs, and there is no checksum to say so.
func TestSpoiledFrameIsAnotherThatTheKernelLetsPass(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		s.Set(Rule{Spoil: 1}, Link{"a", "b"})
		const words = "a text of some length"
		sent := frame(at[1].address(), at[0].address(), words)
		at[0].out <- sent
		synctest.Wait()
		got := <-at[1].in
		differ := 0
		for i := range words {
			if text(got)[i] != words[i] {
				differ++
			}
		}
		head := len(sent) - len(words)
		if sum := got[head-2 : head]; differ != 1 || !bytes.Equal(sum, []byte{0, 0}) {
			t.Errorf("%d bytes differ, the checksum is %x", differ, sum)
		}
		if !bytes.Equal(got[:head-2], sent[:head-2]) {
			t.Error("its head differs")
		}
	})
}

func TestSpoilLeavesWhatIsNoDatagram(t *testing.T) {
	udp := frame(everyone, address{2}, "text")
	tcp, arp, fragment, empty := bytes.Clone(udp), bytes.Clone(udp), bytes.Clone(udp), udp[:len(udp)-4]
	tcp[headerBytes+9] = 6
	arp[headerBytes-1] = 0x06
	fragment[headerBytes+7] = 1
	for what, f := range map[string][]byte{
		"tcp": tcp, "arp": arp, "a fragment": fragment, "an empty datagram": empty, "nothing": nil,
	} {
		before := bytes.Clone(f)
		if spoil(f, rand.New(rand.NewPCG(1, 1))) || !bytes.Equal(f, before) {
			t.Errorf("%s was spoiled", what)
		}
	}
}

func TestNodeThatTakesNothingIsCounted(t *testing.T) {
	network(t, 2, func(t *testing.T, s *Switch, at []*plug) {
		for range cap(at[1].in) + 7 {
			at[0].say(at[1].address(), "x")
		}
		synctest.Wait()
		if got := s.Count(Link{"a", "b"}).Refused; got != 7 {
			t.Errorf("counted %d refused, want 7", got)
		}
	})
}

func TestUnpluggedNodeIsGone(t *testing.T) {
	network(t, 3, func(t *testing.T, s *Switch, at []*plug) {
		if err := s.Unplug("b"); err != nil {
			t.Fatal(err)
		}
		if err := s.Unplug("b"); err == nil {
			t.Error("it was unplugged twice")
		}
		at[0].say(at[1].address(), "x")
		at[0].say(everyone, "y")
		if got := at[1].heard(); len(got) > 0 {
			t.Errorf("b heard %q", got)
		}
		if got := at[2].heard(); !slices.Equal(got, []string{"y"}) {
			t.Errorf("c heard %q", got)
		}
	})
}

func TestPlugRefusesAName(t *testing.T) {
	network(t, 1, func(t *testing.T, s *Switch, at []*plug) {
		if err := s.Plug("a", at[0]); err == nil {
			t.Error("a was plugged in twice")
		}
	})
}

func TestShapes(t *testing.T) {
	five := []string{"a", "b", "c", "d", "e"}
	tests := []struct {
		name string
		cut  []Link
		open string // pairs that still hear each other, in both directions
	}{
		{"split", Split(five[:2], five[2:]), "ab cd ce de"},
		{"three parts", Split(five[:2], five[2:4], five[4:]), "ab cd"},
		{"bridge", Split([]string{"a", "b", "c"}, []string{"c", "d", "e"}), "ab ac bc cd ce de"},
		{"ring", Ring(five, 1), "ab ae bc cd de"},
		{"alone", Between(five[:1], five), "bc bd be cd ce de"},
	}
	for _, test := range tests {
		cut := map[Link]bool{}
		for _, l := range test.cut {
			if cut[l] {
				t.Errorf("%s: %v twice", test.name, l)
			}
			cut[l] = true
		}
		var open []string
		for i, x := range five {
			for _, y := range five[i+1:] {
				if cut[Link{x, y}] != cut[Link{y, x}] {
					t.Errorf("%s: %s and %s hear each other one way only", test.name, x, y)
				}
				if !cut[Link{x, y}] {
					open = append(open, x+y)
				}
			}
		}
		if got := fmt.Sprint(open); got != "["+test.open+"]" {
			t.Errorf("%s: open are %s, want [%s]", test.name, got, test.open)
		}
	}
	if got := OneWay(five[:1], five); len(got) != 4 || got[0] != (Link{"a", "b"}) {
		t.Errorf("one way: got %v", got)
	}
}
