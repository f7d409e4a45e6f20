package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"mn/mesh"
)

// notesMax bounds what is told of a manifest.
const notesMax = 50

// notes are what a job file does not say as the manifest does.
type notes struct {
	lines []string // never nil
	more  int
}

func (n *notes) add(format string, args ...any) {
	if len(n.lines) >= notesMax {
		n.more++
		return
	}
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// all are the notes, and how many there are besides.
func (n *notes) all() []string {
	if n.more > 0 {
		return append(n.lines, fmt.Sprintf("and %d more", n.more))
	}
	return n.lines
}

// object is a table of a manifest. What is taken from it is gone, so that what is left at
// the end is what nobody has asked for.
type object struct {
	path  string // of keys, "" for the manifest itself
	of    map[string]any
	notes *notes
}

func (o object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

// take is the value of the first of these keys that is there, and its path: a manifest has
// more than one name for some things. The others go with it.
func (o object) take(keys ...string) (value any, at string) {
	for _, key := range keys {
		if v, ok := o.of[key]; ok {
			if at == "" && v != nil {
				value, at = v, o.at(key)
			}
			delete(o.of, key)
		}
	}
	return value, at
}

// wrong notes that a value is not of the kind that it should be.
func (o object) wrong(at, want string) { o.notes.add("%s: is no %s, and is left out", at, want) }

func (o object) text(keys ...string) string {
	v, at := o.take(keys...)
	if at == "" {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		o.wrong(at, "text")
	}
	return s
}

// number is a number that is not negative; ok says whether there is one.
func (o object) number(keys ...string) (n float64, ok bool) {
	v, at := o.take(keys...)
	if at == "" {
		return 0, false
	}
	if j, is := v.(json.Number); is {
		if n, err := j.Float64(); err == nil && n >= 0 && n < 1<<53 {
			return n, true
		}
	}
	o.wrong(at, "number from 0 on")
	return 0, false
}

// count is a whole number, nil if there is none.
func (o object) count(keys ...string) *int {
	n, ok := o.number(keys...)
	if !ok {
		return nil
	}
	i := int(n)
	return &i
}

// duration is a number of milliseconds.
func (o object) duration(keys ...string) mesh.Duration {
	n, _ := o.number(keys...)
	return mesh.Duration(time.Duration(min(n, maxMillis)) * time.Millisecond)
}

// maxMillis is more than any time in a job file may be.
const maxMillis = 1e12

// truth is true or false, also as text; nil if it is neither.
func (o object) truth(keys ...string) *bool {
	v, at := o.take(keys...)
	if at == "" {
		return nil
	}
	if s, is := v.(string); is {
		if b, err := strconv.ParseBool(s); err == nil {
			return &b
		}
	}
	b, ok := v.(bool)
	if !ok {
		o.wrong(at, "true or false")
		return nil
	}
	return &b
}

// sub is a table within this one, an empty one if it has none.
func (o object) sub(keys ...string) object {
	v, at := o.take(keys...)
	table, ok := v.(map[string]any)
	if at != "" && !ok {
		o.wrong(at, "table")
	}
	return object{at, table, o.notes}
}

// subs are the tables in a list.
func (o object) subs(keys ...string) []object {
	v, at := o.take(keys...)
	list, ok := v.([]any)
	if at != "" && !ok {
		o.wrong(at, "list")
	}
	var all []object
	for i, e := range list {
		path := fmt.Sprintf("%s[%d]", at, i)
		table, ok := e.(map[string]any)
		if !ok {
			o.wrong(path, "table")
			continue
		}
		all = append(all, object{path, table, o.notes})
	}
	return all
}

// texts are the texts in a list; numbers count as such.
func (o object) texts(keys ...string) []string {
	v, at := o.take(keys...)
	if at == "" {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		o.wrong(at, "list of texts")
	}
	var all []string
	for _, e := range list {
		s, ok := plain(e)
		if !ok {
			o.wrong(at, "list of texts")
			return nil
		}
		all = append(all, s)
	}
	return all
}

// table are the entries of a table that can be written as text.
func (o object) table(keys ...string) map[string]string {
	t := o.sub(keys...)
	all := map[string]string{}
	for key, v := range t.of {
		if s, ok := plain(v); ok {
			all[key] = s
			delete(t.of, key)
		}
	}
	t.rest("has no place in a job file")
	return all
}

// plain is a text, a number, true or false, as text.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// rest notes what nobody has taken.
func (o object) rest(why string) {
	for _, key := range slices.Sorted(maps.Keys(o.of)) {
		if !empty(o.of[key]) {
			o.notes.add("%s: %s", o.at(key), why)
		}
	}
}

// empty says whether a value says nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
