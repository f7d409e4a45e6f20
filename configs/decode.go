package configs

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
)

// decoder sets Go values from a TOML tree by their toml tags. Unlike a decoder
// that stops at the first thing wrong, it goes on and collects them all.
type decoder struct {
	file   string
	places *places
	zeros  []string // paths of the values that are 0, false or empty
	syntax bool     // the file is no TOML; nothing else is known of it
	tasks  []string // their names, for messages
	faults []fault
	wrong  []string          // paths at which something is wrong already
	with   *substitution     // of a job alone
	read   map[string]source // files that stand in for the text at a path
}

func (d *decoder) table(dst reflect.Value, src map[string]any, path string) {
	fields := map[string]reflect.Value{}
	for i := range dst.NumField() {
		if name := dst.Type().Field(i).Tag.Get("toml"); name != "-" {
			fields[name] = dst.Field(i)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(src)) {
		at := join(path, key)
		if f, ok := fields[key]; ok {
			d.value(f, src[key], at)
			continue
		}
		known := slices.Sorted(maps.Keys(fields))
		if path == "" && d.with != nil {
			known = append(known, variablesTable)
		}
		text := fmt.Sprintf("unknown key %q %s", key, tableName(path))
		if near := mesh.Nearest(key, known); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
			d.wrong = append(d.wrong, join(path, near))
		} else {
			text += "; known are " + strings.Join(known, ", ")
		}
		d.atKey(at, text)
	}
}

func (d *decoder) value(dst reflect.Value, src any, path string) {
	src, ok := d.substitute(src, path)
	if !ok {
		return
	}
	if c, ok := dst.Addr().Interface().(*mesh.Condition); ok {
		d.condition(c, src, path)
		return
	}
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		d.value(dst.Elem(), src, path)
		return
	}
	if t, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(t, src, path)
		d.nothing(dst, path)
		return
	}
	switch dst.Kind() {
	case reflect.Struct:
		if table, ok := src.(map[string]any); ok {
			d.table(dst, table, path)
			return
		}
		d.at(path, fmt.Sprintf("want a table [%s], not %s", path, describe(src)))
	case reflect.Slice:
		d.list(dst, src, path)
	case reflect.Map:
		d.texts(dst, src, path)
	default:
		d.scalar(dst, src, path)
		d.nothing(dst, path)
	}
}

// nothing notes that a key was written and its value is that of one that was not.
func (d *decoder) nothing(v reflect.Value, path string) {
	if v.IsZero() {
		d.zeros = append(d.zeros, path)
	}
}

func (d *decoder) scalar(dst reflect.Value, src any, path string) {
	switch v := src.(type) {
	case string:
		if dst.Kind() == reflect.String {
			dst.SetString(v)
			return
		}
	case bool:
		if dst.Kind() == reflect.Bool {
			dst.SetBool(v)
			return
		}
	case int64:
		if dst.Kind() == reflect.Int {
			dst.SetInt(v)
			return
		}
	case substituted:
		if d.scalarOf(dst, string(v)) {
			return
		}
	}
	want := map[reflect.Kind]string{
		reflect.String: "text in quotes",
		reflect.Bool:   "true or false",
		reflect.Int:    "a whole number",
	}[dst.Kind()]
	d.at(path, fmt.Sprintf("want %s, not %s", want, describe(src)))
}

// scalarOf sets a value from text that stands for it, and says whether it can.
func (d *decoder) scalarOf(dst reflect.Value, text string) bool {
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
		return true
	case reflect.Bool:
		dst.SetBool(text == "true")
		return text == "true" || text == "false"
	case reflect.Int:
		v, err := strconv.Atoi(text)
		dst.SetInt(int64(v))
		return err == nil
	}
	return false
}

