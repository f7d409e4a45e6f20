package membership

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/serf/serf"

	"mn/mesh"
)

// fullest is the largest vitals that there can be.
func fullest() Vitals {
	s := strings.Repeat("x", maxVitalsIn)
	return Vitals{
		Name: s, Address: s, Boot: mesh.BootID(s), Role: mesh.Role(s), Release: s,
		Free: mesh.Resources{CPU: math.MinInt64, Memory: math.MinInt64, Disk: math.MinInt64}, Abstains: true,
	}
}

func TestVitalsReadBack(t *testing.T) {
	for _, v := range []Vitals{
		{},
		{
			Name: "n1", Address: "[fe80::1]:7700", Boot: "b", Role: mesh.Witness, Release: "1.2.3",
			Free: mesh.Resources{CPU: 7500, Memory: 8 * mesh.GiB, Disk: -1},
		},
		{Name: "n2", Abstains: true},
		fullest(),
	} {
		s, err := v.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeVitals(s); err != nil || got != v {
			t.Errorf("got %+v, %v, want %+v", got, err, v)
		}
		if got, err := decodeVitals(s + "of a newer release"); err != nil || got != v {
			t.Errorf("with more behind: got %+v, %v", got, err)
		}
	}
	// An older release has no word at the end about who can lead.
	s, err := Vitals{Name: "n1", Abstains: true}.encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeVitals(s[:len(s)-1]); err != nil || got != (Vitals{Name: "n1"}) {
		t.Errorf("of an older release: got %+v, %v", got, err)
	}
	long := Vitals{Name: strings.Repeat("x", maxVitalsIn+1)}
	if _, err := long.encode(); err == nil {
		t.Error("encoded a name that is too long")
	}
}

// TestTheLargestVitalsFitSerf: the limit is Serf's, so Serf is asked.
func TestTheLargestVitalsFitSerf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 2)
		defer c.end()
		c.startAll()
		n := c.nodes[c.ids[0]]
		if err := n.SetVitals(fullest()); err != nil {
			t.Fatal(err)
		}
		c.until("they are known", 5*time.Second, func() bool {
			m, _ := c.nodes[c.ids[1]].member(c.ids[0])
			return m.Vitals == fullest()
		})
		at := map[string]string{vitalsTag: strings.Repeat("x", maxVitals)}
		if err := n.serf.SetTags(at); err != nil {
			t.Errorf("%d bytes: %v", maxVitals, err)
		}
	})
}

func FuzzDecodeVitals(f *testing.F) {
	s, err := fullest().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s)
	f.Add("\x01\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := decodeVitals(s)
		if err != nil {
			return
		}
		again, err := v.encode()
		if err != nil {
			t.Fatalf("%q decodes to what cannot be encoded: %v", s, err)
		}
		if got, err := decodeVitals(again); err != nil || got != v {
			t.Errorf("%+v reads back as %+v, %v", v, got, err)
		}
	})
}

func TestABeaconIsForItsMeshOnly(t *testing.T) {
	old, fresh := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("f", 32))
	b := beacon{Node: "node", Address: "10.0.0.1:7000"}
	packet, err := b.seal([][]byte{old})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(packet, []byte("10.0.0.1")) {
		t.Error("a beacon tells strangers the address")
	}
	if got, err := openBeacon(packet, [][]byte{fresh, old}); err != nil || got != b {
		t.Errorf("under a keyring in rotation: got %+v, %v", got, err)
	}
	if _, err := openBeacon(packet, [][]byte{fresh}); !errors.Is(err, errBeacon) {
		t.Errorf("another mesh: got %v", err)
	}
	for i := range packet {
		bent := slices.Clone(packet)
		bent[i] ^= 1
		if _, err := openBeacon(bent, [][]byte{old}); err == nil {
			t.Errorf("byte %d changed: it opens", i)
		}
		if _, err := openBeacon(packet[:i], [][]byte{old}); err == nil {
			t.Errorf("cut to %d bytes: it opens", i)
		}
	}
	if _, err := openBeacon(make([]byte, maxBeacon+1), [][]byte{old}); err == nil {
		t.Error("a packet over the limit opens")
	}
}

