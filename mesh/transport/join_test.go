package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"mn/mesh"
	"mn/mesh/identity"
)

// doorkeeper lets in whoever has one secret.
type doorkeeper struct {
	l     *lab
	token identity.Token

	mu   sync.Mutex
	seen int // requests
}

func (d *doorkeeper) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

func (d *doorkeeper) handle(_ context.Context, _ net.Addr, r JoinRequest) (JoinReply, error) {
	d.mu.Lock()
	d.seen++
	d.mu.Unlock()
	switch {
	case r.Name == "broken":
		return JoinReply{}, errors.New("disk on fire at /secret/path")
	case r.Token != d.token.ID:
		return JoinReply{}, mesh.Faultf(mesh.Denied, "there is no token %q", r.Token)
	case !bytes.Equal(identity.HashSecret(r.Secret), d.token.Hash()):
		return JoinReply{}, mesh.Faultf(mesh.Denied, "the token's secret is wrong")
	case r.Name == "late":
		return JoinReply{}, mesh.Faultf(mesh.Denied, "token %q has expired", r.Token)
	}
	ca, err := d.l.founder.Authority()
	if err != nil {
		return JoinReply{}, err
	}
	cert, err := ca.Sign(r.Key, r.Role, time.Now())
	if err != nil {
		return JoinReply{}, err
	}
	return JoinReply{
		Admission: identity.Admission{Certificate: cert, CA: ca.Certificate(), Keyring: d.l.founder.Keyring()},
		Peers:     []JoinPeer{{ID: d.l.founder.ID(), Address: "10.0.0.1:7000"}},
		Roster:    []byte("roster"),
	}, nil
}