// text sets what reads itself from text, such as a duration.
func (d *decoder) text(dst encoding.TextUnmarshaler, src any, path string) {
	var text string
	_, isTime := dst.(*time.Time)
	switch v := src.(type) {
	case string:
		text = v
	case substituted:
		text = string(v)
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case time.Time:
		text = v.Format(time.RFC3339Nano)
	default:
		want := "a number or text with a unit"
		if isTime {
			want = `a time with its zone, such as "2026-12-24T18:00:00+01:00"`
		}
		d.at(path, fmt.Sprintf("want %s, not %s", want, describe(src)))
		return
	}
	if isTime {
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			d.at(path, fmt.Sprintf("%q is no time: want one such as \"2026-12-24T18:00:00+01:00\"", clip(text)))
			return
		}
	}
	if err := dst.UnmarshalText([]byte(text)); err != nil {
		d.at(path, err.Error())
	}
}

// condition sets a condition of a filter.
func (d *decoder) condition(dst *mesh.Condition, src any, path string) {
	src, ok := d.resolve(src, path)
	if !ok {
		return
	}
	c, err := mesh.ConditionOf(src)
	if err != nil {
		d.at(path, err.Error())
		return
	}
	*dst = c
}

// resolve is a value, in whatever it has lists and tables, with the values of variables.
func (d *decoder) resolve(src any, path string) (any, bool) {
	all := true
	switch v := src.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			one, ok := d.resolve(v[i], element(path, i))
			list[i], all = one, all && ok
		}
		return list, all
	case map[string]any:
		table := map[string]any{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			one, ok := d.resolve(v[key], join(path, key))
			table[key], all = one, all && ok
		}
		return table, all
	case string:
		is, ok := d.substitute(v, path)
		if text, changed := is.(substituted); changed {
			is = string(text)
		}
		return is, ok
	}
	return src, true
}

// mayBeOne are the lists that may be written as their one text, as most of them have one.
var mayBeOne = []string{"schedule.cron"}

func (d *decoder) list(dst reflect.Value, src any, path string) {
	list, ok := src.([]any)
	if slices.Contains(mayBeOne, path) {
		switch one := src.(type) {
		case string:
			dst.Set(reflect.ValueOf([]string{one}))
			return
		case substituted:
			dst.Set(reflect.ValueOf([]string{string(one)}))
			return
		}
	}
	if !ok {
		such := `["sh", "-c", "date"]`
		runs := strings.HasSuffix(path, "command") || strings.HasSuffix(path, "entrypoint")
		if one, ok := src.(string); ok && !runs {
			such = fmt.Sprintf("[%q]", clip(one))
		}
		text := fmt.Sprintf("want a list of texts, such as %s, not %s", such, describe(src))
		if dst.Type().Elem().Kind() == reflect.Struct {
			text = fmt.Sprintf("write [[%s]], in two brackets: there may be several", path)
		}
		d.at(path, text)
		return
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	for i, v := range list {
		d.value(dst.Index(i), v, element(path, i))
	}
}

func (d *decoder) texts(dst reflect.Value, src any, path string) {
	table, ok := src.(map[string]any)
	if !ok {
		d.at(path, fmt.Sprintf("want a table [%s], not %s", path, describe(src)))
		return
	}
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(table)))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		v := reflect.New(dst.Type().Elem()).Elem()
		d.value(v, table[key], join(path, key))
		dst.SetMapIndex(reflect.ValueOf(key), v)
	}
}

// describe says what a value is, for messages.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return "the text " + strconv.Quote(clip(v))
	case substituted:
		return describe(string(v))
	case bool, int64, float64:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date"
}

// clip keeps a message readable, whatever was in the file.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// tableName is where a path is, by its table's header in the file: in [[task]].
func tableName(path string) string {
	switch {
	case path == "":
		return "at the top of the file"
	case strings.HasSuffix(path, "]"):
		return "in [[" + withoutIndexes(path) + "]]"
	}
	return "in [" + withoutIndexes(path) + "]"
}

func withoutIndexes(path string) string {
	var out strings.Builder
	depth := 0
	for _, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0:
			out.WriteRune(r)
		}
	}
	return out.String()
}
