package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestEvictionAsksOnATerminal, and does nothing without a yes.
func TestEvictionAsksOnATerminal(t *testing.T) {
	for answer, want := range map[string]int{"y\n": exitOK, " YES \n": exitOK, "n\n": 1, "\n": 1, "": 1} {
		var out, said bytes.Buffer
		term := &terminal{in: strings.NewReader(answer), out: &out, err: &said}
		code := term.run(t.Context(), []string{"node", "evict", "cccc", "--addr", serveFake(t)})
		done := strings.Contains(out.String(), "node box-2 (cccc4444) is evicted")
		if code != want || done != (want == exitOK) {
			t.Errorf("%q: got exit code %d, %q, %q", answer, code, &out, &said)
		}
		if !strings.HasPrefix(said.String(), "mn: node box-2 is put out for good") {
			t.Errorf("%q: it asks %q", answer, &said)
		}
	}
}
