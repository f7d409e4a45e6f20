// Package daemon composes a node: the core with its disk, its network, its
// tasks and its API. It is the only place where these meet, and decides
// nothing itself.
//
// [Run] owns everything that it makes, in the order of the floors: disk,
// driver, transport, core, gossip, API. What is made last ends first. Tasks do
// not end with it: their supervisors outlive the agent, and the next one finds
// them again.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"mn/configs"
	"mn/crdt/store"
	"mn/health/clock"
	"mn/health/vitals"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/content"
	"mn/mesh/core"
	"mn/mesh/identity"
	"mn/mesh/membership"
	"mn/mesh/transport"
	"mn/placement/lease"
	"mn/runner"
	"mn/runner/container"
	"mn/runner/exec"
)

// The layout of a node's data directory, besides the files of its identity.
const (
	storeDir   = "store"
	allocsDir  = "allocs"
	contentDir = "content"
	bookFile   = "peers.json"
	nameFile   = "name"
	// Socket is the name of the local API's socket in the data directory.
	Socket = "mn.sock"
)

// memoryLimit is what the agent's heap is kept under while there is garbage to
// collect: a soft limit, for a small footprint.
const memoryLimit = 64 << 20

// Options are what Run is told besides the settings.
type Options struct {
	Release string // version of mn
	Log     *slog.Logger
	Ready   func(Info) // called each time the API begins to answer; may be nil

	hostIP func() netip.Addr // transport.HostIP if nil
}

// Info is where a running agent is.
type Info struct {
	Node    mesh.NodeID
	Name    string
	Mesh    string
	Address netip.AddrPort // of its one UDP port
	Socket  string
}

// daemon is a running node.
type daemon struct {
	cfg     configs.Daemon
	opts    Options
	log     *slog.Logger
	id      *identity.Identity
	self    mesh.Node
	store   *store.Store
	driver  *exec.Driver
	engine  *container.Engine
	net     *transport.Endpoint
	gossip  atomic.Pointer[membership.Membership] // the transport asks it for addresses at any time
	loop    *loop
	up      chan struct{} // closed when there is a loop: the transport listens before
	checks  *checks
	history *history
	content *contents
	within  within
	taken   chan mesh.Port // by others, as was found when a task was to have it
	api     *api.Server
}

// errMoved ends a node whose machine has got another address.
var errMoved = errors.New("this machine's address has changed")

// Run runs the node of cfg.Data until ctx ends. When the machine's address
// changes it starts over: gossip cannot change its own, and an agent's restart
// costs its tasks nothing.
func Run(ctx context.Context, cfg configs.Daemon, opts Options) error {
	debug.SetMemoryLimit(memoryLimit)
	if opts.hostIP == nil {
		opts.hostIP = transport.HostIP
	}
	for {
		err := run(ctx, cfg, opts)
		if !errors.Is(err, errMoved) {
			return err
		}
		opts.Log.Info("the agent starts over; tasks run on", "why", err)
	}
}

// run runs the node until ctx ends or something does not let it go on.
func run(ctx context.Context, cfg configs.Daemon, opts Options) (err error) {
	d := &daemon{
		cfg: cfg, opts: opts, log: opts.Log, up: make(chan struct{}), within: newWithin(),
		taken: make(chan mesh.Port, 1),
	}
	if d.id, err = identity.Load(cfg.Data, clock.Wall()); err != nil {
		if errors.Is(err, identity.ErrNotAdmitted) {
			return mesh.Faultf(mesh.NotFound, "%q belongs to no mesh yet", cfg.Data).
				Hint("mn mesh init --data %s       makes a new mesh", cfg.Data).
				Hint("mn mesh join ADDR --token-file F --data %s", cfg.Data)
		}
		return err
	}
	var closers closers
	defer func() { err = errors.Join(err, closers.close()) }()
	c, err := d.open(&closers)
	if err != nil {
		return err
	}
	return d.serve(ctx, c, &closers)
}

