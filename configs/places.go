package configs

import (
	"bytes"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// places knows where in a file each key and value stands. A path is written as
// in messages: task[0].resources.cpu.
type places struct {
	data  []byte
	lines []int          // the offset at which each line begins
	key   map[string]int // offsets
	value map[string]int
	end   map[string]int // of values
	count map[string]int // of [[tables]] met so far, by path
}

// locate goes over a file that is known to be good TOML.
func locate(data []byte) *places {
	l := &places{
		data:  data,
		lines: []int{0},
		key:   map[string]int{},
		value: map[string]int{},
		end:   map[string]int{},
		count: map[string]int{},
	}
	for i, b := range data {
		if b == '\n' {
			l.lines = append(l.lines, i+1)
		}
	}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = l.header(e)
		case unstable.KeyValue:
			l.keyValue(table, e)
		}
	}
	return l
}

// header is the path of the table that a [table] or [[table]] begins.
func (l *places) header(e *unstable.Node) string {
	path, at := "", -1
	for it := e.Key(); it.Next(); {
		if n := l.count[path]; n > 0 {
			path = element(path, n-1)
		}
		path = join(path, string(it.Node().Data))
		if at < 0 {
			at = int(it.Node().Raw.Offset)
		}
	}
	if e.Kind == unstable.ArrayTable {
		l.count[path]++
		path = element(path, l.count[path]-1)
	}
	l.key[path] = at
	return path
}

func (l *places) keyValue(table string, e *unstable.Node) {
	path := table
	for it := e.Key(); it.Next(); {
		path = join(path, string(it.Node().Data))
		if _, ok := l.key[path]; !ok {
			l.key[path] = int(it.Node().Raw.Offset)
		}
	}
	l.val(path, e.Value())
}

func (l *places) val(path string, v *unstable.Node) {
	if v.Raw.Length > 0 {
		l.value[path] = int(v.Raw.Offset)
		l.end[path] = int(v.Raw.Offset + v.Raw.Length)
	}
	i := 0
	for it := v.Children(); it.Next(); {
		switch {
		case it.Node().Kind == unstable.Comment:
		case v.Kind == unstable.InlineTable:
			l.keyValue(path, it.Node())
		case v.Kind == unstable.Array:
			l.val(element(path, i), it.Node())
			i++
		}
	}
}

// of is where the value at path stands, or its key, or else what is around it.
func (l *places) of(path string) (line, col int) {
	for {
		if at, ok := l.value[path]; ok {
			return l.position(at)
		}
		if at, ok := l.key[path]; ok {
			return l.position(at)
		}
		if path == "" {
			return 1, 1
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// ofKey is where the key at path stands.
func (l *places) ofKey(path string) (line, col int) {
	if at, ok := l.key[path]; ok {
		return l.position(at)
	}
	return l.of(path)
}

// within is where a reference stands in the value at path, if that is a text of several lines.
func (l *places) within(path, reference string) (line, col int, ok bool) {
	from, known := l.value[path]
	if !known || reference == "" {
		return 0, 0, false
	}
	at := indexOf(string(l.data[from:l.end[path]]), reference)
	if at < 0 || !bytes.Contains(l.data[from:from+at], []byte("\n")) {
		return 0, 0, false
	}
	line, col = l.position(from + at)
	return line, col, true
}

// indexOf is where a reference stands in a text, and not what stands for one; -1 if it does not.
func indexOf(text, reference string) int {
	for at := 0; ; {
		i := strings.Index(text[at:], reference)
		if i < 0 {
			return -1
		}
		if at += i; at == 0 || text[at-1] != '$' {
			return at
		}
		at += len(reference)
	}
}

func (l *places) position(at int) (line, col int) {
	line = sort.SearchInts(l.lines, at+1)
	return line, utf8.RuneCount(l.data[l.lines[line-1]:at]) + 1
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func join(path, key string) string {
	if !bareKey.MatchString(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
