package membership

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

func TestACrashIsKnownToAllInTime(t *testing.T) {
	for _, c := range []struct {
		profile Profile
		nodes   int
		limit   time.Duration
	}{
		// How long nobody happens to probe the dead node is a matter of chance:
		// a round of probes at worst, half of one with a few in ten thousand.
		{Lab, 3, 3 * time.Second},
		{Lab, 5, 3500 * time.Millisecond},
		{Lab, 10, 4 * time.Second},
		{Fast, 3, 700 * time.Millisecond},
		{Fast, 5, 900 * time.Millisecond},
		{Fast, 10, time.Second},
	} {
		t.Run(fmt.Sprintf("%s of %d", c.profile, c.nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crowd := newCrowd(t, c.profile, c.nodes)
				defer crowd.end()
				crowd.startAll()
				time.Sleep(20 * time.Second)
				crowd.crash(c.nodes - 1)
				took := crowd.until("the crash is known", 30*time.Second, crowd.sees(c.nodes-1, mesh.Lost))
				t.Logf("%s of %d: known to all after %v", c.profile, c.nodes, took)
				if took > c.limit {
					t.Errorf("known after %v, want %v", took, c.limit)
				}
				for id, n := range crowd.nodes {
					if n.losses() != 1 {
						t.Errorf("%s saw %d losses, want 1", id, n.losses())
					}
				}
			})
		})
	}
}

func TestANodeThatLeavesIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 3)
		defer c.end()
		c.startAll()
		start := time.Now()
		if err := c.nodes[c.ids[2]].Leave(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("leaving took %v", took)
		}
		c.crash(2)
		c.until("it has left", 5*time.Second, c.sees(2, mesh.Left))
		time.Sleep(time.Minute)
		for id, n := range c.nodes {
			if n.losses() != 0 {
				t.Errorf("%s saw a loss", id)
			}
		}
		c.start(2, addrOf(2))
		c.until("it is back", 10*time.Second, c.whole)
	})
}

func TestARestartedNodeIsBackAtOnceEvenElsewhere(t *testing.T) {
	for _, c := range []struct {
		name string
		down time.Duration
		addr string
	}{
		{"at once", 0, addrOf(2)},
		{"after its loss is known", 10 * time.Second, addrOf(2)},
		{"elsewhere, at once", 0, addrOf(50)},
		{"elsewhere, after its loss is known", 10 * time.Second, addrOf(50)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				crowd := newCrowd(t, Lab, 4)
				defer crowd.end()
				crowd.startAll()
				time.Sleep(5 * time.Second)
				crowd.crash(2)
				time.Sleep(c.down)
				crowd.start(2, c.addr)
				crowd.until("it is back", 8*time.Second, crowd.whole)
			})
		})
	}
}

// TestASplitHealsThoughSerfHasForgotten: Serf forgets who is gone, here after a
// minute; what heals a split does not depend on its memory.
func TestASplitHealsThoughSerfHasForgotten(t *testing.T) {
	const forgetful Profile = "forgetful"
	short := timings[Lab]
	short.memory = time.Minute
	timings[forgetful] = short
	defer delete(timings, forgetful)
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, forgetful, 5)
		defer c.end()
		c.startAll()
		c.air.split([]string{addrOf(0), addrOf(1)}, []string{addrOf(2), addrOf(3), addrOf(4)})
		c.until("each side has lost the other", 10*time.Second, func() bool {
			return c.nodes[c.ids[0]].Stats().Alive == 1 && c.nodes[c.ids[4]].Stats().Alive == 2
		})
		time.Sleep(10 * time.Minute)
		if n := len(c.nodes[c.ids[0]].serf.Members()); n != 2 {
			t.Fatalf("Serf still knows %d nodes, want 2", n)
		}
		if s := c.nodes[c.ids[0]].state(c.ids[4]); s != mesh.Lost {
			t.Errorf("we have forgotten a lost node: %q", s)
		}
		c.air.split()
		took := c.until("it is whole again", 2*lastRetry, c.whole)
		t.Logf("healed after %v", took)
	})
}

func TestAMeshReformsAfterATotalOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 4)
		defer c.end()
		c.startAll()
		for i := range c.ids {
			c.crash(i)
		}
		time.Sleep(time.Hour)
		for i := range c.ids { // without seeds
			c.start(i, addrOf(i))
			time.Sleep(time.Second)
		}
		took := c.until("it is whole again", 20*time.Second, c.whole)
		t.Logf("formed again after %v", took)
	})
}

