package membership

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

// remember writes where node i believes a peer to be, the newest last.
func (c *crowd) remember(i int, peer mesh.NodeID, addrs ...string) {
	c.t.Helper()
	book, err := OpenBook(filepath.Join(c.dir, string(c.ids[i])+".json"), quiet)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, a := range addrs {
		book.Saw(peer, a)
	}
	if err := book.Flush(); err != nil {
		c.t.Fatal(err)
	}
}

// dead is as many addresses of a node as a book keeps, and nobody there.
func dead(i int) []string {
	var list []string
	for j := range maxAddresses {
		list = append(list, fmt.Sprintf("10.9.%d.%d:7000", i, j))
	}
	return list
}

// TestABeaconDoesNotWaitForDeadAddresses: each of them takes seconds to fail,
// and a mesh that has moved often knows many.
func TestABeaconDoesNotWaitForDeadAddresses(t *testing.T) {
	for _, gone := range []int{0, 3 * tryAtOnce} {
		t.Run(fmt.Sprintf("%d peers that stay away", gone), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const here = 3
				c := newCrowd(t, Lab, here+gone)
				c.lan = true
				defer c.end()
				for i := range here {
					for j, peer := range c.ids {
						if i != j {
							c.remember(i, peer, dead(j)...)
						}
					}
				}
				for i := range here {
					c.start(i, addrOf(i))
					time.Sleep(300 * time.Millisecond) // the tries of the first are under way
				}
				took := c.until("they are whole", 2*time.Second, c.whole)
				t.Logf("formed %v after the last was there", took)
			})
		})
	}
}

// TestStaleBeaconsDoNotHoldUpTheBook: anyone on the network can say again what
// was true once.
func TestStaleBeaconsDoNotHoldUpTheBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 2)
		defer c.end()
		c.remember(0, c.ids[1], append([]string{addrOf(1)}, dead(1)[:maxAddresses-1]...)...)
		c.start(1, addrOf(1))
		c.lan = true
		c.start(0, addrOf(0))
		stranger := c.air.lan()
		defer stranger.Close()
		start := time.Now()
		for i := 0; !c.whole(); i++ {
			stale := beacon{c.ids[1], fmt.Sprintf("10.8.0.%d:7000", i%5)}
			packet, err := stale.seal(testKeyring)
			if err != nil {
				t.Fatal(err)
			}
			if err := stranger.Send(packet); err != nil {
				t.Fatal(err)
			}
			if time.Since(start) > (maxAddresses+1)*timings[Lab].stream {
				t.Fatalf("not whole after %v", time.Since(start))
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func TestTriesAreBounded(t *testing.T) {
	now := time.Now()
	r := newRejoiner(nil)
	for i := range 5 * tryAtOnce {
		id := mesh.NodeID(fmt.Sprint("n", i))
		r.targets[id] = &target{at: now, hint: addrOf(i), fresh: true}
	}
	list := r.due(now)
	hints := 0
	for _, a := range list {
		if a.hint != "" {
			hints++
		}
	}
	if len(list) != tryAtOnce || hints != askAtOnce {
		t.Errorf("%d tries, %d of them at hints, want %d and %d", len(list), hints, tryAtOnce, askAtOnce)
	}
	if more := r.due(now); len(more) != 0 {
		t.Errorf("%d more while there is no room", len(more))
	}
	if w := r.wait(now); w <= 0 {
		t.Errorf("without room it waits %v: it spins", w)
	}
	for _, a := range list {
		r.ended(a, now)
	}
	if again := r.due(now); len(again) != tryAtOnce {
		t.Errorf("%d tries once there is room, want %d", len(again), tryAtOnce)
	}
}

func TestTheHintComesBeforeTheBook(t *testing.T) {
	book, err := OpenBook(filepath.Join(t.TempDir(), "peers.json"), quiet)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		book.Saw("a", addrOf(i))
	}
	r := newRejoiner(&Membership{conf: Config{Book: book}})
	for _, c := range []struct {
		now  target
		want []string
	}{
		{target{}, []string{addrOf(2), addrOf(1), addrOf(0)}},
		{target{hint: addrOf(0)}, []string{addrOf(0), addrOf(2), addrOf(1)}},
		{target{hint: addrOf(9)}, []string{addrOf(9), addrOf(2), addrOf(1), addrOf(0)}},
		{target{hint: addrOf(0), asking: true}, []string{addrOf(2), addrOf(1)}},
	} {
		r.targets["a"] = &c.now
		if got := r.addresses("a"); !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.now, got, c.want)
		}
	}
}
