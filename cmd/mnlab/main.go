// Command mnlab does harm to meshes of real agents, and sees what holds: each
// case of its catalogue runs on machines that are none, in network namespaces,
// on a network that can be cut, delayed and spoiled. It takes root. `make lab`
// runs all of it, `make test` what is fast.
//
// It is also the task that its jobs run: "mnlab task KIND".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	var err error
	if len(os.Args) > 2 && os.Args[1] == "task" {
		err = task(ctx, os.Args[2:])
	} else {
		err = command(ctx, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mnlab:", err)
		os.Exit(1)
	}
}
