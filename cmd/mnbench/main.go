// Command mnbench measures real agents on this machine: how long work is gone
// when a node dies, how fast a submitted job runs, and what an idle agent and a
// supervised task cost. It prints a table, beside what we aim for. `make bench`
// runs it.
//
// It is also the task that it runs: "mnbench beacon SOCKET" says that it has
// started, and waits for its end.
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	if len(os.Args) == 3 && os.Args[1] == "beacon" {
		err = beacon(os.Args[2])
	} else {
		err = bench(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mnbench:", err)
		os.Exit(1)
	}
}
