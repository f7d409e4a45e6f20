package configs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"

	"mn/mesh"
)

// sourceMax bounds a file that stands in for the text of a template: no text of a job is longer.
const sourceMax = 64 << 10

// source is a file that stands in for a text of the job file.
type source struct {
	key  string // the path of the key that names it
	file string
	text string
}

// fault is what is wrong with a reference in it.
func (s source) fault(reference, text string) fault {
	at := max(indexOf(s.text, reference), 0)
	before := s.text[:at]
	line := strings.LastIndexByte(before, '\n') + 1
	return fault{s.file, strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[line:]) + 1, text}
}

// sources reads the files that are the contents of templates, in the folder of the job file: from then on
// they are texts of the job as if they had been written in it.
func (d *decoder) sources(job *mesh.Job, folder string) {
	d.read = map[string]source{}
	for i := range job.Tasks {
		for j := range job.Tasks[i].Templates {
			t := &job.Tasks[i].Templates[j]
			if t.Source == "" {
				continue
			}
			at := element(join(element("task", i), "template"), j)
			content, key := join(at, "content"), join(at, "source")
			if t.Content != "" {
				d.at(key, "is another way to say what is in it: want content, or source")
			} else if text, err := readSource(folder, t.Source); err != nil {
				d.at(key, err.Error())
				d.wrong = append(d.wrong, content)
			} else {
				s := source{key, filepath.Join(folder, t.Source), text}
				d.read[content], d.read[key] = s, s
				if value, ok := d.substitute(text, key); ok {
					t.Content = fmt.Sprint(value)
				} else {
					d.wrong = append(d.wrong, content)
				}
			}
			t.Source = ""
		}
	}
}

// readSource reads a file beneath a folder.
func readSource(folder, name string) (string, error) {
	if folder == "" {
		return "", fmt.Errorf("%q is beside the job file, and this is none: want content", clip(name))
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which does not wait for who writes into a pipe
	if err != nil {
		return "", fmt.Errorf("%w, of the job's folder", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%q is no file", clip(name))
	}
	text, err := io.ReadAll(io.LimitReader(f, sourceMax+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > sourceMax:
		return "", fmt.Errorf("%q is larger than %v", clip(name), mesh.Bytes(sourceMax))
	case len(text) == 0:
		return "", fmt.Errorf("%q is empty", clip(name))
	}
	return string(text), nil
}
