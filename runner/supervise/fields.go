package supervise

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// object gives the fields of a record. Those that are missing or null are
// zero; the first that is of the wrong kind is the fault of the whole record.
type object struct {
	fields map[string]any
	err    *error
}

func (o *object) fault() error { return *o.err }

func (o *object) wrong(name string) {
	if *o.err == nil {
		*o.err = errors.New("decode record: " + name + " is of the wrong kind")
	}
}

// field is a field's value, or the zero one.
func field[T any](o *object, name string) T {
	v, ok := o.fields[name].(T)
	if !ok && o.fields[name] != nil {
		o.wrong(name)
	}
	return v
}

func (o *object) text(name string) string { return field[string](o, name) }

func (o *object) flag(name string) bool { return field[bool](o, name) }

// object is nil if there is none.
func (o *object) object(name string) *object {
	if fields := field[map[string]any](o, name); fields != nil {
		return &object{fields, o.err}
	}
	return nil
}

func (o *object) objects(name string) []*object {
	var list []*object
	for _, v := range field[[]any](o, name) {
		fields, ok := v.(map[string]any)
		if !ok {
			o.wrong(name)
		}
		list = append(list, &object{fields, o.err})
	}
	return list
}

func (o *object) integer(name string) int64 {
	n := field[number](o, name)
	if n == "" {
		return 0
	}
	v, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		o.wrong(name)
	}
	return v
}

func (o *object) unsigned(name string, bits int) uint64 {
	n := field[number](o, name)
	if n == "" {
		return 0
	}
	return o.count(name, n, bits)
}

func (o *object) unsigneds(name string, bits int) []uint64 {
	var list []uint64
	for _, v := range field[[]any](o, name) {
		n, _ := v.(number)
		list = append(list, o.count(name, n, bits))
	}
	return list
}

func (o *object) count(name string, n number, bits int) uint64 {
	v, err := strconv.ParseUint(string(n), 10, bits)
	if err != nil {
		o.wrong(name)
	}
	return v
}

func (o *object) instant(name string) time.Time {
	s := o.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		o.wrong(name)
	}
	return t
}

func (o *object) texts(name string) []string {
	var list []string
	for _, v := range field[[]any](o, name) {
		s, ok := v.(string)
		if !ok {
			o.wrong(name)
		}
		list = append(list, s)
	}
	return list
}

// encoder writes an object field by field.
type encoder struct{ text []byte }

// name begins a field.
func (e *encoder) name(name string) {
	if e.text[len(e.text)-1] != '{' {
		e.text = append(e.text, ',')
	}
	e.text = append(append(append(e.text, '"'), name...), '"', ':')
}

func (e *encoder) integer(name string, v int64) {
	e.name(name)
	e.text = strconv.AppendInt(e.text, v, 10)
}

func (e *encoder) flag(name string, v bool) {
	e.name(name)
	e.text = strconv.AppendBool(e.text, v)
}

func (e *encoder) instant(name string, v time.Time) {
	e.name(name)
	e.text = append(v.AppendFormat(append(e.text, '"'), time.RFC3339Nano), '"')
}

func (e *encoder) string(name, v string) {
	e.name(name)
	e.text = append(e.text, '"')
	for _, c := range bytes.ToValidUTF8([]byte(v), []byte("\uFFFD")) {
		switch {
		case c < ' ':
			const hex = "0123456789abcdef"
			e.text = append(e.text, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c == '"' || c == '\\':
			e.text = append(e.text, '\\', c)
		default:
			e.text = append(e.text, c)
		}
	}
	e.text = append(e.text, '"')
}
