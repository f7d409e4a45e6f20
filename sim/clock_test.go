package sim

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestClockWakesWhenItShowsTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock{
			boot: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "boot")),
			ppm:  rapid.Int64Range(-ppmMax+1, ppmMax-1).Draw(t, "ppm"),
		}
		now := time.Duration(rapid.Int64Range(0, int64(30*24*time.Hour)).Draw(t, "now"))
		at := c.read(now).Boot + time.Duration(rapid.Int64Range(-int64(time.Second), int64(time.Hour)).Draw(t, "in"))
		when := c.when(now, at)
		if when < now {
			t.Fatalf("wakes %v before now", now-when)
		}
		const step = 3 * time.Microsecond // clocks count by microseconds, and so does when
		if got := c.read(when).Boot; got < at || when > now && got > at+step {
			t.Fatalf("wakes at %v, which the clock shows as %v; want %v", when, got, at)
		}
	})
}

func TestClockNeverGoesBackButForTheWall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		now, last := time.Duration(0), c.read(0)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "pass"))
			switch rapid.IntRange(0, 2).Draw(t, "do") {
			case 0:
				c.drift(now, rapid.IntRange(-driftMax, driftMax).Draw(t, "ppm"))
			case 1:
				c.set(now, time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "off")))
			}
			read := c.read(now)
			if read.Boot < last.Boot {
				t.Fatalf("the boot clock went from %v to %v", last.Boot, read.Boot)
			}
			last = read
		}
		c.set(now, time.Hour)
		if got := c.read(now).Wall.Sub(epoch) - now; got != time.Hour {
			t.Fatalf("set an hour ahead, the wall clock is %v ahead", got)
		}
		c.reboot(now, time.Minute)
		if got := c.read(now).Boot; got != time.Second {
			t.Fatalf("after a boot its clock shows %v", got)
		}
	})
}

func TestEventsComeByTimeThenByPlan(t *testing.T) {
	var q queue
	var got []int
	for i, at := range []time.Duration{3, 1, 2, 1, 3} {
		q.plan(at, func() { got = append(got, i) })
	}
	for {
		e, ok := q.next(2)
		if !ok {
			break
		}
		e.do()
	}
	if want := []int{1, 3, 2}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("up to 2 got %v, want %v", got, want)
	}
	if e, ok := q.next(3); !ok || e.at != 3 {
		t.Error("what comes later is still there")
	}
}

func TestStreamsOfChanceDoNotDisturbEachOther(t *testing.T) {
	a, b := chanceOf(1, "a"), chanceOf(1, "a")
	other := chanceOf(1, "b", 7)
	for range 100 {
		other.Uint64()
		if x, y := a.Uint64(), b.Uint64(); x != y {
			t.Fatalf("one stream gives %d and %d", x, y)
		}
	}
	if chanceOf(1, "a").Uint64() == chanceOf(2, "a").Uint64() {
		t.Error("two seeds give one stream")
	}
	sum, c := time.Duration(0), chanceOf(1, "mean")
	const n = 20_000
	for range n {
		sum += c.about(time.Second)
	}
	if mean := sum / n; mean < 970*time.Millisecond || mean > 1030*time.Millisecond {
		t.Errorf("about a second is %v on average", mean)
	}
}