// closers ends what was made, the last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		errs = append(errs, (*c)[i]())
	}
	return errors.Join(errs...)
}

// open makes everything up to the core.
func (d *daemon) open(closers *closers) (*core.Core, error) {
	var err error
	if d.store, err = store.Open(filepath.Join(d.cfg.Data, storeDir), d.log); err != nil {
		return nil, err
	}
	closers.add(d.store.Close)
	d.history = openHistory(d.cfg.Data, defaultHistory(), clock.Wall(), d.log)
	closers.add(d.history.close)
	kept, err := content.Open(filepath.Join(d.cfg.Data, contentDir))
	if err != nil {
		return nil, err
	}
	closers.add(kept.Close)
	if err := d.emptyPut(); err != nil {
		return nil, err
	}
	if err := openData(filepath.Dir(d.allocs()), d.log); err != nil {
		return nil, err
	}
	if d.content, err = newContents(d, kept); err != nil {
		return nil, err
	}
	d.engine = container.New(container.Config{
		Socket: d.cfg.Container.Socket, Node: d.id.ID(), Log: d.log, Say: d.pulls,
	})
	d.driver, err = exec.Open(exec.Config{
		Root: d.allocs(), Content: d.content, Keeper: d.content, Log: d.log, Containers: d.engine,
		Groups: string(d.id.ID()), Hidden: []string{filepath.Dir(d.allocs())}, Volumes: d.cfg.Volumes,
		Listens: d.listens,
	})
	if err != nil {
		return nil, err
	}
	closers.add(d.driver.Close)
	listen, err := d.listenAddr()
	if err != nil {
		return nil, err
	}
	d.net, err = transport.Listen(transport.Config{
		Addr: listen, Advertise: d.advertise(listen), Identity: d.id, Log: d.log,
		Admitted: func(mesh.NodeID) bool { return true }, // the CA has said so; see refuseEvicted
		Resolve:  d.resolve,
		Join:     d.join,
	})
	if err != nil {
		return nil, err
	}
	closers.add(d.net.Close)
	if d.self, err = d.describe(); err != nil {
		return nil, err
	}
	return d.newCore()
}

// allocs is the folder of allocations, without symbolic links on the way: a sandbox
// shows it at the place that tasks are told.
func (d *daemon) allocs() string {
	data := d.cfg.Data
	if abs, err := filepath.Abs(data); err == nil {
		data = abs
	}
	if real, err := filepath.EvalSymlinks(data); err == nil {
		data = real
	}
	return filepath.Join(data, allocsDir)
}

// newCore makes the core from what the disk has.
func (d *daemon) newCore() (*core.Core, error) {
	disk, err := loadDisk(d.store, d.id)
	if err != nil {
		return nil, err
	}
	disk.Found = d.driver.Found()
	timing := leaseConfig(d.cfg.Lease)
	return core.New(clocks(), core.Config{
		Self:  d.self,
		Key:   d.id.Key().Private(),
		Lease: timing,
		Tasks: runner.Facts{
			Node: d.self.ID, Name: d.self.Name, Boot: d.self.Boot,
			Root: d.allocs(), Base: runner.BaseEnv(os.Environ()),
		},
		JoinGrace: max(joinGrace, 2*timing.Length),
		Rand:      newRand(),
	}, disk)
}

// joinGrace is how long a node that starts waits for the peers that it knows
// before it takes them for lost.
const joinGrace = 8 * time.Second

func newRand() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

// loadDisk reads what the core finds when it starts.
func loadDisk(s *store.Store, id *identity.Identity) (core.Disk, error) {
	kept, facts, err := s.Load()
	if err != nil {
		return core.Disk{}, err
	}
	kept.Secret = id.CA() // the same on all nodes of the mesh
	disk := core.Disk{Replica: kept}
	for key, value := range facts {
		disk.Facts = append(disk.Facts, lease.Fact{Key: key, Value: value})
	}
	return disk, nil
}

