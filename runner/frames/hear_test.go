package frames

import (
	"bytes"
	"fmt"
	"testing"
)

// TestHearTakesNoPartForTheWhole: inputs end only when the terminal says so.
func TestHearTakesNoPartForTheWhole(t *testing.T) {
	send := func(frames ...any) (b []byte) {
		for i := 0; i < len(frames); i += 2 {
			b = Append(b, frames[i].(Kind), []byte(frames[i+1].(string)))
		}
		return b
	}
	all := func(n int) [][]byte { return bytes.Fields(bytes.Repeat([]byte("x "), n)) }
	for _, tt := range []struct {
		name, want string
		sent       []byte
	}{
		{"all of it", `[a b] closed sizes [33x99]`, send(Input, "a", Size, "\x00\x21\x00\x63", Input, "b", Closed, "")},
		{"the size after the end", `[a] closed sizes [1x2]`, send(Input, "a", Closed, "", Size, "\x00\x01\x00\x02")},
		{"a terminal that is lost", `[a] open sizes []`, send(Input, "a")},
		{"one that is lost within a frame", `[a] open sizes []`, send(Input, "a", Closed, "")[:10]},
		{"what it should not say", `[a] open sizes []`, send(Input, "a", Exit, "0", Closed, "")},
		{"input after its end", `[a] closed sizes []`, send(Input, "a", Closed, "", Input, "b", Size, "\x00\x01\x00\x02")},
		{"half a size", `[] open sizes []`, send(Size, "\x00\x01", Input, "a")},
		{"too much at once", fmt.Sprintf("%s open sizes []", all(InputsMax)), bytes.Repeat(send(Input, "x"), InputsMax+1)},
	} {
		inputs, sizes := make(chan []byte, InputsMax), []string{}
		NewReader(bytes.NewReader(tt.sent)).Hear(inputs, func(rows, columns int) {
			sizes = append(sizes, fmt.Sprintf("%dx%d", rows, columns))
		})
		state, got := "open", [][]byte(nil)
		for len(inputs) > 0 {
			got = append(got, <-inputs)
		}
		select {
		case <-inputs:
			state = "closed"
		default:
		}
		if got := fmt.Sprintf("%s %s sizes %v", got, state, sizes); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
