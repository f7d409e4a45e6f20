package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"mn/configs"
	"mn/crdt"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
	"mn/mesh/membership"
	"mn/mesh/transport"
)

// addressEvery is how often a node that listens everywhere looks which address
// its machine has. A change counts when it was seen twice.
const addressEvery = 2 * time.Second

// watchPause is at least between two looks at the picture of the mesh: one costs the more
// the more copies there are.
const watchPause = 100 * time.Millisecond

// maintainEvery is how often the store is asked to give space back.
const maintainEvery = time.Hour

// serve runs the core and everything that talks to it, until ctx ends or the
// node finds that it must not go on.
func (d *daemon) serve(ctx context.Context, c *core.Core, closers *closers) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	closers.add(func() error { wg.Wait(); return nil })
	closers.add(func() error { fail(nil); return nil })

	d.checks = newChecks(clocks, d.prober().Run, func(ev core.Event) { d.loop.tell(ev) }, d.hint)
	d.loop = newLoop(c, clocks, &performer{
		store: d.store, net: d.net, driver: d.driver, log: d.log, events: d.history, watch: d.checks.set,
		fetch: func(f core.Fetch) { d.content.fetch(ctx, &wg, f) },
	})
	wg.Go(func() { d.loop.run(ctx) })
	wg.Go(func() { d.checks.run(ctx) })
	close(d.up)
	if err := d.startGossip(ctx, closers); err != nil {
		return err
	}
	wg.Go(func() { d.pump(ctx) })
	wg.Go(func() { d.watch(ctx, fail) })
	wg.Go(func() { d.equip(ctx) })
	wg.Go(func() { d.appear(ctx) })
	wg.Go(func() { d.keepAuthority(ctx) })
	wg.Go(func() { d.keepCertificate(ctx) })
	wg.Go(func() { d.maintain(ctx) })
	wg.Go(func() { d.content.serve(ctx, &wg) })
	wg.Go(func() { d.content.collect(ctx) })
	wg.Go(func() { d.watchAddress(ctx, fail) })
	err := d.answerNames(ctx, &wg, closers)
	if err == nil {
		err = d.listen(&wg, fail, closers)
	}
	if err != nil {
		return cmp.Or(why(ctx), err) // it may have found meanwhile that it must not go on
	}
	if d.opts.Ready != nil {
		d.opts.Ready(Info{
			Node: d.self.ID, Name: d.self.Name, Mesh: d.id.Mesh(), Address: d.net.Addr(), Socket: d.socket(),
			DNS: d.dnsAddress(),
		})
	}
	<-ctx.Done()
	if err := why(ctx); err != nil {
		return err
	}
	d.log.Info("the agent stops; its tasks run on")
	return nil
}

// why is why the node must not go on, if that is what has ended a context.
func why(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (d *daemon) socket() string { return filepath.Join(d.cfg.Data, Socket) }

// startGossip begins to look for peers.
func (d *daemon) startGossip(ctx context.Context, closers *closers) error {
	book, err := membership.OpenBook(filepath.Join(d.cfg.Data, bookFile), d.log.Warn)
	if err != nil {
		return err
	}
	if err := d.recall(ctx, book); err != nil {
		return err
	}
	seeds, err := resolveSeeds(ctx, d.cfg.Seeds)
	if err != nil {
		d.log.Warn("a seed has no address now", "err", err)
	}
	conf := membership.Config{
		Self:      d.self.ID,
		Vitals:    d.vitals(d.self.Capacity, false),
		Transport: d.net.Gossip(),
		Keyring:   d.id.Keyring(),
		Profile:   membership.Profile(d.cfg.Profile),
		Book:      book,
		Seeds:     seeds,
		// A node that has just joined knows its peers only from the book.
		Peers:    func() []mesh.NodeID { return append(d.peers(ctx), book.Nodes()...) },
		Admitted: func(mesh.NodeID) bool { return true }, // gossip decides nothing
		Log:      d.log,
	}
	if !d.cfg.Discovery.Off {
		if conf.Discovery, err = d.discovery(); err != nil {
			d.log.Warn("no search for peers on the local network", "err", err)
		}
	}
	gossip, err := membership.Start(conf)
	if err != nil {
		return err
	}
	d.gossip.Store(gossip)
	closers.add(gossip.Close)
	return nil
}

// recall notes where peers have said that they are, of those that the book does not
// have: it is written some time after they were seen, their records are durable at once.
func (d *daemon) recall(ctx context.Context, book *membership.Book) error {
	return d.loop.look(ctx, func(c *core.Core) {
		for _, n := range c.View().Nodes {
			if n.ID != d.self.ID && len(book.Addresses(n.ID)) == 0 {
				book.Saw(n.ID, n.Address)
			}
		}
	})
}

func (d *daemon) discovery() (membership.Discovery, error) {
	addr, err := d.listenAddr()
	if err != nil {
		return nil, err
	}
	port := d.cfg.Discovery.Port
	if port == 0 {
		port = configs.DefaultDiscoveryPort
	}
	lan, err := membership.ListenLAN(addr.Addr(), uint16(port))
	if err != nil {
		return nil, err // not lan: a nil pointer in an interface is not nil
	}
	return lan, nil
}

// resolveSeeds turns the seeds into addresses.
func resolveSeeds(ctx context.Context, seeds []string) ([]string, error) {
	var addrs []string
	var errs []error
	for _, s := range seeds {
		host, port, err := net.SplitHostPort(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("read seed %q: %w", s, err))
			continue
		}
		if _, err := netip.ParseAddr(host); err == nil {
			addrs = append(addrs, s)
			continue
		}
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			errs = append(errs, fmt.Errorf("resolve seed %q: %w", s, err))
		}
		for _, ip := range found {
			addrs = append(addrs, net.JoinHostPort(ip, port))
		}
	}
	return addrs, errors.Join(errs...)
}

