package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"mn/mesh"
)

// Layout is a job file as it is, and as it is laid out.
type Layout struct {
	Path    string
	Was, Is []byte
}

// ReadLayout reads the job file at path, or in that folder, and lays it out. It has
// to be TOML, and may be wrong otherwise.
func ReadLayout(path string) (Layout, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, JobFile)
	}
	data, err := ReadFile("job", path)
	if err != nil {
		return Layout{}, err
	}
	is, err := Format(path, data)
	return Layout{path, data, is}, err
}

// Format lays out a file: one space around an equals sign and after a comma, no
// indentation but two spaces for each line of a list, a blank line before each table,
// never two, and comments behind values in one column. Texts, numbers and comments stay
// as they are written, and lists on as many lines. Name is what messages call the file.
func Format(name string, data []byte) ([]byte, error) {
	before := &decoder{file: name}
	if before.tree(data) == nil {
		return nil, before.err()
	}
	f := &formatter{data: data}
	f.parser.KeepComments = true
	f.parser.Reset(data)
	for f.parser.NextExpression() {
		f.expression(f.parser.Expression())
	}
	out := render(f.lines)
	if !sameTree(data, out) {
		return nil, mesh.Faultf(mesh.Internal, "%s: laid out it would be another file, and it is left as it is", name)
	}
	return out, nil
}

// sameTree says whether two files have the same content.
func sameTree(a, b []byte) bool {
	var before, after map[string]any
	if toml.Unmarshal(a, &before) != nil || toml.Unmarshal(b, &after) != nil {
		return false
	}
	return fmt.Sprintf("%#v", before) == fmt.Sprintf("%#v", after)
}

// formatter goes over a file that is good TOML, and makes lines of it.
type formatter struct {
	data   []byte
	parser unstable.Parser
	at     int // the offset up to which the file has been gone over
	lines  []formatted
}

// formatted is an expression of a file; of a value on several lines, all of these.
type formatted struct {
	text    string // "" if it is only a comment
	comment string
	header  bool
	blank   bool // whether there was a blank line before it
}

func (f *formatter) expression(e *unstable.Node) {
	var l formatted
	switch e.Kind {
	case unstable.Comment:
		l.blank = f.skip(" \t\r\n") > 1
		l.comment = f.comment(e)
	case unstable.Table:
		l.blank = f.skip(" \t\r\n[") > 1
		l.header, l.text = true, "["+f.keys(e.Key())+"]"
		f.skip(" \t]")
	case unstable.ArrayTable:
		l.blank = f.skip(" \t\r\n[") > 1
		l.header, l.text = true, "[["+f.keys(e.Key())+"]]"
		f.skip(" \t]")
	default:
		l.blank = f.skip(" \t\r\n") > 1
		l.text = f.keyValue(e, 0)
	}
	if c := e.Next(); c != nil && e.Kind != unstable.Comment {
		l.comment = f.comment(c)
	}
	f.lines = append(f.lines, l)
}

// skip goes over bytes that are in a set, and counts the lines that end there.
func (f *formatter) skip(set string) (lines int) {
	for ; f.at < len(f.data) && strings.IndexByte(set, f.data[f.at]) >= 0; f.at++ {
		if f.data[f.at] == '\n' {
			lines++
		}
	}
	return lines
}

// raw is a node that is written as it was.
func (f *formatter) raw(n *unstable.Node) string {
	f.at = int(n.Raw.Offset + n.Raw.Length)
	return string(f.parser.Raw(n.Raw))
}

func (f *formatter) comment(n *unstable.Node) string { return strings.TrimRight(f.raw(n), " \t\r") }

func (f *formatter) keys(it unstable.Iterator) string {
	var keys []string
	for it.Next() {
		keys = append(keys, f.raw(it.Node()))
	}
	return strings.Join(keys, ".")
}

func (f *formatter) keyValue(e *unstable.Node, depth int) string {
	key := f.keys(e.Key())
	f.skip(" \t=")
	return key + " = " + f.value(e.Value(), depth)
}

