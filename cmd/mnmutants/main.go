// Command mnmutants breaks the production code on purpose, one fault at a time,
// and shows that the simulator finds each of them. A mutant that survives is a
// hole in the simulator. `make mutants` runs it.
//
// It is also what it builds with each fault in it: "mnmutants hunt" runs
// scenarios until a promise is broken.
package main

import (
	"fmt"
	"os"
)

func main() {
	work := mutants
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "hunt" {
		work, args = hunt, args[1:]
	}
	if err := work(args); err != nil {
		fmt.Fprintln(os.Stderr, "mnmutants:", err)
		os.Exit(1)
	}
}
