// Command mn runs a mesh of machines and the work on it. It is the agent, the
// supervisor of each task, and the command line that talks to both; the agent
// and the mesh themselves live in packages below.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"mn/runner/container"
	_ "mn/runner/supervise/early" // a supervisor gets no further
)

// containerWord is the argument of the supervisor of a container, which agents start.
const containerWord = "container"

func main() {
	if len(os.Args) > 1 && os.Args[1] == containerWord {
		os.Exit(container.Main(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// What does not heed the first signal, such as the opening of a pipe that
	// nobody writes to, is ended by the second.
	context.AfterFunc(ctx, stop)
	code := newTerminal(os.Stdin, os.Stdout, os.Stderr).run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
