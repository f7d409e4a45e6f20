package configs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

const (
	variablesTable = "variables" // of a job file: their names, and their values unless others are given
	variablesMax   = 1000        // of a file, or given
	reference      = "${var."    // and a name and a brace, in any text of a job file
)

// Variables are what a person gives for the ${var.NAME} of a job file, in place of the
// values that the file has itself.
type Variables struct {
	Files []string // of name = value each; of two that have the same name the later wins
	Given []string // NAME=VALUE each, which win over those in files; the job file must have them
}

// read is the values by name, and the names of those that the job file must have.
func (v Variables) read() (values map[string]string, must []string, err error) {
	values = map[string]string{}
	for _, file := range v.Files {
		data, err := ReadFile("variable", file)
		if err != nil {
			return nil, nil, err
		}
		d := &decoder{file: file}
		if tree := d.tree(data); tree != nil {
			maps.Copy(values, d.variables(tree, ""))
		}
		if err := d.err(); err != nil {
			return nil, nil, err
		}
	}
	for _, given := range v.Given {
		name, value, found := strings.Cut(given, "=")
		if !found || !bareKey.MatchString(name) {
			return nil, nil, mesh.Faultf(mesh.Invalid, "%q is no variable", clip(given)).
				Hint("write it as NAME=VALUE; a name has letters, digits, - and _")
		}
		values[name], must = value, append(must, name)
	}
	if len(values) > variablesMax {
		return nil, nil, mesh.Faultf(mesh.Invalid, "%d variables are given, of at most %d", len(values), variablesMax)
	}
	return values, must, nil
}

// variables reads a table of variables, at a path of the file.
func (d *decoder) variables(table map[string]any, path string) map[string]string {
	values := map[string]string{}
	if len(table) > variablesMax {
		d.at(path, fmt.Sprintf("%d variables, of at most %d", len(table), variablesMax))
		return values
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := join(path, name)
		if !bareKey.MatchString(name) {
			d.atKey(at, fmt.Sprintf("the name %q of a variable has more than letters, digits, - and _", clip(name)))
			continue
		}
		switch v := table[name].(type) {
		case string:
			values[name] = v
		case bool:
			values[name] = strconv.FormatBool(v)
		case int64:
			values[name] = strconv.FormatInt(v, 10)
		case float64:
			values[name] = strconv.FormatFloat(v, 'f', -1, 64)
		default:
			d.at(at, fmt.Sprintf("want text, a number, true or false, not %s", describe(v)))
		}
	}
	return values
}

// substitution puts values in place of the references to them in a file.
type substitution struct {
	values map[string]string
	met    map[string]bool // names that the file has, referred to or in its table
}

// substituted is text of a file that had a reference, and so may be a number too.
type substituted string

// take takes the table of variables out of a job's tree. What is given wins over what
// is in it.
func (d *decoder) take(tree map[string]any, given map[string]string) {
	d.with = &substitution{values: map[string]string{}, met: map[string]bool{}}
	if src, ok := tree[variablesTable]; ok {
		delete(tree, variablesTable)
		if table, ok := src.(map[string]any); ok {
			d.with.values = d.variables(table, variablesTable)
			for name := range table {
				d.with.met[name] = true
			}
		} else {
			d.at(variablesTable, fmt.Sprintf("want a table [%s], not %s", variablesTable, describe(src)))
		}
	}
	maps.Copy(d.with.values, given)
}

// substitute is src with all references replaced, if it is text that has one. A value
// stands as if it had been written in the file. What has no closing brace is left alone,
// and so is "$${", by which a job writes "${" ([mesh.Expand]). It is false if there is
// no value, which is told.
func (d *decoder) substitute(src any, path string) (any, bool) {
	s, ok := src.(string)
	if !ok || d.with == nil || !strings.Contains(s, reference) {
		return src, true
	}
	var out strings.Builder
	replaced := false
	for {
		before, rest, found := strings.Cut(s, reference)
		out.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !found {
			break
		}
		if !closed || strings.HasSuffix(before, "$") {
			out.WriteString(reference)
			s = rest
			continue
		}
		value, ok := d.valueOf(name, path)
		if !ok {
			return nil, false
		}
		out.WriteString(value)
		s, replaced = after, true
		if out.Len() > mesh.ValueMax {
			d.at(path, fmt.Sprintf("with its variables it is longer than %v", mesh.Bytes(mesh.ValueMax)))
			return nil, false
		}
	}
	if !replaced {
		return src, true
	}
	return substituted(out.String()), true
}

// valueOf is the value of a variable that the text at path refers to. That there is none
// is told.
func (d *decoder) valueOf(name, path string) (string, bool) {
	d.with.met[name] = true
	value, ok := d.with.values[name]
	switch {
	case ok:
	case !bareKey.MatchString(name):
		d.at(path, fmt.Sprintf("%q is no name of a variable, which has letters, digits, - and _", clip(name)))
	default:
		text := fmt.Sprintf("${var.%s} has no value", clip(name))
		if near := mesh.Nearest(name, slices.Sorted(maps.Keys(d.with.values))); near != "" {
			text += fmt.Sprintf("; did you mean ${var.%s}?", near)
		} else {
			text += fmt.Sprintf("; give it with --var %s=VALUE, or in [%s]", clip(name), variablesTable)
		}
		if s, sourced := d.read[path]; sourced {
			d.note(path, s.fault(reference+name+"}", d.label(path)+text))
		} else {
			d.at(path, text)
		}
	}
	return value, ok
}

// unknown is a fault if one of these names is nowhere in the file.
func (d *decoder) unknown(names []string) error {
	if d.with == nil {
		return nil // it is no TOML
	}
	for _, name := range names {
		if d.with.met[name] {
			continue
		}
		f := mesh.Faultf(mesh.Invalid, "%s has no variable %q", d.file, clip(name))
		if near := mesh.Nearest(name, slices.Sorted(maps.Keys(d.with.met))); near != "" {
			return f.Hint("did you mean %q?", near)
		}
		return f.Hint("a job file refers to it as ${var.%s}", clip(name))
	}
	return nil
}
