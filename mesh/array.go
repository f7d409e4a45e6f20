package mesh

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of an array.
const (
	arrayText = 4096          // bytes of its text
	arrayMax  = 1_000_000_000 // no index is as high
)

// Array is the copies of a group as a sweep: each has an index of its own, and at
// most AtOnce of them run at a time, if that is not 0.
type Array struct {
	AtOnce int
	parts  []arraySpan
	size   int
}

// arraySpan is some indexes of an array: first, first+step, and so on.
type arraySpan struct{ first, step, count int }

// Len is the number of indexes; 0 if there is no array.
func (a Array) Len() int { return a.size }

// At is the index of the copy at a place, from 0 to Len()-1.
func (a Array) At(place int) int {
	for _, s := range a.parts {
		if place < s.count {
			return s.first + place*s.step
		}
		place -= s.count
	}
	panic("mesh: a place outside of an array")
}

// ParseArray reads "0-99", "1,3,5-7", "0-99:2" (every second) and, after any of
// these, "%8": at most 8 at once. The indexes are in the order of the text. It
// refuses what names none, or more than [CopiesMax].
func ParseArray(text string) (Array, error) {
	var a Array
	if len(text) > arrayText {
		return a, fmt.Errorf("is %d bytes long, more than %d", len(text), arrayText)
	}
	list, limit, limited := strings.Cut(text, "%")
	if limited {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > CopiesMax {
			return a, fmt.Errorf("%q is no limit: want how many run at once, from %%1 to %%%d",
				"%"+clip(limit), CopiesMax)
		}
		a.AtOnce = n
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, step, err := arrayPart(strings.TrimSpace(part))
		if err != nil {
			return a, err
		}
		span := arraySpan{first, step, (last-first)/step + 1}
		if a.size += span.count; a.size > CopiesMax {
			return a, fmt.Errorf("has more than %d indexes", CopiesMax)
		}
		a.parts = append(a.parts, span)
	}
	return a, nil
}

// repeated is an index that an array has twice, if there is one.
func (a Array) repeated() (index int, found bool) {
	seen := map[int]bool{}
	for place := range a.size {
		if index = a.At(place); seen[index] {
			return index, true
		}
		seen[index] = true
	}
	return 0, false
}

// arrayPart reads "7", "5-7" or "0-99:2".
func arrayPart(part string) (first, last, step int, err error) {
	ends, by, stepped := strings.Cut(part, ":")
	from, to, ranged := strings.Cut(ends, "-")
	first, err = arrayIndex(from)
	last, step = first, 1
	if ranged && err == nil {
		last, err = arrayIndex(to)
	}
	if stepped && err == nil {
		step, err = arrayIndex(by)
	}
	switch {
	case part == "":
		return 0, 0, 0, fmt.Errorf(`has an empty part: want indexes such as "0-99", "1,3,5-7" or "0-99:2"`)
	case err != nil || stepped && (!ranged || step == 0):
		return 0, 0, 0, fmt.Errorf(`%q is no index below %d, and no range such as "0-99" or "0-99:2"`,
			clip(part), arrayMax)
	case last < first:
		return 0, 0, 0, fmt.Errorf("the range %q ends before it begins", clip(part))
	}
	return first, last, step, nil
}

// arrayIndex reads digits, and nothing but digits.
func arrayIndex(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n >= arrayMax {
		return 0, fmt.Errorf("no index: %q", s)
	}
	return int(n), nil
}

// arrays checks the arrays, each at its task: those placed together must agree.
func (v *validator) arrays(tasks []Task, of JobType) {
	first := map[string]*Task{} // of each group
	for i := range tasks {
		t := &tasks[i]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(t.Name)
		f := first[t.group()]
		if f == nil {
			f, first[t.group()] = t, t
		}
		switch {
		case t.Array != f.Array:
			v.fault("is %q, and %q in task %q of the same group %q", clip(t.Array), clip(f.Array),
				clip(f.Name), clip(t.group())).at("array")
			continue
		case t.Array == "":
			continue
		case of.PerNode():
			v.fault("gives the copies their indexes, and a job of type %q has one copy on each node: leave it out",
				of).at("array")
		case t.Count != 0:
			v.fault("says how many copies there are, and so does count = %d: leave one out", t.Count).at("array")
		}
		a, err := ParseArray(t.Array)
		if err != nil {
			v.fault("%v", err).at("array")
		} else if index, found := a.repeated(); found {
			v.fault("has the index %d twice", index).at("array")
		}
	}
}
