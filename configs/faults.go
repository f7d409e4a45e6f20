package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// faultsMax is how many faults of a file are told.
const faultsMax = 50

// fault is one thing wrong with a file.
type fault struct {
	file      string // "" for the file that is read, or another that it names
	line, col int
	text      string
}

// at notes what is wrong with the value at path.
func (d *decoder) at(path, text string) {
	line, col := d.places.of(path)
	d.note(path, fault{"", line, col, d.label(path) + text})
}

// label is a path for people: task "web": resources.memory:
func (d *decoder) label(path string) string {
	rest, ok := strings.CutPrefix(path, "task[")
	if !ok {
		return label(path)
	}
	number, field, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	if err != nil {
		return label(path)
	}
	name := strconv.Itoa(i + 1)
	if i < len(d.tasks) && d.tasks[i] != "" {
		name = strconv.Quote(clip(d.tasks[i]))
	}
	return "task " + name + ": " + label(strings.TrimPrefix(field, "."))
}

func label(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// atKey notes what is wrong with the key at path.
func (d *decoder) atKey(path, text string) {
	line, col := d.places.ofKey(path)
	d.note(path, fault{"", line, col, text})
}

func (d *decoder) note(path string, f fault) {
	d.faults = append(d.faults, f)
	d.wrong = append(d.wrong, path)
}

// meaning notes that the value at path does not mean anything sensible, unless
// it could not be read in the first place: then nobody wrote what is judged.
func (d *decoder) meaning(path, text string) {
	if !d.unread(path) {
		d.at(path, text)
	}
}

func (d *decoder) unread(path string) bool {
	return slices.ContainsFunc(d.wrong, func(w string) bool {
		if path == "schedule" && strings.HasPrefix(w, "schedule.") { // it says no time, as that cannot be read
			return true
		}
		rest, ok := strings.CutPrefix(path, w)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// field notes a fault of a job, in a long text at the very place of the reference that it is about.
func (d *decoder) field(f mesh.FieldFault) {
	path := pathOf(f.Path)
	if d.unread(path) {
		return
	}
	if s, ok := d.read[path]; ok {
		d.faults = append(d.faults, s.fault(f.Reference, d.label(s.key)+f.Text))
	} else if line, col, ok := d.places.within(path, f.Reference); ok {
		d.faults = append(d.faults, fault{"", line, col, d.label(path) + f.Text})
	} else {
		d.at(path, f.Text)
	}
}

// err is a fault with a line for each thing wrong, in the order of the file, or
// nil if nothing is.
func (d *decoder) err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
	})
	var lines []string
	for _, f := range d.faults[:min(len(d.faults), faultsMax)] {
		lines = append(lines, fmt.Sprintf("%s:%d:%d: %s", cmp.Or(f.file, d.file), f.line, f.col, f.text))
	}
	if more := len(d.faults) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more faults", d.file, more))
	}
	return mesh.Faultf(mesh.Invalid, "%s", strings.Join(lines, "\n"))
}
