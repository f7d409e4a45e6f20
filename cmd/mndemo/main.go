// Command mndemo shows a newcomer what mn does: a mesh of three agents on this
// machine runs a job, loses a node, and runs the work elsewhere. It shows every
// command that it runs, and cleans up after itself. `make demo` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	mn := flag.String("mn", "bin/mn", "the mn binary")
	job := flag.String("job", "configs/examples/hello.toml", "the job to run")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := tell(ctx, os.Stdout, *mn, *job); err != nil {
		fmt.Fprintln(os.Stderr, "mndemo:", err)
		os.Exit(1)
	}
}
