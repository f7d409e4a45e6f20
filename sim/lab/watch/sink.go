package watch

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

// Sink is where tasks write to: a file that is only appended to, as a resource
// outside of the mesh would see them. Its order is the order in which they
// acted.
type Sink string

// tokensMax bounds what is read of a sink.
const tokensMax = 5_000_000

// Token is what a task writes each time it acts.
type Token struct {
	At    time.Duration // since boot, by the task
	Job   string
	Index int
	Fence uint64
	Alloc string
	Node  string
	What  string // it did: one word
}

// line is how a token is written.
const line = "%d %s %d %d %s %s %s\n"

// Write appends a token, in one piece.
func (s Sink) Write(t Token) error {
	f, err := os.OpenFile(string(s), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open sink: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, line, t.At, t.Job, t.Index, t.Fence, t.Alloc, t.Node, t.What); err != nil {
		return fmt.Errorf("write to sink %q: %w", string(s), err)
	}
	return nil
}

// Tokens are what was written so far. A sink that is not there is empty.
func (s Sink) Tokens() ([]Token, error) {
	f, err := os.Open(string(s))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sink: %w", err)
	}
	defer f.Close()
	var all []Token
	lines := bufio.NewScanner(f)
	for lines.Scan() && len(all) < tokensMax {
		var t Token
		_, err := fmt.Sscanf(lines.Text(), strings.TrimSuffix(line, "\n"),
			&t.At, &t.Job, &t.Index, &t.Fence, &t.Alloc, &t.Node, &t.What)
		if err != nil {
			return nil, fmt.Errorf("read sink %q: line %q: %w", string(s), lines.Text(), err)
		}
		all = append(all, t)
	}
	return all, lines.Err()
}

// Backward are the pairs of tokens of one index of a job of which the later
// has the lower fence.
func Backward(tokens []Token) [][2]Token {
	type seat struct {
		job   string
		index int
	}
	highest := map[seat]Token{}
	var found [][2]Token
	for _, t := range tokens {
		s := seat{t.Job, t.Index}
		if h, ok := highest[s]; ok && t.Fence < h.Fence {
			found = append(found, [2]Token{h, t})
			continue
		}
		highest[s] = t
	}
	return found
}
