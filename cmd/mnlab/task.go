package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"mn/mesh"
	"mn/sim/lab/watch"
)

// tickEvery is how often a task acts.
const tickEvery = 250 * time.Millisecond

// task is what the jobs of the lab run.
func task(ctx context.Context, args []string) error {
	switch {
	case args[0] == "tick":
		return tick(ctx)
	case args[0] == "work" && len(args) == 2:
		return work(ctx, args[1])
	case args[0] == "count":
		return count(ctx)
	case args[0] == "stubborn":
		return stubborn(args[1:])
	case args[0] == "hog":
		return hog(ctx)
	case args[0] == "serve":
		return serve(ctx, args[1:])
	case args[0] == "ask" && len(args) == 3:
		return ask(ctx, args[1], args[2])
	}
	return fmt.Errorf("task %q: want tick, count, stubborn, hog, serve, work and a length of time, or ask, a service "+
		"and the address of DNS", args)
}

// act writes to the sink that this task did something, if there is one.
func act(what string) error {
	sink := os.Getenv("LAB_SINK")
	if sink == "" {
		return nil
	}
	index, err := strconv.Atoi(os.Getenv(mesh.VarAllocIndex))
	if err != nil {
		return fmt.Errorf("read which copy this is: %w", err)
	}
	fence, err := strconv.ParseUint(os.Getenv(mesh.VarFence), 10, 64)
	if err != nil {
		return fmt.Errorf("read the fence: %w", err)
	}
	return watch.Sink(sink).Write(watch.Token{
		At: watch.Now(), Job: os.Getenv(mesh.VarJob), Index: index, Fence: fence,
		Alloc: os.Getenv(mesh.VarAllocID), Node: os.Getenv(mesh.VarNode), What: what,
	})
}

// tick acts until it is stopped, and counts aloud.
func tick(ctx context.Context) error {
	every := time.NewTicker(tickEvery)
	defer every.Stop()
	for n := 1; ; n++ {
		if err := act("tick"); err != nil {
			return err
		}
		fmt.Println("tick", n)
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// work acts when it begins and when it is done.
func work(ctx context.Context, length string) error {
	d, err := time.ParseDuration(length)
	if err != nil {
		return fmt.Errorf("read how long to work: %w", err)
	}
	if err := act("began"); err != nil {
		return err
	}
	done := time.NewTimer(d)
	defer done.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done.C:
		return act("done")
	}
}

// saveEvery is how many steps a task that counts does between two saves.
const saveEvery = 4

// count counts for ever, from where it was saved last: it acts when it begins, and whenever
// its node has saved it.
func count(ctx context.Context) error {
	file := filepath.Join(os.Getenv(mesh.VarCheckpointDir), "count")
	ready := os.Getenv(mesh.VarCheckpointReady)
	n := 0
	text, err := os.ReadFile(file)
	if err == nil {
		n, err = strconv.Atoi(string(text))
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("read how far it was: %w", err)
	}
	if err := act(fmt.Sprint("began-", n)); err != nil {
		return err
	}
	every := time.NewTicker(tickEvery)
	defer every.Stop()
	for told := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		if told > 0 { // it may not touch the folder until that is saved
			if _, err := os.Stat(ready); err == nil {
				continue
			}
			if err := act(fmt.Sprint("saved-", told)); err != nil {
				return err
			}
			told = 0
		}
		n++
		if err := os.WriteFile(file, []byte(strconv.Itoa(n)), 0o600); err != nil {
			return err
		}
		if n%saveEvery == 0 {
			told = n
			if err := os.WriteFile(ready+".next", []byte(strconv.Itoa(n)), 0o600); err != nil {
				return err
			}
			if err := os.Rename(ready+".next", ready); err != nil {
				return err
			}
		}
	}
}

// Of what a stubborn task does.
const (
	stubbornFlood = 25 // chunks each 10 ms: 10 MB a second
	chunkBytes    = 4 << 10
	hogBytes      = 512 << 20
)

// stubborn does not end when it is told to, starts a process in a session of
// its own that does not either, leaves zombies, and floods its log.
func stubborn(args []string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	if len(args) > 0 { // what it leaves behind
		select {}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	left := exec.Command(self, "task", "stubborn", "left")
	left.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := left.Start(); err != nil {
		return err
	}
	for range 10 {
		if err := exec.Command("true").Start(); err != nil { // never waited for
			return err
		}
	}
	chunk := append(bytes.Repeat([]byte("x"), chunkBytes-1), '\n')
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for range every.C {
		for range stubbornFlood {
			if _, err := os.Stdout.Write(chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

// hog takes more memory than there is when it gets SIGUSR1.
func hog(ctx context.Context) error {
	take := make(chan os.Signal, 1)
	signal.Notify(take, syscall.SIGUSR1)
	select {
	case <-ctx.Done():
		return nil
	case <-take:
	}
	all := make([]byte, hogBytes)
	for i := 0; i < len(all); i += os.Getpagesize() {
		all[i] = 1
	}
	<-ctx.Done()
	return nil
}
