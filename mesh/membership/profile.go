package membership

import (
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"
)

// Profile is how quickly a node that has gone is declared lost, and how much
// talk that costs. All nodes of a mesh should have the same.
type Profile string

// The profiles.
const (
	Lab  Profile = "lab"  // a crash is known in 2 to 3 s; the default
	Fast Profile = "fast" // in 0.4 to 0.6 s, on a good local network
	WAN  Profile = "wan"  // in a minute, over links that come and go
)

// never is longer than any mesh lives.
const never = 100 * 365 * 24 * time.Hour

// Validate says what is wrong with p.
func (p Profile) Validate() error {
	if _, ok := timings[p]; !ok && p != "" {
		return fmt.Errorf("gossip profile %q: want %q, %q or %q", p, Lab, Fast, WAN)
	}
	return nil
}

func (p Profile) timing() timing {
	if p == "" {
		p = Lab
	}
	return timings[p]
}

// timing is what a profile sets. A crash is seen by the next node that probes
// the dead one, at most two probe intervals later among three nodes; that node
// waits for one interval more, and then suspects for suspicion intervals
// before it declares the loss.
//
// The time of suspicion does not wait for a second opinion (maxSuspicion 1):
// Lifeguard's six times longer suspicion without one makes a loss in a small
// mesh take five times as long, and what it guards against, a slow node that
// accuses others, is bounded here by the node's own health (awareness), which
// slows its probes, and by the accused, who answers for itself.
type timing struct {
	probe, probeTimeout time.Duration
	suspicion           int
	maxSuspicion        int
	gossip              time.Duration
	pushPull            time.Duration
	stream              time.Duration // for a push and pull, or a try to reach a peer
	leaveDelay          time.Duration
	broadcastTimeout    time.Duration
	memory              time.Duration // of those who are gone, by Serf itself
}

var timings = map[Profile]timing{
	Lab: {
		probe: 350 * time.Millisecond, probeTimeout: 175 * time.Millisecond,
		suspicion: 4, maxSuspicion: 1,
		gossip: 100 * time.Millisecond, pushPull: 30 * time.Second, stream: 2 * time.Second,
		leaveDelay: 500 * time.Millisecond, broadcastTimeout: 2 * time.Second, memory: never,
	},
	Fast: {
		probe: 75 * time.Millisecond, probeTimeout: 40 * time.Millisecond,
		suspicion: 4, maxSuspicion: 1,
		gossip: 20 * time.Millisecond, pushPull: 15 * time.Second, stream: time.Second,
		leaveDelay: 200 * time.Millisecond, broadcastTimeout: time.Second, memory: never,
	},
	WAN: {
		probe: 5 * time.Second, probeTimeout: 3 * time.Second,
		suspicion: 6, maxSuspicion: 2,
		gossip: 500 * time.Millisecond, pushPull: time.Minute, stream: 10 * time.Second,
		leaveDelay: 3 * time.Second, broadcastTimeout: 10 * time.Second, memory: never,
	},
}

func (t timing) memberlist() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.ProbeInterval = t.probe
	c.ProbeTimeout = t.probeTimeout
	c.SuspicionMult = t.suspicion
	c.SuspicionMaxTimeoutMult = t.maxSuspicion
	c.GossipInterval = t.gossip
	c.PushPullInterval = t.pushPull
	c.TCPTimeout = t.stream
	// A node that was lost may come back from another address at once.
	c.DeadNodeReclaimTime = time.Millisecond
	return c
}
