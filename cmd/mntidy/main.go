// Command mntidy checks the house rules that the compiler does not: which
// package may import which, which packages are pure, what is documented, and
// how long things may get. Each finding has its reason and its remedy.
//
// It reads the source tree itself, with no build: `go run ./cmd/mntidy`, or the
// test of this package. The tables that it checks against are in table.go.
package main

import (
	"fmt"
	"os"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	found, err := check(os.DirFS(root), rules)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mntidy:", err)
		os.Exit(2)
	}
	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}