// leaseConfig is the timing of agreement that the settings ask for.
func leaseConfig(l configs.Lease) lease.Config {
	c := lease.Default()
	if l.Length > 0 {
		c.Length = l.Length.Std()
		c.Renew = c.Length / 3
	}
	if l.Renew > 0 {
		c.Renew = l.Renew.Std()
	}
	c.Retry = min(c.Retry, c.Renew)
	return c
}

// clocks reads both clocks.
func clocks() core.Now { return core.Now{Boot: vitals.Now(), Wall: clock.Wall()} }

// describe is what this node says about itself.
func (d *daemon) describe() (mesh.Node, error) {
	host, err := vitals.Read(d.cfg.Data)
	if err != nil {
		return mesh.Node{}, err
	}
	name, err := d.name()
	if err != nil {
		return mesh.Node{}, err
	}
	return mesh.Node{
		ID: d.id.ID(), Name: name, Address: d.net.Addr().String(), Boot: host.Boot,
		Role: mesh.Worker, Release: d.opts.Release, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Pool: d.cfg.Pool, Labels: d.cfg.Labels, Drivers: []string{mesh.DefaultDriver}, Programs: programs(),
		Isolation: d.driver.Isolation(), Volumes: d.cfg.Volumes,
		Capacity:  capacity(host.Capacity, d.cfg),
		StartedAt: clock.Wall().UTC(),
	}, nil
}

// name is this node's label: that of the settings, else the one it joined with.
// One that a power cut has taken, from a release that did not sync it, is
// replaced by the id: nothing is called by an empty name.
func (d *daemon) name() (string, error) {
	if d.cfg.Name != "" {
		return d.cfg.Name, nil
	}
	b, err := os.ReadFile(filepath.Join(d.cfg.Data, nameFile))
	if err != nil {
		return "", fmt.Errorf("read the node's name: %w", err)
	}
	if len(b) == 0 {
		return d.id.ID().Short(), nil
	}
	return string(b), nil
}

// capacity is what a node shares out: what was found, or what the settings say
// instead, less what they keep from tasks.
func capacity(found mesh.Resources, cfg configs.Daemon) mesh.Resources {
	if cfg.Capacity.CPU > 0 {
		found.CPU = cfg.Capacity.CPU
	}
	if cfg.Capacity.Memory > 0 {
		found.Memory = cfg.Capacity.Memory
	}
	if cfg.Capacity.Disk > 0 {
		found.Disk = cfg.Capacity.Disk
	}
	left := found.Sub(cfg.Reserve)
	return mesh.Resources{CPU: max(left.CPU, 0), Memory: max(left.Memory, 0), Disk: max(left.Disk, 0)}
}

// listenAddr is where the one UDP port listens.
func (d *daemon) listenAddr() (netip.AddrPort, error) {
	ip := netip.IPv4Unspecified()
	if d.cfg.Bind != "" {
		var err error
		if ip, err = netip.ParseAddr(d.cfg.Bind); err != nil {
			return netip.AddrPort{}, fmt.Errorf("read bind address %q: %w", d.cfg.Bind, err)
		}
	}
	port := d.cfg.Port
	if port == 0 {
		port = configs.DefaultPort
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// advertise is the address that peers are told: where we listen, and if that is
// everywhere, this machine's.
func (d *daemon) advertise(listen netip.AddrPort) netip.AddrPort {
	if !listen.Addr().IsUnspecified() {
		return listen
	}
	ip := d.opts.hostIP()
	if ip.IsLoopback() {
		d.log.Warn("this machine has no network yet: no peer can reach it")
	}
	return netip.AddrPortFrom(ip, listen.Port())
}

// resolve is where a peer is now.
func (d *daemon) resolve(id mesh.NodeID) (string, bool) {
	gossip := d.gossip.Load()
	if gossip == nil {
		return "", false // not yet
	}
	return gossip.Address(id)
}
