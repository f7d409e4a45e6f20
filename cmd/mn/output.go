package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/api"
)

// The rules of output:
//
//   - Results go to stdout, and nothing else does. Progress, warnings, hints
//     and errors go to stderr.
//   - With --json, a list is an array, a status is an object, and a stream or a
//     watch is one object or array a line. Names are in snake_case; times are
//     RFC 3339; memory and disk are bytes, cpu is cores.
//   - Without, a list is a table: headings in capitals, two spaces between
//     columns, "-" where there is nothing. It is the same in a pipe.
//   - Colour is for the word that says a state, and for whose line it is, and
//     only on a terminal without NO_COLOR.
//   - Of others' texts only colours reach a terminal: see visible.
//   - An error is lines that begin with "mn: "; what to do about it, lines that
//     begin with "mn: hint: ".
//   - Exit codes: 0 done, 1 failed, 2 asked wrongly or not found, 13 not
//     allowed, 130 interrupted. `mn job run --wait` ends with the task's own.

// The exit codes that are not a fault's.
const (
	exitOK          = 0
	exitInterrupted = 130
)

// exitCode ends mn with a code, and no message beyond what was said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// terminal is where a command reads from and writes to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	colour   bool // on out
}

func newTerminal(in, out, err *os.File) *terminal {
	t := &terminal{in: in, out: out, err: err, colour: isTerminal(out) && os.Getenv("NO_COLOR") == "" &&
		os.Getenv("TERM") != "dumb"}
	if isTerminal(out) {
		t.out = &visible{w: out}
	}
	if isTerminal(err) {
		t.err = &visible{w: err}
	}
	return t
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// run runs a command line and returns its exit code.
func (t *terminal) run(ctx context.Context, args []string) int {
	root := newRoot(t)
	root.SetArgs(args)
	return t.fail(ctx, root.ExecuteContext(ctx))
}

// fail says what went wrong, and returns the exit code for it.
func (t *terminal) fail(ctx context.Context, err error) int {
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	}
	f := mesh.FaultOf(err)
	for line := range strings.Lines(f.Text) {
		t.say("%s", strings.TrimSuffix(line, "\n"))
	}
	for _, h := range f.Hints {
		t.say("hint: %s", h)
	}
	return f.ExitCode()
}

// say writes a line to stderr.
func (t *terminal) say(format string, args ...any) {
	fmt.Fprintf(t.err, "mn: "+format+"\n", args...)
}

// printf writes to stdout.
func (t *terminal) printf(format string, args ...any) {
	fmt.Fprintf(t.out, format, args...)
}

// json writes a value for scripts: indented, or on one line of a stream.
func (t *terminal) json(v any, stream bool) error {
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	if !stream {
		e.SetIndent("", "  ")
	}
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// colour is the code of a colour; "" is none.
type colour string

const (
	plain  colour = ""
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	faint  colour = "2"
)

// tints are the colours that tell copies apart, none of which says a state.
var tints = []colour{"36", "35", "34", "96", "95", "94"}

// tintOf is the colour of what is of someone: always the same.
func tintOf(who string) colour {
	h := fnv.New32a()
	_, _ = io.WriteString(h, who)
	return tints[h.Sum32()%uint32(len(tints))]
}

func (t *terminal) paint(c colour, s string) string {
	if !t.colour || c == plain || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// stateColour is the colour of a word that says a state.
func stateColour(state string) colour {
	switch state {
	case string(mesh.Running), string(mesh.Alive), "yes", "valid", "healthy", "free",
		string(api.ScheduleActive), string(mesh.FiringStarted):
		return green
	case string(mesh.Pending), string(mesh.Starting), string(mesh.Backoff),
		string(mesh.Stopping), string(mesh.Unseen), string(mesh.JobPausing), string(mesh.JobPaused), "runnable_later",
		string(mesh.Maintenance), string(mesh.Draining), string(mesh.DrainReview), "joining", "foreign",
		string(mesh.FiringQueued), string(mesh.FiringSkipped):
		return yellow
	case string(mesh.Failed), string(mesh.TimedOut), string(mesh.Lost), "not_runnable", "no", "disconnected", "sick",
		string(mesh.DrainBlocked), string(mesh.DrainNoPlace), string(mesh.FiringMissed), string(mesh.FiringRefused):
		return red
	case string(mesh.Complete), string(mesh.JobCompleted), string(mesh.Stopped), string(mesh.JobCancelled),
		string(mesh.Left), "used", "expired", "revoked":
		return faint
	}
	return plain
}

// table is lines of cells under headings.
type table struct {
	head []string
	rows [][]cell
}

type cell struct {
	text string
	in   colour
}

func newTable(head ...string) *table { return &table{head: head} }

// add adds a row: cells, or texts and numbers that become cells.
func (b *table) add(values ...any) {
	row := make([]cell, len(values))
	for i, v := range values {
		c, ok := v.(cell)
		if !ok {
			c.text = fmt.Sprint(v)
		}
		if c.text == "" {
			c.text = "-"
		}
		row[i] = c
	}
	b.rows = append(b.rows, row)
}

// state is a cell with the colour of the state that it says.
func state[S ~string](s S) cell { return cell{string(s), stateColour(string(s))} }

// table writes b.
func (t *terminal) table(b *table) {
	width := make([]int, len(b.head))
	for i, h := range b.head {
		width[i] = utf8.RuneCountInString(h)
		for _, row := range b.rows {
			width[i] = max(width[i], utf8.RuneCountInString(row[i].text))
		}
	}
	head := make([]cell, len(b.head))
	for i, h := range b.head {
		head[i] = cell{text: h}
	}
	for _, row := range append([][]cell{head}, b.rows...) {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(t.paint(c.in, c.text))
			line.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2))
		}
		t.printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}

// field writes a line of a status: a name and what it is.
func (t *terminal) field(name, format string, args ...any) {
	t.printf("%-12s %s\n", name, fmt.Sprintf(format, args...))
}

// ago is how long ago t was, roughly; "" if it never was.
func ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	d := max(time.Since(*t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	}
	return fmt.Sprintf("%dd ago", d/(24*time.Hour))
}

// exact are seconds that are said to more than a tenth.
var exact = regexp.MustCompile(`\b((?:[0-9]+h)?(?:[0-9]+m)?)([0-9]+\.[0-9]{2,})s\b`)

// rounded is a text with durations to a tenth of a second: "restarting in 19.7s".
func rounded(text string) string {
	return exact.ReplaceAllStringFunc(text, func(found string) string {
		d, err := time.ParseDuration(found)
		if err != nil {
			return found
		}
		return d.Round(time.Second / 10).String()
	})
}

// number is n, or "" for none.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// fence is a fence as it is in JSON, or "-" for none.
func fence(f string) string {
	if f == (crdt.Fence{}).String() {
		return "-"
	}
	return f
}
