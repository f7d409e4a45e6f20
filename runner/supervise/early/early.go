// Package early is for starting a supervisor before the rest of its binary: a
// main package imports it for that effect alone. It has no functions.
//
// There is a supervisor per task, and it is the whole of mn: before main begins,
// Go initialises some 150 packages (the store, QUIC, HTTP ...) that a supervisor
// never uses. That was 2.5 of the 7 ms of CPU time, and a third of the memory,
// of each supervised task. Go initialises packages by import path, each as soon
// as what it imports is ready; so the init of a package that imports little runs
// early, here after some 25, and what it does not let return need not be paid.
//
// Little is what decides. Package reflect sorts behind most of the others: what
// imports it waits for them. Hence neither fmt nor encoding/json, nor net,
// strings, bufio, path/filepath or golang.org/x/sys/unix, in runner/supervise
// and runner/logs; bytes, io, os, os/signal, path, slices, strconv, syscall and
// time cost nothing. The test of this package says when one has crept in.
package early

import (
	"os"

	"mn/runner/supervise"
)

func init() {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
}