// peers are the admitted nodes but this one: gossip looks for them for ever.
func (d *daemon) peers(ctx context.Context) []mesh.NodeID {
	var ids []mesh.NodeID
	_ = d.loop.look(ctx, func(c *core.Core) {
		for _, m := range c.Members() {
			if m.ID != d.self.ID {
				ids = append(ids, m.ID)
			}
		}
	})
	return ids
}

func (d *daemon) vitals(free mesh.Resources, abstains bool) membership.Vitals {
	return membership.Vitals{
		Name: d.self.Name, Address: d.self.Address, Boot: d.self.Boot,
		Role: d.self.Role, Release: d.self.Release, Free: free, Abstains: abstains,
	}
}

// pump hands what comes from the network, from gossip and from tasks to the core.
func (d *daemon) pump(ctx context.Context) {
	gossip := d.gossip.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-d.net.Received():
			var msg core.Message
			if err := crdt.Decode(m.Body, &msg); err != nil {
				d.log.Warn("message not understood", "from", m.From, "err", err)
				continue
			}
			d.loop.tell(core.Received{From: m.From, Msg: msg})
		case ev := <-gossip.Events():
			if ev.State == mesh.Lost {
				d.net.Drop(ev.Node) // what waits in a dead connection is lost with it
			}
			d.loop.tell(core.Seen{Node: ev.Node, Liveness: ev.State})
			d.loop.tell(core.Abstained{Node: ev.Node, Abstains: ev.Vitals.Abstains})
		case h := <-gossip.Hints():
			d.hinted(h)
		case o := <-d.driver.Observations():
			d.loop.tell(core.Observed{Observation: o})
		}
	}
}

