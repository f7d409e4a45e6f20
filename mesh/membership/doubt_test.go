package membership

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/serf/serf"

	"mn/mesh"
)

func TestHowLongALossIsDoubted(t *testing.T) {
	const suspicion = 300 * time.Millisecond // of Fast
	for _, c := range []struct {
		name      string
		lag       time.Duration
		lagAgo    time.Duration
		answered  time.Duration // ago; 0: never
		wantAbout time.Duration
	}{
		{name: "a calm process, a node that has not answered since"},
		{name: "an answer from before the suspicion", answered: suspicion + 75*time.Millisecond},
		{name: "an answer since", answered: suspicion / 2, wantAbout: suspicion},
		{name: "no lag to speak of", lag: lagTolerated},
		{name: "a lag", lag: 50 * time.Millisecond, wantAbout: 200 * time.Millisecond},
		{name: "a lag long ago", lag: 50 * time.Millisecond, lagAgo: 2 * lagMemory},
		{name: "a long pause", lag: time.Minute, wantAbout: maxDoubt},
		{name: "both", lag: 100 * time.Millisecond, answered: time.Millisecond, wantAbout: 400 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDoubter(timings[Fast])
			now := time.Now()
			if c.answered > 0 {
				d.answers("a")
				time.Sleep(c.answered)
				now = time.Now()
			}
			d.noteLag(c.lag, now.Add(-c.lagAgo))
			if got := d.doubt("a", now); got != c.wantAbout {
				t.Errorf("%s: got %v, want %v", c.name, got, c.wantAbout)
			}
		})
	}
}

func TestTheWorstOfTheRecentLagsCounts(t *testing.T) {
	d, now := newDoubter(timings[Fast]), time.Now()
	d.noteLag(100*time.Millisecond, now)
	d.noteLag(time.Millisecond, now.Add(time.Second))
	if got := d.doubt("a", now.Add(time.Second)); got != lagFactor*100*time.Millisecond {
		t.Errorf("got %v", got)
	}
	d.noteLag(time.Millisecond, now.Add(2*lagMemory))
	if got := d.doubt("a", now.Add(2*lagMemory)); got != 0 {
		t.Errorf("long after: got %v", got)
	}
}

// TestALossThatIsRefutedWhileInDoubtIsNotTold, and one that is not, is.
func TestALossThatIsRefutedWhileInDoubtIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Fast, 1)
		defer c.end()
		c.ids = append(c.ids, "a")
		n := c.start(0, addrOf(0))
		said := func(kind serf.EventType) {
			n.raw <- serf.MemberEvent{Type: kind, Members: []serf.Member{
				{Name: "a", Addr: net.IP{10, 0, 0, 9}, Port: 7000},
			}}
			synctest.Wait()
		}
		n.doubter.noteLag(50*time.Millisecond, time.Now())
		said(serf.EventMemberJoin)
		said(serf.EventMemberFailed)
		time.Sleep(150 * time.Millisecond)
		if s := n.state("a"); s != mesh.Alive {
			t.Fatalf("it is %q while in doubt", s)
		}
		said(serf.EventMemberJoin)
		time.Sleep(time.Minute)
		if n.losses() != 0 || n.Stats().Doubted != 1 {
			t.Errorf("%d losses told, %+v", n.losses(), n.Stats())
		}
		n.doubter.noteLag(50*time.Millisecond, time.Now())
		said(serf.EventMemberFailed)
		time.Sleep(199 * time.Millisecond)
		if n.losses() != 0 {
			t.Error("told too early")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n.losses() != 1 {
			t.Errorf("%d losses told, want 1", n.losses())
		}
	})
}
