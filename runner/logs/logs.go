// Package logs is for the output of tasks: written to files that rotate, read
// back by line, and followed while it grows.
//
// The files have the raw bytes, so that people can read them without mn:
// stdout.000000, stdout.000001 and so on, the highest number the newest. A
// stream is the concatenation of its files; rotation cuts anywhere.
package logs

import "context"

// The streams of a task.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Line is one line of a stream, without its newline. A line longer than
// LineMax comes in pieces.
type Line struct {
	Stream string
	Text   string
}

// LineMax bounds a line: longer ones are cut.
const LineMax = 64 << 10

// Query says which lines to read.
type Query struct {
	Tail   int             // the last lines of each stream; -1 for all that is kept
	Follow bool            // go on with what is written
	Done   <-chan struct{} // with Follow: closed when nothing more will be written; may be nil
}

// Read sends the lines of the log in dir until the end; if it follows, until
// Done is closed and all is sent, ctx is done, or send fails. A folder that
// does not exist yet is an empty log.
func Read(ctx context.Context, dir string, q Query, send func(Line) error) error { return nil }
