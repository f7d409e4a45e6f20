package content

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// uplink is the way out of one node, over which one write goes after the other, each for a while.
type uplink struct {
	peer
	turn  chan struct{} // not a mutex: time in a bubble goes on only when all wait for what is in it
	write time.Duration
}

func (u *uplink) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	stream, err := u.peer.dial(ctx)
	return &slow{stream, u}, err
}

// slow is the side that reads what comes over an uplink.
type slow struct {
	io.ReadWriteCloser
	u *uplink
}

func (s *slow) Read(b []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(b)
	s.u.turn <- struct{}{}
	time.Sleep(s.u.write)
	<-s.u.turn
	return n, err
}

// TestThoseWhoPullTheSameSpareWhoeverHasIt: of three that begin at once, each is sent about a
// third by whoever has all of it, and the rest by the other two.
func TestThoseWhoPullTheSameSpareWhoeverHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pieces = 300
		files := map[string]string{}
		for i := range pieces {
			files[fmt.Sprint(i)] = fmt.Sprintf("%01000d", i)
		}
		node := func() *uplink {
			return &uplink{peer: peer{Store: open(t)}, turn: make(chan struct{}, 1), write: time.Millisecond}
		}
		whole := node()
		h := pack(t, whole.Store, folder(t, files))
		var all []*uplink
		for range 3 {
			all = append(all, node())
		}
		var pulls sync.WaitGroup
		for i, u := range all {
			others := []Source{Dial(all[(i+1)%3].dial), Dial(all[(i+2)%3].dial), Dial(whole.dial)}
			pulls.Go(func() {
				if err := u.Pull(t.Context(), h, others, nil); err != nil {
					t.Error(err)
				}
			})
		}
		pulls.Wait()
		tree, err := whole.Get(h)
		if err != nil {
			t.Fatal(err)
		}
		const once = pieces * 1004
		if sent := whole.sent.Load() - 3*int64(len(tree)); sent > once*3/2 {
			t.Errorf("whoever has all of it has sent %.2f times its size, want about once", float64(sent)/once)
		} else {
			t.Logf("sent %.2f times its size", float64(sent)/once)
		}
	})
}

// broken never answers.
type broken struct{ asked int }

func (b *broken) Fetch(context.Context, []Hash, func([]byte) error) error {
	b.asked++
	return io.ErrUnexpectedEOF
}

// TestWhoDoesNotAnswerIsAskedLast: it may cost a wait each time.
func TestWhoDoesNotAnswerIsAskedLast(t *testing.T) {
	whole, gone := &peer{Store: open(t)}, &broken{}
	h := pack(t, whole.Store, folder(t, map[string]string{"model": long(3*batch, 0)}))
	if err := open(t).Pull(t.Context(), h, []Source{gone, Dial(whole.dial)}, nil); err != nil {
		t.Fatal(err)
	}
	if gone.asked != 1 {
		t.Errorf("who does not answer was asked %d times, want once", gone.asked)
	}
}
