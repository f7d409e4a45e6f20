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

// tower hears the beacons.
type tower struct {
	path string
	conn *net.UnixConn
}

func newTower(dir string) (*tower, error) {
	t := &tower{path: filepath.Join(dir, "beacon.sock")}
	var err error
	if t.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: t.path, Net: "unixgram"}); err != nil {
		return nil, fmt.Errorf("listen to tasks: %w", err)
	}
	return t, nil
}

// next waits for the next task that starts.
func (t *tower) next(deadline time.Time) (started, error) {
	buffer := make([]byte, signalMax)
	if err := t.conn.SetReadDeadline(deadline); err != nil {
		return started{}, err
	}
	n, err := t.conn.Read(buffer)
	at := time.Now()
	if err != nil {
		return started{}, fmt.Errorf("wait for a task to start: %w", err)
	}
	fields := strings.Fields(string(buffer[:n]))
	if len(fields) != 3 {
		return started{}, fmt.Errorf("a task says %q: want job, node and allocation", buffer[:n])
	}
	return started{job: fields[0], node: fields[1], alloc: fields[2], at: at}, nil
}

func (t *tower) close() error { return t.conn.Close() }
