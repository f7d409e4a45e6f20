package mesh

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPlainTextCanStandAnywhere whatever was in it, and is never longer than it may be.
func TestPlainTextCanStandAnywhere(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"no room: déjà vu", "no room: déjà vu"},
		{"two\nlines\tand a tab", "two lines and a tab"},
		{"\x1b[31mred\x00\u202e", "\ufffd[31mred\ufffd\ufffd"},
		{"\xff\xfe", "\ufffd"},
		{strings.Repeat("x", 100), strings.Repeat("x", 40)},
		{strings.Repeat("é", 20) + "é", strings.Repeat("é", 20)},
	} {
		if got := Plain(test.in, 40); got != test.want {
			t.Errorf("Plain(%q) is %q, want %q", test.in, got, test.want)
		}
	}
	for _, in := range []string{"\x00", "\xff", "a\xff", "é", "\U0001f600"} {
		for most := range 40 {
			got := Plain(strings.Repeat(in, 1<<20), most)
			if len(got) > most || !utf8.ValidString(got) {
				t.Fatalf("Plain of many %q, %d bytes: got %q", in, most, got)
			}
		}
	}
}

func TestCounted(t *testing.T) {
	for n, want := range map[int]string{0: "0 copies run", 1: "1 copy runs", 2: "2 copies run"} {
		if got := Counted(n, "copy runs", "copies run"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
