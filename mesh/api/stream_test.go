package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

var errEnough = errors.New("enough")

func TestAWatchShowsNowAndEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		_, c := serving(t, b, Socket)
		var seen []mesh.JobStatus
		err := c.WatchJob(t.Context(), "web", func(j Job) error {
			seen = append(seen, j.Status)
			switch len(seen) {
			case 1:
				b.change(func(s *Snapshot) {}) // of something else: not shown
				time.AfterFunc(time.Second, func() {
					b.change(func(s *Snapshot) { s.Outlooks[1].Status = mesh.JobRunning })
				})
			case 2:
				b.change(func(s *Snapshot) { s.Outlooks[1].Status = mesh.JobStopped })
			case 3:
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if got := fmt.Sprint(seen); got != "[pending running stopped]" {
			t.Errorf("got %v", got)
		}
	})
}

// A thousand changes in a row cost a handful of answers, and the last of them
// is the last state.
func TestABurstOfChangesIsShownOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		_, c := serving(t, b, Socket)
		answers := 0
		err := c.WatchJob(t.Context(), "web", func(j Job) error {
			answers++
			if answers == 1 {
				for i := range 1000 {
					b.change(func(s *Snapshot) { s.Outlooks[1].Text = fmt.Sprint(i + 1) })
				}
			}
			if j.Reason == "1000" {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) || answers > 3 {
			t.Errorf("got %d answers, and %v", answers, err)
		}
	})
}

func TestAStreamLivesWithoutItemsAndEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		b.logs = func(_ context.Context, _ LogsRequest, send func(LogLine) error) error {
			time.Sleep(10 * silenceMax) // virtual: only signs of life meanwhile
			return send(LogLine{Line: "late"})
		}
		_, c := serving(t, b, Socket)
		var got []string
		err := c.Logs(t.Context(), LogsRequest{Job: "web"}, func(l LogLine) error {
			got = append(got, l.Line)
			return nil
		})
		if err != nil || fmt.Sprint(got) != "[late]" {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// A peer that falls silent, as one does whose machine died, is given up.
func TestASilentPeerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		c := NewClient("there", func(context.Context) (net.Conn, error) { return here, nil })
		go func() {
			_, _ = there.Read(make([]byte, 4096))
			_, _ = io.WriteString(there, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
		}()
		began := time.Now()
		err := c.WatchJobs(t.Context(), func([]JobRow) error { return nil })
		if f := mesh.FaultOf(err); f.Kind != mesh.Unavailable || !strings.Contains(f.Text, "nothing was heard") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != silenceMax {
			t.Errorf("got it after %v, want %v", took, silenceMax)
		}
		there.Close()
		c.Close()
	})
}

func TestACutStreamIsNoRegularEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFake()
		cut := make(chan net.Conn, 1)
		b.logs = func(ctx context.Context, _ LogsRequest, send func(LogLine) error) error {
			if err := send(LogLine{Line: "one"}); err != nil {
				return err
			}
			synctest.Wait()
			(<-cut).Close()
			<-ctx.Done()
			return nil
		}
		s, p := NewServer(b), newPipes()
		go s.Serve(p, Socket)
		defer s.Close()
		c := NewClient("here", func(ctx context.Context) (net.Conn, error) {
			conn, err := p.dial(ctx)
			cut <- conn
			return conn, err
		})
		defer c.Close()
		err := c.Logs(t.Context(), LogsRequest{Job: "web"}, func(LogLine) error { return nil })
		if f := mesh.FaultOf(err); f.Kind != mesh.Unavailable || !strings.Contains(f.Text, "broke") {
			t.Errorf("got %v, want a fault that says that it broke", err)
		}
	})
}

func TestCloseEndsWatchesAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := serving(t, newFake(), Socket)
		ended := make(chan error, 1)
		go func() { ended <- c.WatchNodes(t.Context(), func([]Node) error { return nil }) }()
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-ended; mesh.FaultOf(err).Text != "the agent is stopping" {
			t.Errorf("got %v", err)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := serving(t, newFake(), Socket)
		for range streamsMax {
			s.streams <- struct{}{}
		}
		err := c.WatchNodes(t.Context(), func([]Node) error { return nil })
		if f := mesh.FaultOf(err); f.Kind != mesh.Unavailable || !strings.Contains(f.Text, "streams are running") {
			t.Errorf("got %v", err)
		}
		<-s.streams
		err = c.WatchNodes(t.Context(), func([]Node) error { return errEnough })
		if !errors.Is(err, errEnough) {
			t.Errorf("with a place free again: got %v", err)
		}
	})
}

// What a client is told when what it reads is no answer of mn.
func FuzzFollow(f *testing.F) {
	f.Add([]byte("{}\n{\"item\":[]}\n{\"end\":true}\n"))
	f.Add([]byte("{\"error\":{\"kind\":\"denied\",\"error\":\"no\"}}\n"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		here, there := net.Pipe()
		c := NewClient("there", func(context.Context) (net.Conn, error) { return here, nil })
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = there.Read(make([]byte, 4096))
			head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(lines))
			_, _ = there.Write(append([]byte(head), lines...))
			there.Close()
		}()
		err := c.WatchJobs(t.Context(), func([]JobRow) error { return nil })
		ended := bytes.Contains(lines, []byte("end"))
		if err == nil && !ended {
			t.Errorf("got no error of %q, which does not end", lines)
		}
		c.Close()
		here.Close()
		<-done
	})
}

// TestAWatchTakesItsShareOfTheTimeAndNoMore: an answer that is costly is made less often.
func TestAWatchTakesItsShareOfTheTimeAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for takes, most := range map[time.Duration]int{time.Millisecond: 500, 50 * time.Millisecond: 34, 3 * time.Second: 3} {
			b := newFake()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			reads := 0
			read := func(context.Context, none) (int, error) {
				reads++
				time.Sleep(takes)
				b.change(func(*Snapshot) {})
				return reads, nil
			}
			if err := watch(ctx, b, none{}, read, func(any) error { return nil }); err != nil {
				t.Error(err)
			}
			cancel()
			if reads > most || reads < most*9/10 {
				t.Errorf("read %d times what takes %v, want about %d", reads, takes, most)
			}
		}
	})
}
