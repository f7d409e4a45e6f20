// Package logs is for the output of tasks: written to files that rotate, read
// back by line, and followed while it grows.
//
// The files have the raw bytes, so that people can read them without mn:
// stdout.000000, stdout.000001 and so on, the highest number the newest. A
// stream is the concatenation of its files. Beside each lie its times, such as
// stdout.000000.times, which say when what was written. Nothing is ever renamed, so a
// reader that holds a file open is not confused by rotation.
//
// Writing never fails and never blocks longer than the disk does: what cannot
// be written is dropped and counted, for a full disk must not stop a task. The
// only goroutine is that of a [Read] that follows; it ends with the call.
package logs

import (
	"bytes"
	"os"
	"slices"
	"strconv"
)

// The streams of a task, and the one for what is said about the log itself.
const (
	Stdout = "stdout"
	Stderr = "stderr"
	Notice = "mn"
)

// fileName is the name of a stream's n-th file. Six digits sort well up to
// 10 TB of output; beyond, names only get longer.
func fileName(stream string, n int) string {
	digits := strconv.Itoa(n)
	zeros := "000000"[min(len(digits), 6):]
	return stream + "." + zeros + digits
}

// fileNumber is the inverse of fileName.
func fileNumber(stream, name string) (int, bool) {
	digits, ok := bytes.CutPrefix([]byte(name), []byte(stream+"."))
	if !ok || len(digits) < 6 {
		return 0, false
	}
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 || fileName(stream, n) != name {
		return 0, false
	}
	return n, true
}

// fileNumbers are the numbers of a stream's files in dir, oldest first.
func fileNumbers(dir, stream string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &fault{"list log folder", err}
	}
	var found []int
	for _, e := range entries {
		if n, ok := fileNumber(stream, e.Name()); ok && e.Type().IsRegular() {
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return found, nil
}

// fault is what could not be done, and why. A supervisor imports this package
// and must not pay for fmt: see package runner/supervise/early.
type fault struct {
	what  string
	cause error
}

func (f *fault) Error() string { return f.what + ": " + f.cause.Error() }

func (f *fault) Unwrap() error { return f.cause }
