package configs

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// WriteJob writes a job as a file that [ParseJob] reads as the same job. What is
// unset is left out.
func WriteJob(job *mesh.Job) []byte {
	var b strings.Builder
	writeTable(&b, "", entries(reflect.ValueOf(*job)))
	return []byte(b.String())
}

// entry is a key of a table with what it has: a value as it is written, a table,
// or a list of tables.
type entry struct {
	key   string
	text  string
	table []entry
	list  [][]entry
}

// entries are the keys of a struct with toml tags, or of a map, that are set.
func entries(v reflect.Value) []entry {
	var all []entry
	if v.Kind() == reflect.Map {
		values := map[string]reflect.Value{}
		for k, e := range v.Seq2() {
			values[k.String()] = e
		}
		for _, k := range slices.Sorted(maps.Keys(values)) {
			all = append(all, entryOf(k, values[k]))
		}
		return all
	}
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Tag.Get("toml"), v.Field(i)
		if name == "-" || f.IsZero() {
			continue
		}
		if e := entryOf(name, f); e.text != "" || len(e.table)+len(e.list) > 0 || f.Kind() == reflect.Pointer {
			all = append(all, e)
		}
	}
	return all
}

func entryOf(key string, v reflect.Value) entry {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	_, isText := v.Interface().(fmt.Stringer)
	switch {
	case isText:
	case v.Kind() == reflect.Struct, v.Kind() == reflect.Map:
		return entry{key: key, table: entries(v)}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		e := entry{key: key}
		for _, one := range v.Seq2() {
			e.list = append(e.list, entries(one))
		}
		return e
	}
	return entry{key: key, text: literal(v)}
}

// literal is a value as it is written in a file.
func literal(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case mesh.Bytes:
		return size(x)
	case mesh.Cores:
		return x.String()
	case mesh.Share:
		return x.String()
	case encoding.TextMarshaler:
		if b, err := x.MarshalText(); err == nil {
			return quote(string(b))
		}
	case fmt.Stringer:
		return quote(x.String())
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Slice:
		var parts []string
		for _, one := range v.Seq2() {
			parts = append(parts, literal(one))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return fmt.Sprint(v.Interface())
	}
}

// size writes an amount of bytes in the largest unit that says it exactly.
func size(b mesh.Bytes) string {
	for _, u := range []struct {
		unit mesh.Bytes
		name string
	}{
		{mesh.TiB, "TiB"},
		{mesh.GiB, "GiB"},
		{mesh.MiB, "MiB"},
		{1e12, "TB"},
		{1e9, "GB"},
		{1e6, "MB"},
		{mesh.KiB, "KiB"},
		{1e3, "kB"},
	} {
		if b >= u.unit && b%u.unit == 0 {
			return quote(strconv.FormatInt(int64(b/u.unit), 10) + u.name)
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// quote is a text as TOML writes it, on one line.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// writeTable writes the values of a table, then the tables in it.
func writeTable(b *strings.Builder, path string, table []entry) {
	for _, e := range table {
		if e.text != "" {
			fmt.Fprintf(b, "%s = %s\n", written(e.key), e.text)
		}
	}
	for _, e := range table {
		at := written(e.key)
		if path != "" {
			at = path + "." + at
		}
		for _, one := range e.list {
			fmt.Fprintf(b, "\n[[%s]]\n", at)
			writeTable(b, at, one)
		}
		if e.text == "" && e.list == nil {
			fmt.Fprintf(b, "\n[%s]\n", at)
			writeTable(b, at, e.table)
		}
	}
}

// written is a key as it is written.
func written(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return quote(key)
}
