package supervise

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The little of JSON that records need. Package encoding/json would do, but it
// costs every supervisor: see package early. The tests hold the two against
// each other.

// depthMax bounds how deep values are nested.
const depthMax = 8

// number is a number as it is written.
type number string

// parser reads a value: nil, bool, number, string, []any or map[string]any.
type parser struct {
	rest  []byte
	depth int
}

var errSyntax = errors.New("decode record: not JSON, or nested too deep")

// parseObject reads a record.
func parseObject(text []byte) (*object, error) {
	p := parser{rest: text}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	fields, ok := v.(map[string]any)
	if !ok || p.next() != 0 {
		return nil, errSyntax
	}
	return &object{fields: fields, err: new(error)}, nil
}

// next is the byte that comes next behind white space, 0 at the end.
func (p *parser) next() byte {
	p.rest = bytes.TrimLeft(p.rest, " \t\r\n")
	if len(p.rest) == 0 {
		return 0
	}
	return p.rest[0]
}

// take steps over c if it is next.
func (p *parser) take(c byte) bool {
	if p.next() != c || c == 0 {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *parser) value() (any, error) {
	if p.depth == depthMax {
		return nil, errSyntax
	}
	p.depth++
	defer func() { p.depth-- }()
	switch p.next() {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.text()
	}
	word := p.rest
	if i := bytes.IndexAny(word, ",]} \t\r\n"); i >= 0 {
		word = word[:i]
	}
	p.rest = p.rest[len(word):]
	switch string(word) {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	// Whether it is a number as one should be is seen where it is used.
	if len(word) == 0 || len(bytes.Trim(word, "+-.0123456789Ee")) > 0 {
		return nil, errSyntax
	}
	return number(word), nil
}

func (p *parser) object() (any, error) {
	p.take('{')
	fields := map[string]any{}
	if p.take('}') {
		return fields, nil
	}
	for {
		if p.next() != '"' {
			return nil, errSyntax
		}
		name, err := p.text()
		if err != nil || !p.take(':') {
			return nil, errSyntax
		}
		if fields[name], err = p.value(); err != nil {
			return nil, err
		}
		if p.take('}') {
			return fields, nil
		}
		if !p.take(',') {
			return nil, errSyntax
		}
	}
}

func (p *parser) array() (any, error) {
	p.take('[')
	list := []any{}
	if p.take(']') {
		return list, nil
	}
	for {
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.take(']') {
			return list, nil
		}
		if !p.take(',') {
			return nil, errSyntax
		}
	}
}

// text reads a string.
func (p *parser) text() (string, error) {
	var s []byte
	for rest := p.rest[1:]; len(rest) > 0; {
		i := bytes.IndexAny(rest, `"\`)
		if i < 0 {
			break
		}
		s = append(s, rest[:i]...)
		if rest[i] == '"' {
			p.rest = rest[i+1:]
			return string(s), nil
		}
		r, size := escaped(rest[i:])
		if size == 0 {
			break
		}
		s = utf8.AppendRune(s, r)
		rest = rest[i+size:]
	}
	return "", errSyntax
}

// escaped reads what a backslash begins; size is 0 if it begins nothing.
func escaped(text []byte) (r rune, size int) {
	if len(text) < 2 {
		return 0, 0
	}
	if text[1] != 'u' {
		i := bytes.IndexByte([]byte(`"\/bfnrt`), text[1])
		if i < 0 {
			return 0, 0
		}
		return rune("\"\\/\b\f\n\r\t"[i]), 2
	}
	r, ok := unit(text)
	if !ok {
		return 0, 0
	}
	if low, ok := unit(text[6:]); ok && utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return r, 6 // half a pair is written as the replacement character
}

// unit reads \uXXXX.
func unit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
