package configs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var place = regexp.MustCompile(`^job\.toml:(\d+):(\d+): .+|^job\.toml: and \d+ more faults$`)

// seed gives a fuzz target files that are good, and some that are not.
func seed(f *testing.F) {
	f.Helper()
	add := func(data []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	good, _ := fs.Glob(Examples, "examples/*.toml")
	for _, name := range good {
		add(fs.ReadFile(Examples, name))
	}
	bad, _ := filepath.Glob("testdata/invalid/*.toml")
	for _, name := range bad {
		add(os.ReadFile(name))
	}
	f.Add([]byte("[[task]]\nenv = {a.b = [1, {c = 2}]}\n[task.x]\n[[task.x.y]]\n\"\\u0000\" = 1"))
}

// Whatever a file holds, it is a valid job or told to be wrong at a place that
// is in the file.
func FuzzParseJob(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		job, err := ParseJob("job.toml", data)
		if err == nil {
			if faults := job.Validate(); len(faults) > 0 {
				t.Fatalf("it was taken, but %v", faults[0])
			}
			return
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, told := range strings.Split(err.Error(), "\n") {
			at := place.FindStringSubmatch(told)
			if at == nil {
				t.Fatalf("%q has no place", told)
			}
			var line int
			if _, err := fmt.Sscan(at[1], &line); err == nil && (line < 1 || line > lines) {
				t.Fatalf("%q is not within %d lines", told, lines)
			}
		}
	})
}
