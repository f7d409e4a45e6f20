package main

import (
	"strings"
	"testing"
)

func TestOthersTextsDoNotMoveTheCursor(t *testing.T) {
	for given, want := range map[string]string{
		"plain\ttext\r\n":                       "plain\ttext\r\n",
		"\x1b[31mred\x1b[0m":                    "\x1b[31mred\x1b[0m",
		"\x1b[38;2;1;2;3mx":                     "\x1b[38;2;1;2;3mx",
		"a\x1b[2Jb":                             "a?[2Jb",
		"\x1b]0;title\a":                        "?]0;title?",
		"\x1b]52;c;cm0gLXJm\x1b\\":              "?]52;c;cm0gLXJm?\\",
		"\x1b\x1b[2K":                           "??[2K",
		"\x1b[\x1b[1mx":                         "?[\x1b[1mx",
		"\u009b2J \u00a0é ü 你":                  "?2J \u00a0é ü 你",
		"\xc2\x1b[2J":                           "\xc2?[2J",
		"\x1b[" + strings.Repeat("1", 99) + "m": "?[" + strings.Repeat("1", 99) + "m",
		"\b\b\x00\x7f":                          "????",
	} {
		for _, size := range []int{1, 2, 3, len(given)} { // however it is cut
			var b strings.Builder
			v := &visible{w: &b}
			for rest := given; rest != ""; {
				n := min(size, len(rest))
				if got, err := v.Write([]byte(rest[:n])); got != n || err != nil {
					t.Fatalf("wrote %d, %v", got, err)
				}
				rest = rest[n:]
			}
			if b.String() != want {
				t.Errorf("%q by %d becomes %q, want %q", given, size, b.String(), want)
			}
		}
	}
}
