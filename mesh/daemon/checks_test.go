package daemon

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mn/health"
	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

// checksBench runs the loop of checks in a bubble, with checks that end as fails says.
type checksBench struct {
	*checks
	mu   sync.Mutex
	ran  map[string][]time.Time
	told []core.Checked
}

func startChecks(t *testing.T, probe func(context.Context, *health.Probe) string) *checksBench {
	b := &checksBench{ran: map[string][]time.Time{}}
	start := time.Now()
	clock := func() core.Now { return core.Now{Boot: time.Since(start), Wall: time.Now()} }
	b.checks = newChecks(clock, func(ctx context.Context, p *health.Probe) string {
		b.mu.Lock()
		b.ran[p.Of.Task] = append(b.ran[p.Of.Task], time.Now())
		b.mu.Unlock()
		return probe(ctx, p)
	}, func(ev core.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told = append(b.told, ev.(core.Checked))
	}, func([]health.Change, time.Time) {})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return b
}

func (b *checksBench) offer(task string, checks ...mesh.Check) {
	b.set(core.Watch{Alloc: "a", Offer: runner.Offer{
		Task: task, Attempt: 1, Started: time.Now(), Services: []mesh.ServiceDef{{Name: task, Checks: checks}},
	}})
}

func (b *checksBench) last(task string) mesh.Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.told) - 1; i >= 0; i-- {
		if b.told[i].Task == task {
			return b.told[i].Services[0].Health
		}
	}
	return ""
}

// TestChecksThatHangCostOthersNothing: hundreds hang until their time is over, all the time; the others
// run once in each interval, without drift, and what they say is told.
func TestChecksThatHangCostOthersNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, every = 200, 10 * time.Second
		b := startChecks(t, func(ctx context.Context, p *health.Probe) string {
			if p.Check.Name != "hangs" {
				return ""
			}
			ctx, done := context.WithTimeout(ctx, p.Check.Limit())
			defer done()
			<-ctx.Done()
			return "it hangs"
		})
		for i := range many {
			b.offer(fmt.Sprintf("hangs-%d", i), mesh.Check{Name: "hangs", Timeout: mesh.Duration(every)})
			b.offer(fmt.Sprintf("well-%d", i), mesh.Check{Name: "well"})
		}
		time.Sleep(10*every + time.Second)
		synctest.Wait()
		b.mu.Lock()
		for i := range many {
			ran := b.ran[fmt.Sprintf("well-%d", i)]
			if len(ran) < 10 || len(ran) > 11 {
				t.Fatalf("check %d ran %d times in ten intervals", i, len(ran))
			}
			for j := 1; j < len(ran); j++ {
				if d := ran[j].Sub(ran[j-1]); d.Round(10*time.Millisecond) != every {
					t.Fatalf("check %d ran again after %v, want %v", i, d, every)
				}
			}
		}
		b.mu.Unlock()
		for i := range many {
			if h := b.last(fmt.Sprintf("well-%d", i)); h != mesh.Passing {
				t.Fatalf("service %d is %q, want it passing", i, h)
			}
			if h := b.last(fmt.Sprintf("hangs-%d", i)); h != mesh.Critical {
				t.Fatalf("service %d that hangs is %q, want it critical", i, h)
			}
		}
	})
}

// TestCommandsThatHangCostOtherTasksNothing: however many hang within some tasks, those of others run.
func TestCommandsThatHangCostOtherTasksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, every = 3 * scriptsMax, 10 * time.Second
		b := startChecks(t, func(ctx context.Context, p *health.Probe) string {
			if p.Check.Name == "well" {
				return ""
			}
			<-ctx.Done()
			return "it hangs"
		})
		for i := range many {
			var all []mesh.Check
			for j := range 2 * withinMax {
				all = append(all, mesh.Check{Name: fmt.Sprint("hangs-", j), Type: mesh.CheckScript})
			}
			b.offer(fmt.Sprintf("hangs-%d", i), all...)
		}
		time.Sleep(every)
		for i := range many {
			b.offer(fmt.Sprintf("well-%d", i), mesh.Check{Name: "well", Type: mesh.CheckScript})
		}
		time.Sleep(5*every + time.Second)
		synctest.Wait()
		for i := range many {
			b.mu.Lock()
			ran := len(b.ran[fmt.Sprintf("well-%d", i)])
			b.mu.Unlock()
			if h := b.last(fmt.Sprintf("well-%d", i)); h != mesh.Passing || ran < 5 {
				t.Fatalf("service %d is %q, and was checked %d times in five intervals", i, h, ran)
			}
		}
	})
}

// TestCommandsWithinATaskLeaveRoomForPeople: no more than a few at a time.
func TestCommandsWithinATaskLeaveRoomForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		b := startChecks(t, func(context.Context, *health.Probe) string {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return ""
		})
		var all []mesh.Check
		for i := range 3 * withinMax {
			all = append(all, mesh.Check{Name: fmt.Sprint(i), Type: mesh.CheckScript})
		}
		b.offer("t", all...)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if most != withinMax {
			t.Errorf("up to %d commands ran at a time, want %d", most, withinMax)
		}
		if h := b.last("t"); h != mesh.Passing {
			t.Errorf("the service is %q, want it passing: all its checks have their turn", h)
		}
	})
}

// TestWhatIsNotOfferedAnyMoreIsNotChecked, and a check that ends after that says nothing.
func TestWhatIsNotOfferedAnyMoreIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startChecks(t, func(context.Context, *health.Probe) string {
			time.Sleep(2 * time.Second)
			return ""
		})
		b.offer("t", mesh.Check{})
		time.Sleep(1500 * time.Millisecond)
		b.set(core.Watch{Alloc: "a", Offer: runner.Offer{Task: "t"}})
		time.Sleep(time.Minute)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.ran["t"]) != 1 {
			t.Errorf("it ran %d times, want once", len(b.ran["t"]))
		}
		for _, told := range b.told {
			if told.Services[0].Health == mesh.Passing {
				t.Errorf("got %+v of a task that offers nothing any more", told)
			}
		}
	})
}

// TestFlappingIsToldSeldom: a check whose end changes each time is told as the machine allows.
func TestFlappingIsToldSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		n := map[health.Of]int{}
		b := startChecks(t, func(_ context.Context, p *health.Probe) string {
			mu.Lock()
			defer mu.Unlock()
			if n[p.Of]++; n[p.Of]%2 == 0 {
				return "now and then"
			}
			return ""
		})
		const many, turns = 250, 12
		for i := range many {
			b.offer(fmt.Sprint(i), mesh.Check{Interval: mesh.Duration(time.Second), Timeout: mesh.Duration(time.Second)})
		}
		time.Sleep((turns + 1) * time.Second)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if ran := len(b.ran["7"]); ran < turns {
			t.Errorf("a check ran %d times in %d intervals", ran, turns)
		}
		if most := 200 + 50*(turns+2); len(b.told) > most || len(b.told) < most/2 {
			t.Errorf("%d changes were told of %d, want at most %d, and not much less", len(b.told), many*turns, most)
		}
	})
}