func newDoorkeeper(t *testing.T, l *lab) *doorkeeper {
	t.Helper()
	token, err := identity.NewToken(l.founder.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	return &doorkeeper{l: l, token: token}
}

func newKey(t *testing.T) (identity.Key, string) {
	t.Helper()
	dir := t.TempDir()
	key, err := identity.EnsureKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return key, dir
}

func TestANodeJoinsAndIsAMember(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		d := newDoorkeeper(t, l)
		a := l.listen(l.founder, 1, func(c *Config) { c.Join = d.handle })
		defer closeAll(t, a)
		key, dir := newKey(t)
		conn := l.plug(2)
		reply, err := Join(t.Context(), Joiner{
			Addr: a.Addr().String(), Token: d.token, Key: key, Name: "node-2", Role: mesh.Worker, Conn: conn,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if len(reply.Peers) != 1 || string(reply.Roster) != "roster" {
			t.Errorf("got %+v", reply)
		}
		id, err := identity.Admit(dir, key, reply.Admission, time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		b := l.listen(id, 3, nil)
		defer closeAll(t, b)
		b.Send(a.Self(), []byte("here I am"))
		if m := next(t, a); m.From != key.ID() {
			t.Errorf("got a message from %q, want %q", m.From, key.ID())
		}
		if s := a.Stats(); s.Joins != 1 || s.JoinsRefused != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestAJoinThatFailsSaysWhy(t *testing.T) {
	l := newLab(t, false)
	d := newDoorkeeper(t, l)
	a := l.listen(l.founder, 0, func(c *Config) { c.Join = d.handle })
	shut := l.listen(l.member(), 0, nil) // a member without a door
	defer closeAll(t, a, shut)
	other, err := identity.NewToken(newLab(t, false).founder.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	unknown, wrong := d.token, d.token
	unknown.ID = "aaaaaaaa"
	wrong.Secret = strings.Repeat("a", len(wrong.Secret))
	for _, c := range []struct {
		name, addr, node string
		token            identity.Token
		kind             mesh.FaultKind
		want             string
		asked            int // requests that reach the handler
	}{
		{"an unknown token", "", "n", unknown, mesh.Denied, `there is no token "aaaaaaaa"`, 1},
		{"a wrong secret", "", "n", wrong, mesh.Denied, "the token's secret is wrong", 1},
		{"an expired token", "", "late", d.token, mesh.Denied, "has expired", 1},
		{"a token of another mesh", "", "n", other, mesh.Denied, "another mesh than the token", 0},
		{"a bad name", "", "no/slash", d.token, mesh.Invalid, `node name "no/slash"`, 0},
		{"trouble at the peer", "", "broken", d.token, mesh.Internal, "its log says why", 1},
		{"a peer without a door", shut.Addr().String(), "n", d.token, mesh.Unavailable, "not an mn agent", 0},
		{"no address", "nowhere", "n", d.token, mesh.Invalid, "want ip:port", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := d.asked()
			key, _ := newKey(t)
			addr := c.addr
			if addr == "" {
				addr = a.Addr().String()
			}
			_, err := Join(t.Context(), Joiner{
				Addr: addr, Token: c.token, Key: key, Name: c.node, Role: mesh.Worker,
			})
			var f *mesh.Fault
			if !errors.As(err, &f) || f.Kind != c.kind || !strings.Contains(f.Text, c.want) {
				t.Errorf("got %v, want a fault %q that says %q", err, c.kind, c.want)
			}
			for _, secret := range []string{c.token.Secret, "/secret"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells too much: %v", err)
				}
			}
			if n := d.asked() - before; n != c.asked {
				t.Errorf("%d requests reached the mesh, want %d", n, c.asked)
			}
		})
	}
}

func TestNothingAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		d := newDoorkeeper(t, l)
		conn := l.plug(2)
		defer conn.Close()
		key, _ := newKey(t)
		start := time.Now()
		_, err := Join(t.Context(), Joiner{
			Addr: "10.0.0.9:7000", Token: d.token, Key: key, Name: "n", Role: mesh.Worker, Conn: conn,
		})
		if f := mesh.FaultOf(err); f.Kind != mesh.Unavailable || !strings.Contains(f.Text, "nothing answers") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > joinTimeout {
			t.Errorf("took %v", took)
		}
	})
}

// strange opens a connection to the door and says whatever speak says.
func strange(t *testing.T, l *lab, e *Endpoint, host byte, speak func(*quic.Stream)) (string, error) {
	t.Helper()
	conn := l.plug(host)
	defer conn.Close()
	tr := &quic.Transport{Conn: conn}
	defer tr.Close()
	to := net.UDPAddrFromAddrPort(e.Addr())
	c, err := tr.Dial(t.Context(), to, identity.JoinTLS(protoJoin, l.founder.Fingerprint()), quicConfig())
	if err != nil {
		return "", err
	}
	defer hangUp(c, codeBye, "")
	s, err := c.OpenStreamSync(t.Context())
	if err != nil {
		return "", err
	}
	speak(s)
	var a joinAnswer
	if err := readJSON(s, &a); err != nil {
		return "", err
	}
	if a.Refusal == nil {
		return "let in", nil
	}
	return a.Refusal.Text, nil
}

func TestTheDoorBearsStrangers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		d := newDoorkeeper(t, l)
		a := l.listen(l.founder, 1, func(c *Config) { c.Join = d.handle })
		defer closeAll(t, a)
		key, _ := newKey(t)
		say := func(b []byte) func(*quic.Stream) {
			return func(s *quic.Stream) {
				_, _ = s.Write(b)
				_ = s.Close()
			}
		}
		forged, err := json.Marshal(JoinRequest{
			Token: d.token.ID, Secret: d.token.Secret, Key: key.Public(), Name: "n", Role: mesh.Worker,
			Proof: key.Prove([]byte("another connection")),
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct {
			name  string
			speak func(*quic.Stream)
			want  string
		}{
			{"nothing at all, for ever", func(*quic.Stream) {}, ""},
			{"one byte, for ever", func(s *quic.Stream) { _, _ = s.Write([]byte("{")) }, ""},
			{"plain text", say([]byte("GET / HTTP/1.1\r\n\r\n")), "not what mn says"},
			{"too much", say(bytes.Repeat([]byte("x"), maxJoinLen+1)), "larger than"},
			{"a proof from elsewhere", say(forged), "does not prove"},
		} {
			start := time.Now()
			got, err := strange(t, l, a, byte(10+i), c.speak)
			if c.want == "" && err == nil || !strings.Contains(got, c.want) {
				t.Errorf("%s: got %q, %v, want %q", c.name, got, err, c.want)
			}
			if took := time.Since(start); took > joinTimeout+time.Second {
				t.Errorf("%s: took %v", c.name, took)
			}
		}
		if n := d.asked(); n != 0 {
			t.Errorf("%d requests reached the handler", n)
		}
		if s := a.Stats(); s.JoinsRefused != 5 {
			t.Errorf("got %+v, want 5 refused", s)
		}
	})
}

func TestTheDoorServesAFewAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, true)
		release := make(chan struct{})
		a := l.listen(l.founder, 1, func(c *Config) {
			c.Join = func(context.Context, net.Addr, JoinRequest) (JoinReply, error) {
				<-release
				return JoinReply{}, mesh.Faultf(mesh.Denied, "no")
			}
		})
		defer closeAll(t, a)
		token, err := identity.NewToken(l.founder.Fingerprint())
		if err != nil {
			t.Fatal(err)
		}
		const n = maxJoins + 5
		results := make(chan *mesh.Fault, n)
		for i := range n {
			key, _ := newKey(t)
			conn := l.plug(byte(10 + i))
			defer conn.Close()
			go func() {
				_, err := Join(t.Context(), Joiner{
					Addr: a.Addr().String(), Token: token, Key: key, Name: "n", Role: mesh.Worker, Conn: conn,
				})
				results <- mesh.FaultOf(err)
			}()
		}
		busy := 0
		for i := range n {
			if i == n-maxJoins { // all that are too many have been told
				close(release)
			}
			if f := <-results; f.Kind == mesh.Unavailable && strings.Contains(f.Text, "try again") {
				busy++
			}
		}
		if busy != n-maxJoins {
			t.Errorf("%d were told to try again, want %d", busy, n-maxJoins)
		}
	})
}

func TestTheBucketRefillsWithTime(t *testing.T) {
	b := bucket{burst: 2, perSecond: 1}
	start := time.Unix(0, 0)
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true},
		{0, true},
		{0, false},
		{0, false},
		{time.Second, true},
		{time.Second, false}, // a second is worth one
		{time.Hour, true},
		{time.Hour, true},
		{time.Hour, false}, // an hour, the burst
	} {
		if got := b.take(start.Add(c.at)); got != c.want {
			t.Errorf("take %d, after %v: got %v", i, c.at, got)
		}
	}
}

// TestForeignersGarbageAndPlaintext: what is not of the mesh gets nothing; the
// log says so once for each kind, and members are served as before.
func TestForeignersGarbageAndPlaintext(t *testing.T) {
	l := newLab(t, false)
	a, b := l.listen(l.founder, 0, nil), l.listen(l.member(), 0, nil)
	defer closeAll(t, a, b)
	foreign := newLab(t, false)
	f := foreign.listen(foreign.founder, 0, nil)
	defer closeAll(t, f)
	foreign.addrs[a.Self()] = a.Addr().String()
	for range 5 {
		if c, err := f.Open(t.Context(), a.Self(), KindAPI); err == nil {
			t.Error("a foreigner got a stream")
			_ = c.Close()
		}
	}
	raw, err := net.Dial("udp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for _, packet := range [][]byte{
		[]byte("GET / HTTP/1.1"),
		{0xff},
		{0x01, 0x02},
		bytes.Repeat([]byte{0xc0}, 1400),
		{},
		bytes.Repeat([]byte{0x01}, 1300), append([]byte{0x01}, "{\"join\": true}"...),
	} {
		for range 100 {
			if _, err := raw.Write(packet); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A QUIC client that speaks another protocol.
	_, err = quic.DialAddr(t.Context(), a.Addr().String(),
		&tls.Config{NextProtos: []string{"h3"}, InsecureSkipVerify: true}, nil)
	if err == nil {
		t.Error("a client of another protocol got in")
	}
	b.Send(a.Self(), []byte("still there?"))
	if m := next(t, a); string(m.Body) != "still there?" {
		t.Errorf("got %q", m.Body)
	}
	if s := a.Stats(); s.Refused < 1 || s.Garbage == 0 {
		t.Errorf("got %+v, want refusals and garbage counted", s)
	}
	if n := l.log.count("level=WARN"); n == 0 || n > 4 {
		t.Errorf("%d lines in the log, want one for each kind:\n%s", n, l.log.b.String())
	}
}
