package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"mn/configs"
	"mn/crdt"
	"mn/crdt/store"
	"mn/health/clock"
	"mn/mesh"
	"mn/mesh/core"
	"mn/mesh/identity"
	"mn/mesh/membership"
	"mn/mesh/transport"
	"mn/placement/lease"
)

// namesMax is how many names are tried for a node that was given none.
const namesMax = 64

// InitOptions is what a new mesh is made with.
type InitOptions struct {
	Name  string        // label of this node; the host's name if empty
	Lease configs.Lease // rhythm of agreement; the founder decides it for all
}

// Mesh says what Init or Join has made of a data directory.
type Mesh struct {
	ID   string // of the mesh
	Node mesh.NodeID
	Name string
}

// Init makes a new mesh, with dir's node as its first member.
func Init(dir string, o InitOptions) (Mesh, error) {
	name, err := nodeName(o.Name)
	if err != nil {
		return Mesh{}, err
	}
	if identity.Admitted(dir) {
		return Mesh{}, alreadyAdmitted(dir)
	}
	now := clock.Wall()
	id, err := identity.Found(dir, mesh.Worker, now, func(id *identity.Identity) error {
		self := mesh.Member{ID: id.ID(), Name: name, Key: id.Public(), AdmittedAt: now.UTC(), By: id.ID()}
		return begin(dir, id, name, o.Lease, func(c *core.Core) (core.Ready, error) {
			return c.Bootstrap(clocks(), self)
		})
	})
	if err != nil {
		return Mesh{}, err
	}
	return Mesh{ID: id.Mesh(), Node: id.ID(), Name: name}, nil
}

// JoinOptions is what a node needs to be let into a mesh.
type JoinOptions struct {
	Addr  string // ip:port or host:port of any peer
	Token string
	Name  string // label of this node; the host's name if empty
}

// Join has dir's node let into the mesh of the token, by the peer at the
// address. Nothing is left behind if it is refused, but the node's own key.
func Join(ctx context.Context, dir string, o JoinOptions) (Mesh, error) {
	name, err := nodeName(o.Name)
	if err != nil {
		return Mesh{}, err
	}
	if identity.Admitted(dir) {
		return Mesh{}, alreadyAdmitted(dir)
	}
	token, err := identity.ParseToken(o.Token)
	if err != nil {
		return Mesh{}, mesh.Faultf(mesh.Invalid, "%v", err)
	}
	key, err := identity.EnsureKey(dir)
	if err != nil {
		return Mesh{}, err
	}
	addrs, err := resolveSeeds(ctx, []string{withPort(o.Addr)})
	if err != nil || len(addrs) == 0 {
		return Mesh{}, mesh.Faultf(mesh.Invalid, "find peer %q: %v", o.Addr, err)
	}
	joiner := transport.Joiner{Addr: addrs[0], Token: token, Key: key, Name: name, Role: mesh.Worker}
	reply, err := transport.Join(ctx, joiner)
	for n := 2; o.Name == "" && n <= namesMax && err != nil && mesh.FaultOf(err).Kind == mesh.Conflict; n++ {
		joiner.Name = fmt.Sprintf("%s-%d", name, n) // nobody chose the host's name: another will do
		reply, err = transport.Join(ctx, joiner)
	}
	if err != nil {
		return Mesh{}, err
	}
	name = joiner.Name
	var chain []lease.Roster
	if err := crdt.Decode(reply.Roster, &chain); err != nil {
		return Mesh{}, fmt.Errorf("read the roster that %q sent: %w", o.Addr, err)
	}
	id, err := identity.Admit(dir, key, reply.Admission, clock.Wall(), func(id *identity.Identity) error {
		if err := keepPeers(dir, reply.Peers); err != nil {
			return err
		}
		return begin(dir, id, name, configs.Lease{}, func(c *core.Core) (core.Ready, error) {
			return c.Adopt(clocks(), chain)
		})
	})
	if err != nil {
		return Mesh{}, err
	}
	return Mesh{ID: id.Mesh(), Node: id.ID(), Name: name}, nil
}

// begin writes the first state of a node, before the directory belongs to a
// mesh. What an attempt before it has left is of no use.
func begin(dir string, id *identity.Identity, name string, timing configs.Lease,
	first func(*core.Core) (core.Ready, error),
) (err error) {
	if err := os.RemoveAll(filepath.Join(dir, storeDir)); err != nil {
		return fmt.Errorf("remove an unfinished store: %w", err)
	}
	if err := keepName(dir, name); err != nil {
		return fmt.Errorf("keep the node's name: %w", err)
	}
	s, err := store.Open(filepath.Join(dir, storeDir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	disk, err := loadDisk(s, id)
	if err != nil {
		return err
	}
	c, err := core.New(clocks(), core.Config{
		Self:  mesh.Node{ID: id.ID(), Name: name, Role: mesh.Worker},
		Key:   id.Key().Private(),
		Lease: leaseConfig(timing),
		Rand:  newRand(),
	}, disk)
	if err != nil {
		return err
	}
	ready, err := first(c)
	if err != nil {
		return err
	}
	return s.Commit(ready.Keep, storeFacts(ready.Facts))
}

// keepName writes the node's name durably. The directory is synced with the
// certificate, which comes last.
func keepName(dir, name string) error {
	f, err := os.OpenFile(filepath.Join(dir, nameFile), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(name)
	return errors.Join(err, f.Sync(), f.Close())
}

// keepPeers writes the first addresses into the node's address book.
func keepPeers(dir string, peers []transport.JoinPeer) error {
	book, err := membership.OpenBook(filepath.Join(dir, bookFile), func(string, ...any) {})
	if err != nil {
		return err
	}
	for _, p := range peers {
		book.Saw(p.ID, p.Address)
	}
	return book.Flush()
}

// nodeName is the label of a node: as given, else the host's.
func nodeName(given string) (string, error) {
	name := given
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("find this host's name: %w", err)
		}
		name, _, _ = strings.Cut(host, ".")
	}
	if !mesh.ValidName(name) {
		return "", mesh.Faultf(mesh.Invalid, "node name %q: want 1 to 63 letters, digits, '-', '_' or '.'", name).
			Hint("give one with --name")
	}
	return name, nil
}

// withPort adds the default port to an address that has none.
func withPort(addr string) string {
	if strings.LastIndexByte(addr, ':') > strings.LastIndexByte(addr, ']') {
		return addr
	}
	return fmt.Sprintf("%s:%d", addr, configs.DefaultPort)
}

func alreadyAdmitted(dir string) error {
	return mesh.Faultf(mesh.Conflict, "%q belongs to a mesh already", dir).
		Hint("mn agent --data %s       runs its node", dir)
}