func FuzzParseBeacon(f *testing.F) {
	f.Add([]byte("\x01\x04node10.0.0.1:7000"))
	f.Add([]byte("\x01\xffnode"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		b, err := parseBeacon(plain)
		if err != nil {
			return
		}
		if _, err := netip.ParseAddrPort(b.Address); err != nil || b.Node == "" {
			t.Errorf("%x parses to %+v", plain, b)
		}
	})
}

func TestGarbageOnTheDiscoveryPortIsCountedAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 2)
		c.lan = true
		defer c.end()
		c.startAll()
		n := c.nodes[c.ids[0]]
		stranger := c.air.lan()
		defer stranger.Close()
		tries := n.Stats().Rejoins
		for range 500 {
			if err := stranger.Send([]byte("hello, I am your node")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if s := n.Stats(); s.BeaconsBad != 500 || s.Rejoins != tries {
			t.Errorf("got %+v, want 500 bad ones and no try", s)
		}
	})
}

// TestNodesOnLoopbackHearEachOther: on real sockets, whatever the address.
func TestNodesOnLoopbackHearEachOther(t *testing.T) {
	port := freePort(t)
	a, err := ListenLAN(netip.MustParseAddr("127.0.0.1"), port)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := ListenLAN(netip.MustParseAddr("127.3.2.1"), port)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Send([]byte("where are you?")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxBeacon)
	for _, d := range []Discovery{a, b} {
		if n, err := d.Receive(buf); err != nil || string(buf[:n]) != "where are you?" {
			t.Errorf("got %q, %v", buf[:n], err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.Receive(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := ListenLAN(netip.MustParseAddr("203.0.113.7"), port); err == nil {
		t.Error("it listens on a network that this machine is not on")
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{127, 0, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return uint16(c.LocalAddr().(*net.UDPAddr).Port)
}

func TestTheBroadcastAddressOfANetwork(t *testing.T) {
	for _, c := range []struct{ network, want string }{
		{"127.0.0.1/8", "127.255.255.255"},
		{"192.168.7.20/24", "192.168.7.255"},
		{"10.1.2.3/20", "10.1.15.255"},
		{"10.1.2.3/31", ""},
		{"10.1.2.3/32", ""},
		{"fe80::1/64", ""},
	} {
		ip, n, err := net.ParseCIDR(c.network)
		if err != nil {
			t.Fatal(err)
		}
		n.IP = ip
		got, ok := broadcastOf(n)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s: got %v, want %q", c.network, got, c.want)
		}
	}
}

func quiet(string, ...any) {}

func TestTheBookKeepsTheNewestAddresses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.json")
	b, err := OpenBook(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		b.Saw("a", fmt.Sprintf("10.0.0.%d:7000", i))
	}
	b.Saw("a", "10.0.0.7:7000")
	b.Saw("a", "not an address")
	b.Saw("b", "10.0.1.1:7000")
	b.Saw("c", "10.0.1.2:7000")
	b.Forget("c")
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
	b, err = OpenBook(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"10.0.0.7:7000", "10.0.0.9:7000", "10.0.0.8:7000", "10.0.0.6:7000"}
	if got := b.Addresses("a"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := b.Nodes(); !slices.Equal(got, []mesh.NodeID{"a", "b"}) {
		t.Errorf("got %v", got)
	}
	for i := range maxEntries + 10 {
		b.Saw(mesh.NodeID(fmt.Sprint("n", i)), "10.0.0.1:7000")
	}
	if n := len(b.Nodes()); n > maxEntries {
		t.Errorf("%d nodes are in the book", n)
	}
}

func TestADamagedBookIsSetAside(t *testing.T) {
	for name, text := range map[string]string{
		"cut short":    `{"a": {"addresses": ["10.0.0`,
		"another form": `[1, 2]`,
		"empty":        ``,
	} {
		path := filepath.Join(t.TempDir(), "peers.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		said := 0
		b, err := OpenBook(path, func(string, ...any) { said++ })
		if err != nil || said != 1 || len(b.Nodes()) != 0 {
			t.Errorf("%s: got %v, %d warnings", name, err, said)
			continue
		}
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != text {
			t.Errorf("%s: what was there is not kept: %q, %v", name, kept, err)
		}
	}
	path := filepath.Join(t.TempDir(), "peers.json")
	if err := os.WriteFile(path, []byte(`{"a": {"addresses": ["x", "10.0.0.1:1"]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := OpenBook(path, quiet)
	if err != nil || !slices.Equal(b.Addresses("a"), []string{"10.0.0.1:1"}) {
		t.Errorf("an address that is none: got %v, %v", b.Addresses("a"), err)
	}
}

func TestSerfCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newSerfLog(slog.New(slog.NewTextHandler(&out, nil)))
		for i := range 1000 {
			l.Printf("[ERR] memberlist: Decrypt packet failed: No installed keys from=10.0.0.9:%d", 2000+i)
			l.Printf("[INFO] serf: EventMemberJoin: node%d 10.0.0.1", i)
			l.Printf("[WARN] memberlist: Refuting a suspect message (from: node%d)", i)
		}
		if n := strings.Count(out.String(), "\n"); n != 1 {
			t.Errorf("%d lines, want 1:\n%.300s", n, out.String())
		}
		l.Printf("[ERR] memberlist: Decrypt packet failed: No installed keys from=10.0.0.8:2000")
		time.Sleep(quietPerLine)
		l.Printf("[ERR] memberlist: Decrypt packet failed: No installed keys from=10.0.0.9:2000")
		if n := strings.Count(out.String(), "\n"); n != 3 || !strings.Contains(out.String(), "repeated=999") {
			t.Errorf("%d lines, want one for another source, and one with a count:\n%.600s", n, out.String())
		}
		out.Reset()
		for i := range 4 * maxLines {
			l.Printf("[WARN] %s", strings.Repeat("x", i))
		}
		if n := strings.Count(out.String(), "\n"); n > maxPerMinute {
			t.Errorf("%d lines in a minute", n)
		}
		if n := len(l.Writer().(*serfLog).lines); n > maxLines {
			t.Errorf("%d kinds of lines are remembered", n)
		}
	})
}

// TestSerfForgetsNobody: see rejoin.go for what finds peers again.
func TestSerfForgetsNobody(t *testing.T) {
	for p := range timings {
		m := &Membership{doubter: newDoubter(timings[p]), conf: Config{
			Self: "a", Profile: p, Keyring: testKeyring, Log: slog.New(slog.DiscardHandler),
		}}
		s, err := m.settings("")
		if err != nil {
			t.Fatal(err)
		}
		day := 24 * time.Hour
		if s.ReconnectTimeout < 1000*day || s.TombstoneTimeout < 1000*day || s.EnableNameConflictResolution ||
			s.MemberlistConfig.EnableCompression || s.SnapshotPath != "" {
			t.Errorf("%s: Serf forgets, votes, compresses or writes a snapshot", p)
		}
		if s.MemberlistConfig.UDPBufferSize > 1200 || s.UserEventSizeLimit > s.MemberlistConfig.UDPBufferSize {
			t.Errorf("%s: packets of %d bytes, hints of %d", p, s.MemberlistConfig.UDPBufferSize, s.UserEventSizeLimit)
		}
	}
}

func TestWhatSerfReapsIsStillLost(t *testing.T) {
	lost := map[mesh.NodeID]Member{"a": {Node: "a", State: mesh.Lost}}
	m := &Membership{doubter: newDoubter(timings[Lab]), members: lost}
	gone := serf.MemberEvent{Type: serf.EventMemberReap, Members: []serf.Member{{Name: "a"}}}
	if changed := m.take(gone, doubts{}); changed != nil || m.state("a") != mesh.Lost {
		t.Errorf("got %v, %q", changed, m.state("a"))
	}
}
