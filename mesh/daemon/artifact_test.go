package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A peer that gives a little now and then must not keep the source from being asked.
func TestAPeerThatTricklesIsGivenUp(t *testing.T) {
	for each, slow := range map[int64]bool{1: true, paceBytes: false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, p := newPace(t.Context(), func(int64, int64) {})
			defer p.stop()
			ticks := time.NewTicker(paceTime - time.Second)
			defer ticks.Stop()
			for have := int64(0); have < 10*each && ctx.Err() == nil; have += each {
				p.progress(have+each, 0)
				select {
				case <-ticks.C:
				case <-ctx.Done():
				}
			}
			if errors.Is(context.Cause(ctx), errTrickle) != slow {
				t.Errorf("%d bytes at a time: got %v", each, context.Cause(ctx))
			}
		})
	}
}

// Who names a slow server for a file keeps nobody who names another one for the same.
func TestOnlyTheSameErrandIsWaitedFor(t *testing.T) {
	o := &outside{busy: map[errand]chan struct{}{}}
	done, err := o.alone(t.Context(), errand{source: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := o.alone(t.Context(), errand{source: "quick"})
	if err != nil {
		t.Fatal(err)
	}
	other()
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.alone(given, errand{source: "slow"}); err == nil {
		t.Error("the same is fetched twice at once")
	}
	done()
	if again, err := o.alone(t.Context(), errand{source: "slow"}); err != nil {
		t.Error(err)
	} else {
		again()
	}
}
