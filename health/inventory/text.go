package inventory

import (
	"cmp"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"mn/mesh"
)

const (
	textMax = 200     // bytes of a text about a device
	fileMax = 4 << 10 // bytes of a file of /sys or /proc with a value or a few in it
)

// plain makes a text from outside fit to be shown: short, on one line, without what
// is not printed.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), 4*textMax)], ""))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > textMax {
		s = strings.ToValidUTF8(s[:textMax-len("…")], "") + "…"
	}
	return s
}

// known is a value that a driver has, "" where it says that it has none.
func known(s string) string {
	s = plain(s)
	switch strings.ToLower(strings.Trim(s, "[]")) {
	case "n/a", "not supported", "not available", "none", "unknown":
		return ""
	}
	return s
}

// sizeMax is more memory than any device has, and leaves room for sums.
const sizeMax = mesh.Bytes(1) << 50

// size reads an amount of memory, with or without a unit; 0 and false if it is none.
func size(s string) (mesh.Bytes, bool) {
	var b mesh.Bytes
	if b.UnmarshalText([]byte(s)) != nil || b > sizeMax {
		return 0, false
	}
	return b, true
}

// amount is size, with 0 for what is none.
func amount(s string) mesh.Bytes {
	b, _ := size(s)
	return b
}

// percent reads a part of the whole; nil if it is none.
func percent(s string) *int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 7)
	if err != nil || n > 100 {
		return nil
	}
	part := int(n)
	return &part
}

// count reads a number of errors; what is none counts as none.
func count(s string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 53)
	if err != nil {
		return 0
	}
	return n
}

// slot is the address of a device on its PCI bus, as Linux writes it: 0000:43:00.0.
// Some tools write eight digits in front.
var slot = regexp.MustCompile(`^(?:[0-9a-f]{4})?([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$`)

// address is the PCI address in s, "" if it is none.
func address(s string) string {
	if m := slot.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s))); m != nil {
		return m[1]
	}
	return ""
}

// within is an absolute path as file systems have it below their root.
func within(path string) string { return cmp.Or(strings.TrimPrefix(path, "/"), ".") }

// content is what is in a small file, without the spaces around.
func content(root fs.FS, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileMax))
	return strings.TrimSpace(string(text)), err
}

// value is content, with "" for a file that is not there or cannot be read.
func value(root fs.FS, name string) string {
	text, err := content(root, name)
	if err != nil {
		return ""
	}
	return text
}
