package daemon

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mn/crdt"
	"mn/crdt/store"
	"mn/mesh"
	"mn/mesh/core"
	"mn/mesh/transport"
	"mn/placement/lease"
)

// fullDisk refuses to write while it is full.
type fullDisk struct {
	full    atomic.Bool
	commits atomic.Int64
}

func (d *fullDisk) Commit(crdt.Batch, []store.Fact) error {
	if d.full.Load() {
		return errors.New("no space left on device")
	}
	d.commits.Add(1)
	return nil
}

type noNet struct{}

func (noNet) Send(mesh.NodeID, []byte) {}

// bubbleClock reads the virtual time of a bubble.
func bubbleClock() core.Now {
	return core.Now{Boot: time.Duration(time.Now().UnixNano()), Wall: time.Now()}
}

// loneCore is the core of a mesh of one node.
func loneCore(t *testing.T) *core.Core {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	self := mesh.Node{ID: mesh.NodeIDOf(public), Name: "n1", Boot: "b", Role: mesh.Worker}
	c, err := core.New(bubbleClock(), core.Config{
		Self: self, Key: key, Lease: lease.Default(), Rand: rand.New(rand.NewPCG(1, 2)),
	}, core.Disk{Replica: crdt.Kept{Life: 1, Secret: []byte("test")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Bootstrap(bubbleClock(), mesh.Member{ID: self.ID, Name: "n1", Key: public}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFullDiskRefusesCallsAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loneCore(t)
		disk := &fullDisk{}
		l := newLoop(c, bubbleClock, &performer{
			store: disk, net: noNet{}, log: slog.New(slog.DiscardHandler), events: newHistory(defaultHistory(), clocks().Wall),
		})
		ctx, cancel := context.WithCancel(t.Context())
		go l.run(ctx)
		time.Sleep(time.Minute) // virtual: the slots are held by now

		if l.stuck() {
			t.Error("it is stuck on a good disk")
		}
		change := l.change()
		disk.full.Store(true)
		before := disk.commits.Load()
		put := core.PutToken{Token: mesh.Token{ID: "t1", Uses: 1}}
		for range 2 { // the first meets the failing write, the second the wait for space
			var f *mesh.Fault
			if _, err := l.ask(ctx, put); !errors.As(err, &f) || f.Kind != mesh.Unavailable {
				t.Errorf("a write to a full disk: %v, want it unavailable", err)
			}
		}
		if err := l.look(ctx, func(*core.Core) {}); err != nil {
			t.Errorf("a question while the disk is full: %v", err)
		}
		select {
		case <-change:
		default:
			t.Error("nobody was told that the disk is full")
		}
		if !l.stuck() {
			t.Error("it is not stuck on a full disk")
		}
		change = l.change()
		disk.full.Store(false)
		time.Sleep(2 * retryDisk) // virtual
		if _, err := l.ask(ctx, put); err != nil {
			t.Errorf("a write when there is space again: %v", err)
		}
		if disk.commits.Load() == before {
			t.Error("nothing was written when there was space again")
		}
		if <-change; l.stuck() {
			t.Error("it is still stuck when there is space again")
		}
		cancel()
		<-l.done
	})
}

// TestFullDiskRefusesACallThatWouldWaitForAPeer: its reply is not due yet when
// the disk refuses, and nobody would hear of the peer's.
func TestFullDiskRefusesACallThatWouldWaitForAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &fullDisk{}
		l := newLoop(loneCore(t), bubbleClock, &performer{
			store: disk, net: noNet{}, log: slog.New(slog.DiscardHandler), events: newHistory(defaultHistory(), clocks().Wall),
		})
		ctx, cancel := context.WithCancel(t.Context())
		go l.run(ctx)
		l.tell(core.Seen{Node: "peer", Liveness: mesh.Alive})
		time.Sleep(time.Second) // virtual
		disk.full.Store(true)
		for range 2 {
			limit, over := context.WithTimeout(ctx, time.Second)
			var f *mesh.Fault
			_, err := l.ask(limit, core.PutToken{Token: mesh.Token{ID: "t1", Uses: 1}})
			if !errors.As(err, &f) || f.Kind != mesh.Unavailable || limit.Err() != nil {
				t.Errorf("a write to a full disk with a peer in sight: %v, want it refused at once", err)
			}
			over()
		}
		cancel()
		<-l.done
	})
}

func TestWhoJoinsWhileTheAgentStartsIsToldSo(t *testing.T) {
	d := &daemon{up: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.join(ctx, nil, transport.JoinRequest{Token: "t1"})
	if mesh.FaultOf(err).Kind != mesh.Unavailable {
		t.Errorf("joined an agent that is starting: %v, want it unavailable", err)
	}
}

func TestLogOfAForgottenCopyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(loneCore(t), bubbleClock, &performer{
			store: &fullDisk{}, net: noNet{}, log: slog.New(slog.DiscardHandler), events: newHistory(defaultHistory(), clocks().Wall),
		})
		ctx, cancel := context.WithCancel(t.Context())
		go l.run(ctx)
		select {
		case <-(&daemon{loop: l}).ended(ctx, "gone"):
		case <-time.After(time.Minute): // virtual
			t.Error("who follows the log of a forgotten copy waits for ever")
		}
		cancel()
		<-l.done
	})
}