func TestAMeshReformsWhenAllAddressesHaveChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 4)
		c.lan = true
		defer c.end()
		c.startAll()
		for i := range c.ids {
			c.crash(i)
		}
		for i := range c.ids {
			c.start(i, addrOf(100+i))
		}
		took := c.until("it is whole again", 20*time.Second, c.whole)
		t.Logf("formed again after %v", took)
		time.Sleep(2 * time.Minute)
		var before int64
		for _, n := range c.nodes {
			before += n.Stats().BeaconsSent
		}
		time.Sleep(10 * time.Minute)
		var after int64
		for _, n := range c.nodes {
			after += n.Stats().BeaconsSent
		}
		if after != before {
			t.Errorf("%d beacons went out while nobody was missing", after-before)
		}
		for i := range c.ids {
			c.crash(i)
		}
		// The new addresses are in the books: this time the network is not needed.
		c.lan = false
		for i := range c.ids {
			c.start(i, addrOf(100+i))
		}
		c.until("it is whole once more", 20*time.Second, c.whole)
	})
}

func TestVitalsReachAllAndAreRateBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 3)
		defer c.end()
		c.startAll()
		v := Vitals{Name: "n", Address: addrOf(0), Boot: "boot", Role: mesh.Worker, Release: "1.0"}
		start := time.Now()
		for i := range 1000 {
			v.Free.CPU = mesh.Cores(i)
			if err := c.nodes[c.ids[0]].SetVitals(v); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("SetVitals blocked: %v", took)
		}
		c.until("the last is known", 5*time.Second, func() bool {
			members := c.nodes[c.ids[2]].Members()
			return members[0].Vitals == v
		})
		n := c.nodes[c.ids[2]]
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.seen) > 12 {
			t.Errorf("%d events for ten seconds of changes", len(n.seen))
		}
	})
}

// TestAbstentionIsSaidAgain: what was lost on its way would be known only with
// the next exchange of everything, half a minute later.
func TestAbstentionIsSaidAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 3)
		defer c.end()
		c.startAll()
		v := Vitals{Name: "n", Address: addrOf(0), Boot: "boot", Role: mesh.Worker, Abstains: true}
		known := func() bool {
			for _, m := range c.nodes[c.ids[2]].Members() {
				if m.Node == c.ids[0] {
					return m.Vitals == v
				}
			}
			return false
		}
		c.air.split([]string{addrOf(0)}, []string{addrOf(1), addrOf(2)})
		if err := c.nodes[c.ids[0]].SetVitals(v); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond) // gossip has said it as often as it does
		c.air.split()
		c.until("it is known", 2*vitalsPeriod, known)
		v.Abstains = false
		if err := c.nodes[c.ids[0]].SetVitals(v); err != nil {
			t.Fatal(err)
		}
		c.until("it is taken back", 2*vitalsPeriod, known)
	})
}

func TestHintsReachAllUpToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 5)
		defer c.end()
		c.startAll()
		big := Hint{Name: "fetch", Payload: make([]byte, maxHint-len("fetch"))}
		if err := c.nodes[c.ids[0]].Broadcast(big); err != nil {
			t.Fatal(err)
		}
		for id, n := range c.nodes {
			select {
			case h := <-n.Hints():
				if h.Name != "fetch" || len(h.Payload) != len(big.Payload) {
					t.Errorf("%s got %q with %d bytes", id, h.Name, len(h.Payload))
				}
			case <-time.After(3 * time.Second):
				t.Errorf("%s got no hint", id)
			}
		}
		big.Payload = append(big.Payload, 0)
		if err := c.nodes[c.ids[0]].Broadcast(big); err == nil {
			t.Error("a hint that would not spread was taken")
		}
	})
}

func TestAnEvictedNodeDoesNotComeBackByGossip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 3)
		defer c.end()
		stranger := c.ids[2]
		c.ids = c.ids[:2]
		c.startAll()
		c.ids = append(c.ids, stranger)
		n := c.start(2, addrOf(2), addrOf(0))
		c.ids = c.ids[:2]
		time.Sleep(20 * time.Second)
		for _, id := range c.ids {
			if s := c.nodes[id].state(stranger); s != mesh.Unseen {
				t.Errorf("%s sees the evicted node: %q", id, s)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		delete(c.nodes, stranger)
	})
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	good := Config{
		Self: "a", Transport: newAir().plug("a", addrOf(0)), Book: &Book{}, Keyring: testKeyring,
		Peers: func() []mesh.NodeID { return nil }, Admitted: func(mesh.NodeID) bool { return true },
		Log: slog.New(slog.DiscardHandler),
	}
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no id":            func(c *Config) { c.Self = "" },
		"no key":           func(c *Config) { c.Keyring = nil },
		"a short key":      func(c *Config) { c.Keyring = [][]byte{{1}} },
		"a named seed":     func(c *Config) { c.Seeds = []string{"host.example:7700"} },
		"no such profile":  func(c *Config) { c.Profile = "slow" },
		"no log":           func(c *Config) { c.Log = nil },
		"too long a name":  func(c *Config) { c.Vitals.Name = string(make([]byte, 100)) },
		"no book":          func(c *Config) { c.Book = nil },
		"no list of peers": func(c *Config) { c.Peers = nil },
	} {
		conf := good
		change(&conf)
		if m, err := Start(conf); err == nil {
			t.Errorf("%s: it starts", name)
			_ = m.Close()
		}
	}
}