// watch follows the picture of the mesh: it gossips what is free here and whether
// this node can lead, and ends the agent if the node is out, or if another had
// its name first.
func (d *daemon) watch(ctx context.Context, fail context.CancelCauseFunc) {
	for {
		change := d.loop.change()
		var view *mesh.View
		var members []mesh.Member
		abstains := d.loop.stuck()
		out := ""
		err := d.loop.look(ctx, func(c *core.Core) {
			view, members, abstains = c.View(), c.Members(), abstains || c.Abstains()
			out = c.Out()
		})
		if err != nil {
			return
		}
		if out != "" {
			fail(mesh.Faultf(mesh.Denied, "this node is out: %s", out).
				Hint("what it ran has stopped; the machine can join anew with an empty data directory: mn mesh join"))
			return
		}
		if err := nameTaken(view, members, d.self); err != nil {
			fail(err)
			return
		}
		if me := view.Node(d.self.ID); me != nil {
			if err := d.gossip.Load().SetVitals(d.vitals(me.Capacity.Sub(me.Used.Resources), abstains)); err != nil {
				d.log.Warn("gossip what is free", "err", err)
			}
		}
		// A burst of changes costs one look a pause, not one a change.
		pause := time.NewTimer(watchPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}

// nameTaken says so if another node has the right to this one's name: it was
// admitted under it, or else before this one.
func nameTaken(v *mesh.View, members []mesh.Member, self mesh.Node) error {
	precedes := func(a, b mesh.Member) bool {
		if under := a.Name == self.Name; under != (b.Name == self.Name) {
			return under
		}
		return a.AdmittedAt.Before(b.AdmittedAt)
	}
	me := slices.IndexFunc(members, func(m mesh.Member) bool { return m.ID == self.ID })
	for _, m := range members {
		n := v.Node(m.ID)
		if me < 0 || m.ID == self.ID || n == nil || n.Name != self.Name || !precedes(m, members[me]) {
			continue
		}
		return mesh.Faultf(mesh.Conflict, "the name %q is taken by node %s", self.Name, m.ID.Short()).
			Hint("choose another: mn agent --name NAME")
	}
	return nil
}

// watchAddress ends the node when its machine has got another address.
func (d *daemon) watchAddress(ctx context.Context, fail context.CancelCauseFunc) {
	if ip, err := netip.ParseAddr(d.cfg.Bind); err == nil && !ip.IsUnspecified() {
		return // it listens on this address and no other
	}
	tick := time.NewTicker(addressEvery)
	defer tick.Stop()
	told := d.net.Addr().Addr()
	for seen := told; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.opts.hostIP()
		if now != told && now == seen && !now.IsLoopback() {
			fail(fmt.Errorf("%w from %v to %v", errMoved, told, now))
			return
		}
		seen = now
	}
}

// maintain lets the store tidy up.
func (d *daemon) maintain(ctx context.Context) {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.store.Maintain(); err != nil {
				d.log.Warn("tidy the store", "err", err)
			}
		}
	}
}

// listen opens the doors of the API.
func (d *daemon) listen(wg *sync.WaitGroup, fail context.CancelCauseFunc, closers *closers) error {
	d.api = api.NewServer(&backend{d})
	closers.add(d.api.Close)
	guard := func(serve func() error) {
		wg.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				fail(err)
			}
		})
	}
	l, err := listenSocket(d.socket())
	if err != nil {
		return err
	}
	guard(func() error { return d.api.Serve(l, api.Socket) })
	guard(func() error {
		return d.api.ServePeers(d.net.Listener(transport.KindAPI), func(ctx context.Context, c net.Conn) error {
			return d.refuseEvicted(ctx, transport.PeerOf(c))
		})
	})
	members := d.memberServer()
	closers.add(members.Close)
	wg.Go(func() { _ = members.Serve(d.net.Listener(transport.KindMember)) })
	if d.cfg.HTTP != "" {
		l, err := net.Listen("tcp", d.cfg.HTTP)
		if err != nil {
			return fmt.Errorf("listen on %q: %w", d.cfg.HTTP, err)
		}
		guard(func() error { return d.api.Serve(l, api.Loopback) })
	}
	return nil
}

// refuseEvicted says why a peer is not answered, if so. The key of a node that was
// evicted still opens connections until its certificate ends: it must hear that it
// is out, but has nothing to ask for. A peer that we do not know yet has just
// joined: the certificate says so.
func (d *daemon) refuseEvicted(ctx context.Context, peer mesh.NodeID) error {
	evicted := false
	if err := d.loop.look(ctx, func(c *core.Core) { evicted = c.Evicted(peer) }); err != nil {
		return err
	}
	if evicted {
		return mesh.Faultf(mesh.Denied, "node %s is out: the mesh has evicted it", peer.Short())
	}
	return nil
}

// socketMax is how long the path of a unix socket may be.
const socketMax = 107

// listenSocket opens the local socket for its owner alone. One that is left
// from an agent that was killed is in nobody's way: the store's lock has made
// sure that no other agent runs here.
func listenSocket(path string) (net.Listener, error) {
	if len(path) > socketMax {
		return nil, mesh.Faultf(mesh.Invalid, "the path of the socket, %q, is longer than %d bytes", path, socketMax).
			Hint("choose a data directory with a shorter path")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	// It is made with the permissions that it has before it has a name: others get to the
	// data folder, see openData.
	made := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	l, err := made.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close socket to others: %w", err), l.Close())
	}
	return l, nil
}
