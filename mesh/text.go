package mesh

import (
	"fmt"
	"strings"
	"unicode"
)

// TextMax bounds what the system, an archive or a server says of what went wrong, in bytes,
// where it stands in a record.
const TextMax = 1 << 10

// Counted is a number of things in words: "1 copy", "2 copies".
func Counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Plain is a text of which nobody knows what is in it, as it may stand in a record and be
// shown on a terminal: UTF-8 on one line without control characters, of at most so many bytes.
func Plain(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), most)], "\ufffd"))
	if len(text) <= most { // what stands for a byte may be longer
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
