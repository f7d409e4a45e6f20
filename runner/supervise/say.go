package supervise

import "os"

// fault is what could not be done, and why. What package fmt would do here
// costs every supervisor: see package early.
type fault struct {
	what  string
	cause error
}

func (f *fault) Error() string { return f.what + ": " + f.cause.Error() }

func (f *fault) Unwrap() error { return f.cause }

// because is the error that something could not be done.
func because(cause error, what string) error { return &fault{what, cause} }

// say tells whoever reads the error file.
func say(text string) { os.Stderr.WriteString("mn supervise: " + text + "\n") }
