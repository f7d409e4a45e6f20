package configs

import (
	"embed"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"mn/mesh"
)

// Examples are job files to learn from, in the folder "examples".
//
//go:embed examples/*.toml
var Examples embed.FS

//go:embed starts/*.toml
var starts embed.FS

// Example is a job file that comes with mn.
type Example struct {
	Name  string       `json:"name"`
	Type  mesh.JobType `json:"type"`
	About string       `json:"about"` // the first sentence of its comment
}

// ListExamples are what there is in [Examples], by name.
func ListExamples() ([]Example, error) {
	var all []Example
	for _, name := range namesIn(Examples, "examples") {
		text, job, err := embedded(Examples, "examples", name)
		if err != nil {
			return nil, err
		}
		all = append(all, Example{name, job.Type, about(string(text))})
	}
	return all, nil
}

// about is the first sentence of the comment that a file begins with.
func about(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(line, "#")
		if comment = strings.TrimSpace(comment); !ok || comment == "" {
			break
		}
		words = append(words, comment)
	}
	sentence, _, _ := strings.Cut(strings.Join(words, " ")+" ", ". ")
	return strings.TrimRight(sentence, ". ")
}

// FromExample is the file of an example, for a job of another name if there is one.
func FromExample(example, name string) ([]byte, *mesh.Job, error) {
	known := namesIn(Examples, "examples")
	if !slices.Contains(known, example) {
		f := mesh.Faultf(mesh.NotFound, "no example %q", example)
		if near := mesh.Nearest(example, known); near != "" {
			f.Hint("did you mean %q?", near)
		}
		return nil, nil, f.Hint("mn job init --list")
	}
	return renamed(Examples, "examples", example, name)
}

// Start is a small job file of that type and name, to begin with.
func Start(of mesh.JobType, name string) ([]byte, *mesh.Job, error) {
	if types := namesIn(starts, "starts"); !slices.Contains(types, string(of)) {
		return nil, nil, mesh.Faultf(mesh.Invalid, "no type %q: want one of %s", of, strings.Join(types, ", "))
	}
	return renamed(starts, "starts", string(of), name)
}

func namesIn(files fs.FS, dir string) []string {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		panic("configs: " + err.Error()) // it is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".toml"))
	}
	return names
}

var nameLine = regexp.MustCompile(`(?m)^name = ".*"$`)

// renamed is an embedded file whose job, if name is not "", has that name.
func renamed(files fs.FS, dir, file, name string) ([]byte, *mesh.Job, error) {
	text, job, err := embedded(files, dir, file)
	if err != nil || name == "" {
		return text, job, err
	}
	if !mesh.ValidName(name) {
		return nil, nil, mesh.Faultf(mesh.Invalid, "%q is not a job's name: want 1 to 63 letters, digits, "+
			"'-', '_' and '.', beginning with a letter or digit", clip(name))
	}
	at := nameLine.FindIndex(text) // the job's own stands before those of its tasks
	job.Name = name
	return slices.Concat(text[:at[0]], []byte("name = "+quote(name)), text[at[1]:]), job, nil
}

func embedded(files fs.FS, dir, name string) ([]byte, *mesh.Job, error) {
	path := dir + "/" + name + ".toml"
	text, err := fs.ReadFile(files, path)
	if err != nil {
		return nil, nil, err
	}
	job, err := ParseJob(path, text)
	return text, job, err
}
