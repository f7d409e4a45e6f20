package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
)

// signalMax bounds what a task says when it has started.
const signalMax = 4 << 10 // bytes

// beacon is the task: it tells whoever listens on a socket which copy of which
// job it is, and waits until it is stopped.
func beacon(socket string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return fmt.Errorf("reach the benchmark at %q: %w", socket, err)
	}
	text := strings.Join([]string{os.Getenv("MN_JOB"), os.Getenv("MN_NODE"), os.Getenv("MN_ALLOC_ID")}, " ")
	if _, err := conn.Write([]byte(text)); err != nil {
		return fmt.Errorf("tell the benchmark at %q: %w", socket, err)
	}
	<-ctx.Done()
	return nil
}

// started is a task that has started, as it said itself.
type started struct {
	job, node, alloc string
	at               time.Time
}

// tower hears the beacons, each at once: when it was heard is what is measured.
type tower struct {
	path  string
	conn  *net.UnixConn
	heard chan started
	ended chan struct{} // closed when no more is heard
}

// heardMax bounds the tasks that have started and nobody has waited for.
const heardMax = 1024

func newTower(dir string) (*tower, error) {
	t := &tower{
		path:  filepath.Join(dir, "beacon.sock"),
		heard: make(chan started, heardMax),
		ended: make(chan struct{}),
	}
	var err error
	t.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: t.path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen to tasks: %w", err)
	}
	go t.listen()
	return t, nil
}

// listen ends when the tower is closed.
func (t *tower) listen() {
	defer close(t.ended)
	buffer := make([]byte, signalMax)
	for {
		n, err := t.conn.Read(buffer)
		at := time.Now()
		if err != nil {
			return
		}
		fields := strings.Fields(string(buffer[:n]))
		if len(fields) != 3 {
			continue // no task of ours
		}
		select {
		case t.heard <- started{job: fields[0], node: fields[1], alloc: fields[2], at: at}:
		default: // nobody has waited for so many
		}
	}
}

// wait waits for so many tasks of a job to start after an instant, and says
// when the last did.
func (t *tower) wait(ctx context.Context, job mesh.JobID, tasks int, after time.Time) (last time.Time, err error) {
	for heard := 0; heard < tasks; {
		select {
		case s := <-t.heard:
			if s.job == string(job) && s.at.After(after) {
				last = s.at
				heard++
			}
		case <-ctx.Done():
			return last, fmt.Errorf("wait for %d tasks of %q to start, %d did: %w", tasks, job, heard, ctx.Err())
		}
	}
	return last, nil
}

func (t *tower) close() error {
	err := t.conn.Close()
	<-t.ended
	return err
}
