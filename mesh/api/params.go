package api

import (
	"encoding"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// Requests without a body travel in the path and the query. Their fields are
// text, numbers and truth values, or have a form as text; named by their json
// tags.

// fillPath puts the fields of req into the wildcards of path, and returns the
// others, where they are set, as a query.
func fillPath(path string, req any) (string, url.Values) {
	query := url.Values{}
	v := reflect.ValueOf(req)
	for i := range v.NumField() {
		name, text := fieldName(v.Type().Field(i)), fieldText(v.Field(i))
		wild := "{" + name + "}"
		switch {
		case strings.Contains(path, wild):
			path = strings.Replace(path, wild, url.PathEscape(text), 1)
		case !v.Field(i).IsZero():
			query.Set(name, text)
		}
	}
	return path, query
}

// readParams sets the fields of *req that get has a text for.
func readParams(req any, get func(name string) string) error {
	v := reflect.ValueOf(req).Elem()
	for i := range v.NumField() {
		name := fieldName(v.Type().Field(i))
		text := get(name)
		if text == "" {
			continue
		}
		if err := setField(v.Field(i), text); err != nil {
			return fmt.Errorf("parameter %q: %w", name, err)
		}
	}
	return nil
}

func setField(f reflect.Value, text string) error {
	if t, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		f.SetBool(b)
		return nil
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		f.SetInt(int64(n))
		return nil
	default:
		return fmt.Errorf("%q cannot be given here", text)
	}
}

func fieldText(f reflect.Value) string {
	if t, ok := f.Interface().(encoding.TextMarshaler); ok {
		text, err := t.MarshalText()
		if err != nil {
			panic("api: a request's field has no text: " + err.Error())
		}
		return string(text)
	}
	switch f.Kind() {
	case reflect.String:
		return f.String()
	case reflect.Bool:
		return strconv.FormatBool(f.Bool())
	case reflect.Int:
		return strconv.FormatInt(f.Int(), 10)
	default:
		return ""
	}
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
