package main

import "io"

// visible is a terminal to which others' texts go: names, reasons, lines of logs. Colours may be
// in them; what else moves a cursor, clears a screen or makes a terminal answer comes as "?".
// It counts by bytes, and leaves UTF-8 as it is but for the control characters C1 in it.
type visible struct {
	w     io.Writer
	state visibleState
	held  []byte // of a sequence that may be a colour, at most sequenceMax
}

type visibleState int

const (
	inText      visibleState = iota
	afterEscape              // an escape character
	inSequence               // and a bracket: parameters follow
	afterC2                  // the first byte of C1 in UTF-8, and of much else
)

// sequenceMax is how long what sets a colour can be.
const sequenceMax = 32

const (
	escape = 0x1b
	firstC = 0xc2 // of U+0080 to U+00BF
)

// Write implements [io.Writer].
func (v *visible) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+len(v.held))
	for _, b := range p {
		out = v.step(out, b)
	}
	if _, err := v.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// step appends what can be shown after one more byte.
func (v *visible) step(out []byte, b byte) []byte {
	switch v.state {
	case afterC2:
		v.state = inText
		if b >= 0x80 && b < 0xa0 {
			return append(out, '?')
		}
		return v.step(append(out, firstC), b)
	case afterEscape:
		if b == '[' {
			v.state, v.held = inSequence, append(v.held[:0], escape, '[')
			return out
		}
		v.state = inText
		return v.step(append(out, '?'), b)
	case inSequence:
		switch {
		case b == 'm':
			v.state = inText
			return append(append(out, v.held...), 'm')
		case (b >= '0' && b <= '9' || b == ';' || b == ':') && len(v.held) < sequenceMax:
			v.held = append(v.held, b)
			return out
		}
		v.state = inText
		return v.step(append(append(out, '?'), v.held[1:]...), b)
	}
	switch {
	case b == escape:
		v.state = afterEscape
		return out
	case b == firstC:
		v.state = afterC2
		return out
	case b < ' ' && b != '\n' && b != '\t' && b != '\r' || b == 0x7f:
		return append(out, '?')
	}
	return append(out, b)
}

// direct is what a writer writes to without that: for what moves cursors of our own accord, or
// is a person's own conversation.
func direct(w io.Writer) io.Writer {
	if v, ok := w.(*visible); ok {
		return v.w
	}
	return w
}
