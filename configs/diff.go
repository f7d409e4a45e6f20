package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"mn/mesh"
)

// Change is a setting in which two jobs differ, in the words of a job file.
type Change struct {
	In  string  `json:"in"`  // task "web", or "" for the job
	Key string  `json:"key"` // restart.attempts
	Old *string `json:"old"` // as it is written; null if it was unset
	New *string `json:"new"` // null if it is unset
}

// String is a change in a line: task "web": count: 2 -> 3.
func (c Change) String() string {
	text := func(s *string) string {
		if s == nil {
			return "unset"
		}
		return *s
	}
	switch {
	case c.In == "":
		return fmt.Sprintf("%s: %s -> %s", c.Key, text(c.Old), text(c.New))
	case c.Key == "name" && c.Old == nil:
		return c.In + ": added"
	case c.Key == "name" && c.New == nil:
		return c.In + ": removed"
	}
	return fmt.Sprintf("%s: %s: %s -> %s", c.In, c.Key, text(c.Old), text(c.New))
}

// Diff is the settings in which two jobs differ, those of the job first, then
// those of its tasks by their names. What is unset counts as its default, where
// that is the same for every job. Of a task that is only in one of them, all are.
func Diff(before, after *mesh.Job) []Change {
	was, is := settings(before), settings(after)
	changes := []Change{}
	for _, s := range is {
		old := find(was, s)
		if old == nil || *old != s.text {
			changes = append(changes, Change{In: s.in, Key: s.key, Old: old, New: &s.text})
		}
	}
	for _, s := range was {
		if find(is, s) == nil {
			changes = append(changes, Change{In: s.in, Key: s.key, Old: &s.text})
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return order(is, was, a) - order(is, was, b) })
	return changes
}

// assigned is a setting with the value that a job gives it.
type assigned struct{ in, key, text string }

func find(all []assigned, s assigned) *string {
	i := slices.IndexFunc(all, func(o assigned) bool { return o.in == s.in && o.key == s.key })
	if i < 0 {
		return nil
	}
	return &all[i].text
}

// order is where what a change is in first stands: what is new before what is gone.
func order(is, was []assigned, c Change) int {
	in := func(s assigned) bool { return s.in == c.In }
	if i := slices.IndexFunc(is, in); i >= 0 {
		return i
	}
	return len(is) + slices.IndexFunc(was, in)
}

// settings are all that a job sets, in the order of a file.
func settings(job *mesh.Job) []assigned {
	full := *job
	full.Tasks = slices.Clone(job.Tasks)
	full.Defaults()
	return flatten(nil, "", "", entries(reflect.ValueOf(full)))
}

func flatten(all []assigned, in, path string, table []entry) []assigned {
	for _, e := range table {
		at := join(path, e.key)
		if e.text != "" {
			all = append(all, assigned{in, at, e.text})
		}
		all = flatten(all, in, at, e.table)
		for i, one := range e.list {
			if in == "" {
				all = flatten(all, at+" "+nameOf(one, i), "", one)
			} else {
				all = flatten(all, in, at+"["+nameOf(one, i)+"]", one)
			}
		}
	}
	return all
}

// nameOf is what tells a table from the others of its list: its name, if it has
// one, else its number.
func nameOf(table []entry, i int) string {
	for _, e := range table {
		if e.key == "name" {
			return e.text
		}
	}
	return strconv.Itoa(i)
}
