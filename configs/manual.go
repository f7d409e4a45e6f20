package configs

import (
	"encoding/json"
	"regexp"
	"strings"
)

// meaning is what the manual says of a key.
type meaning struct {
	text  string
	usual json.RawMessage // its default, if that is the same for all jobs
}

var (
	tableHeading = regexp.MustCompile("^#+ `\\[+([a-z_.]+)\\]+`(?:: (.*))?$")
	topHeading   = regexp.MustCompile("^#+ The job$")
	quotedCell   = regexp.MustCompile("^`([^`]+)`$")
	link         = regexp.MustCompile(`\[([^]]+)\]\([^)]*\)`)
)

// manualOf finds what a manual of files says of their keys, by the path of each. A
// table of keys has a row for each of them, and stands below the heading that names
// the table in the file. What [task.restart], [task.constraint], [task.affinity] and those of services
// say is what those without "task" do.
func manualOf(markdown string) map[string]meaning {
	all := map[string]meaning{}
	path, columns, keys := "", []string(nil), false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
			keys, columns = topHeading.MatchString(line), nil
			path = ""
			if m := tableHeading.FindStringSubmatch(line); m != nil {
				path, keys = m[1], true
				all[path] = meaning{text: m[2]}
			}
		case !strings.HasPrefix(line, "|"):
			columns = nil
		case columns == nil:
			columns = cellsOf(line)
		case keys && columns[0] == "key":
			cells := cellsOf(line)
			if m := quotedCell.FindStringSubmatch(cells[0]); m != nil {
				all[join(path, m[1])] = meaningOf(columns, cells)
			}
		}
	}
	for key, of := range all {
		switch table, _, _ := strings.Cut(key, "."); table {
		case "restart", "constraint", "affinity", "service", "requires_service":
			all["task."+key] = of
		}
	}
	return all
}

func cellsOf(row string) []string {
	cells := strings.Split(strings.Trim(strings.ReplaceAll(row, `\|`, "\x00"), "|"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(c, "\x00", "|"))
	}
	return cells
}

// meaningOf is a row of a table of keys.
func meaningOf(columns, cells []string) meaning {
	var is meaning
	var usual []string
	for i, of := range columns[:min(len(columns), len(cells))] {
		switch cell := cells[i]; {
		case cell == "":
		case of == "meaning":
			is.text = link.ReplaceAllString(cell, "$1")
		case of == "default":
			m := quotedCell.FindStringSubmatch(cell)
			if m != nil && json.Valid([]byte(m[1])) {
				is.usual = json.RawMessage(m[1])
			}
		case of == "service", of == "batch":
			usual = append(usual, of+": "+cell)
		}
	}
	if len(usual) > 0 {
		is.text = strings.TrimSpace(is.text + " Default for " + strings.Join(usual, ", ") + ".")
	}
	return is
}
