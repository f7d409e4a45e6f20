// Command mn runs a mesh of machines and the work on it. It is the agent, the
// supervisor of each task, and the command line that talks to both; the agent
// and the mesh themselves live in packages below.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"mn/runner/supervise"
)

func main() {
	// A supervisor runs per task: it must not pay for a command line.
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := newTerminal(os.Stdin, os.Stdout, os.Stderr).run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
