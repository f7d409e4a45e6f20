package daemon

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestRenewalIsTriedAtOnceAndSoonAfterAFailure: an agent that is restarted
// often would never come to it otherwise, and a voter may be away for a moment.
func TestRenewalIsTriedAtOnceAndSoonAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		var tried []time.Duration
		failures := 0
		go again(ctx, func() error {
			tried = append(tried, time.Since(start))
			if n := len(tried); n >= 2 && n <= 4 {
				return errors.New("no voter answers")
			}
			return nil
		}, func(error) { failures++ })
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		want := []time.Duration{
			0, time.Hour, // and fails
			time.Hour + 15*time.Second, time.Hour + 45*time.Second, // and fail
			time.Hour + 105*time.Second, 2*time.Hour + 105*time.Second,
		}
		if !slices.Equal(tried, want) || failures != 3 {
			t.Errorf("tried at %v with %d failures, want %v with 3", tried, failures, want)
		}
	})
}

func TestRenewalEndsWithTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			again(ctx, func() error { return nil }, func(error) {})
			close(ended)
		}()
		synctest.Wait()
		cancel()
		<-ended
	})
}
