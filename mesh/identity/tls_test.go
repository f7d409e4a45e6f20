package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

const proto = "test/1"

// shake performs a handshake and returns what each side thinks of it.
func shake(t *testing.T, client, server *tls.Config) (c, s tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	cc, sc := tls.Client(a, client), tls.Server(b, server)
	done := make(chan error, 1)
	go func() {
		err := sc.Handshake()
		if err != nil {
			b.Close()
		} else {
			_, err = sc.Write([]byte{1}) // the client learns here that it was accepted
		}
		done <- err
	}()
	clientErr = cc.Handshake()
	if clientErr == nil {
		_, clientErr = cc.Read(make([]byte, 1))
	}
	if clientErr != nil {
		a.Close()
	}
	serverErr = <-done
	return cc.ConnectionState(), sc.ConnectionState(), clientErr, serverErr
}

// foundLongAgo is the founder of a mesh that is older than certificates live.
func foundLongAgo(t *testing.T) *Identity {
	t.Helper()
	now := time.Now()
	id, err := Found(t.TempDir(), mesh.Worker, now.Add(-3*NodeLife), nil)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := id.Authority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Sign(id.Public(), mesh.Worker, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Renew(cert, now); err != nil {
		t.Fatal(err)
	}
	return id
}

func everyone(mesh.NodeID) bool { return true }

func TestMembersKnowEachOther(t *testing.T) {
	a := found(t)
	b := join(t, a, time.Now())
	c, s, clientErr, serverErr := shake(t, b.ClientTLS(proto, a.ID(), everyone), a.ServerTLS(proto, everyone))
	if clientErr != nil || serverErr != nil {
		t.Fatalf("client %v, server %v", clientErr, serverErr)
	}
	if PeerOf(c) != a.ID() || PeerOf(s) != b.ID() {
		t.Errorf("client sees %q, server sees %q", PeerOf(c), PeerOf(s))
	}
	if c.Version != tls.VersionTLS13 {
		t.Errorf("version %x", c.Version)
	}
}

func TestWhoIsNotTrustedIsRefused(t *testing.T) {
	a := foundLongAgo(t)
	b := join(t, a, time.Now())
	old := join(t, a, time.Now().Add(-2*NodeLife))
	foreign := found(t)
	evict := func(id mesh.NodeID) bool { return id != b.ID() }
	plain := b.ClientTLS(proto, a.ID(), everyone)
	plain.GetClientCertificate = nil
	tls12 := b.ClientTLS(proto, a.ID(), everyone)
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12

	for _, c := range []struct {
		name           string
		client, server *tls.Config
		byClient       error // what the client must find
		byServer       error
	}{
		{"a foreign client", foreign.ClientTLS(proto, "", everyone), a.ServerTLS(proto, everyone), ErrWrongMesh, nil},
		{"a foreign server", a.ClientTLS(proto, "", everyone), foreign.ServerTLS(proto, everyone), ErrWrongMesh, nil},
		{"an evicted client", b.ClientTLS(proto, a.ID(), everyone), a.ServerTLS(proto, evict), nil, ErrEvicted},
		{"an evicted server", a.ClientTLS(proto, b.ID(), evict), b.ServerTLS(proto, everyone), ErrEvicted, nil},
		{"the wrong node", b.ClientTLS(proto, b.ID(), everyone), a.ServerTLS(proto, everyone), ErrWrongNode, nil},
		{"an expired client", old.ClientTLS(proto, a.ID(), everyone), a.ServerTLS(proto, everyone), nil, nil},
		{"a client without a certificate", plain, a.ServerTLS(proto, everyone), nil, nil},
		{"an old version of TLS", tls12, a.ServerTLS(proto, everyone), nil, nil},
		{"another protocol", b.ClientTLS("else/1", a.ID(), everyone), a.ServerTLS(proto, everyone), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, clientErr, serverErr := shake(t, c.client, c.server)
			if clientErr == nil {
				t.Fatal("the client was accepted")
			}
			if c.byClient != nil && !errors.Is(clientErr, c.byClient) {
				t.Errorf("client: got %v, want %v", clientErr, c.byClient)
			}
			if c.byServer != nil && !errors.Is(serverErr, c.byServer) {
				t.Errorf("server: got %v, want %v", serverErr, c.byServer)
			}
		})
	}
}

// TestACertificateNamesItsOwnKey: our own CA would never sign such names, but
// the check must not depend on that.
func TestACertificateNamesItsOwnKey(t *testing.T) {
	ca := mustCA(t)
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := mesh.NodeIDOf(public)
	good := nodeURI(ca.Fingerprint(), id, mesh.Worker).String()
	for _, c := range []struct {
		name, uri string
		ok        bool
	}{
		{"its own", good, true},
		{"another node", strings.Replace(good, string(id), "aaaaaaaaaaaaaaaa", 1), false},
		{"another mesh", strings.Replace(good, "mn://", "mn://x", 1), false},
		{"an unknown role", strings.Replace(good, "worker", "king", 1), false},
		{"a web page", "https://example.org/", false},
	} {
		u, err := url.Parse(c.uri)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), URIs: []*url.URL{u},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, ca.cert, public, ca.key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := verify(leaf, ca.cert, time.Now())
		if (err == nil) != c.ok || c.ok && got != id {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
}

func TestAJoinerKnowsTheMeshBeforeItSpeaks(t *testing.T) {
	a, foreign := found(t), found(t)
	if _, _, c, s := shake(t, JoinTLS(proto, a.Fingerprint()), a.DoorTLS(proto)); c != nil || s != nil {
		t.Errorf("its own mesh: client %v, server %v", c, s)
	}
	_, _, err, _ := shake(t, JoinTLS(proto, a.Fingerprint()), foreign.DoorTLS(proto))
	if !errors.Is(err, ErrWrongMesh) {
		t.Errorf("another mesh: got %v", err)
	}
	// A node of another mesh that shows our CA's certificate beside its own.
	liar := foreign.DoorTLS(proto)
	chain := *foreign.chain()
	chain.Certificate = [][]byte{chain.Certificate[0], a.CA()}
	liar.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &chain, nil }
	if _, _, err, _ = shake(t, JoinTLS(proto, a.Fingerprint()), liar); err == nil {
		t.Error("a liar was believed")
	}
}

func TestSignRefusesWhatIsNoNode(t *testing.T) {
	ca := mustCA(t)
	if _, err := ca.Sign(make([]byte, 5), mesh.Worker, time.Now()); err == nil {
		t.Error("signed a short key")
	}
	if _, err := ca.Sign(found(t).Public(), "king", time.Now()); err == nil {
		t.Error("signed an unknown role")
	}
	if _, err := ParseAuthority([]byte("short")); err == nil {
		t.Error("parsed a short CA key")
	}
	b, err := ca.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := ParseAuthority(b); err == nil {
		t.Error("parsed a CA key that is not its certificate's")
	}
}