func (f *formatter) value(n *unstable.Node, depth int) string {
	switch n.Kind {
	case unstable.Array:
		return f.list(n, depth, "[", "]", "")
	case unstable.InlineTable:
		return f.list(n, depth, "{", "}", " ")
	case unstable.KeyValue:
		return f.keyValue(n, depth)
	}
	return f.raw(n)
}

// item is an element of a list or inline table, or a comment in it.
type item struct {
	text    string
	comment bool
	lines   int // that end before it
}

// list is a list or inline table: on one line if it was, else with each line of it.
func (f *formatter) list(n *unstable.Node, depth int, open, end, pad string) string {
	const between = " \t\r\n,"
	f.at++
	var items []item
	for it := n.Children(); it.Next(); {
		child := it.Node()
		lines := f.skip(between)
		if child.Kind != unstable.Comment {
			items = append(items, item{f.value(child, depth+1), false, lines})
			continue
		}
		items = append(items, item{f.comment(child), true, lines})
		for more := child.Children(); more.Next(); {
			lines = f.skip(between)
			items = append(items, item{f.comment(more.Node()), true, lines})
		}
	}
	last := f.skip(between)
	f.at++
	if last > 0 || slices.ContainsFunc(items, func(i item) bool { return i.lines > 0 || i.comment }) {
		return open + broken(items, strings.Repeat("  ", depth)) + end
	}
	if len(items) == 0 {
		return open + end
	}
	var texts []string
	for _, i := range items {
		texts = append(texts, i.text)
	}
	return open + pad + strings.Join(texts, ", ") + pad + end
}

// broken is the inside of a list on several lines.
func broken(items []item, indent string) string {
	var b strings.Builder
	for i, one := range items {
		switch {
		case i > 0 && one.lines == 0:
			b.WriteByte(' ')
		case i > 0 && one.lines > 1:
			b.WriteString("\n\n  " + indent)
		default:
			b.WriteString("\n  " + indent)
		}
		b.WriteString(one.text)
		if !one.comment {
			b.WriteByte(',')
		}
	}
	b.WriteString("\n" + indent)
	return b.String()
}

// render writes lines, with blank lines and comments where they belong.
func render(lines []formatted) []byte {
	space(lines)
	var b strings.Builder
	column := 0 // of the comments behind values
	for i, l := range lines {
		if l.blank {
			b.WriteByte('\n')
		}
		b.WriteString(l.text)
		if l.text != "" && l.comment != "" {
			if i == 0 || !beside(lines[i-1], l) {
				column = columnOf(lines[i:])
			}
			b.WriteString(strings.Repeat(" ", max(1, column-utf8.RuneCountInString(l.text))))
		}
		b.WriteString(l.comment)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// space has a blank line before each table, or before the comment right above it; none
// behind the header of one, nor at the beginning; and else where there was one.
func space(lines []formatted) {
	above := false // whether the line belongs to what follows it: a comment to a table
	for i := len(lines) - 1; i >= 0; i-- {
		l := &lines[i]
		opens := l.header || above && l.text == ""
		above = opens && !l.blank
		if i == 0 {
			l.blank = false
			return
		}
		before := lines[i-1]
		if opens {
			l.blank = l.blank || before.text != ""
		} else {
			l.blank = l.blank && !before.header
		}
	}
}

// beside says whether the comment behind a line is in the column of that behind the
// line before it.
func beside(before, l formatted) bool {
	single := func(l formatted) bool {
		return l.text != "" && l.comment != "" && !l.header && !strings.Contains(l.text, "\n")
	}
	return single(before) && single(l) && !l.blank
}

// columnOf is the column of the comments behind the first of lines and those that are
// beside it.
func columnOf(lines []formatted) int {
	column := utf8.RuneCountInString(lines[0].text) + 1
	for i := 1; i < len(lines) && beside(lines[i-1], lines[i]); i++ {
		column = max(column, utf8.RuneCountInString(lines[i].text)+1)
	}
	return column
}
