// Package configs reads what people write: job files and the agent's own file.
//
// Reading is strict. Whatever is wrong is reported at once, every fault with
// its file, line and column, and an unknown key with the nearest known one.
// Package mesh says what a job must look like; this package says where in the
// file it does not. It opens files, but keeps nothing and starts nothing.
package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"mn/mesh"
)

// JobFile is the job of a folder.
const JobFile = "job.toml"

const (
	fileMax       = 256 << 10 // bytes of a file
	byteOrderMark = "\ufeff"  // with which some editors begin a file
)

// ReadJob reads the job at path: a file, or a folder with job.toml in it.
func ReadJob(path string, with Variables) (*mesh.Job, error) {
	return ReadChanged(path, with, nil)
}

// ReadChanged reads a job as [ReadJob] does, and changes it before it is judged: what is wrong with the
// file alone, and not with the job that it comes to, is no fault. What the change makes wrong is not
// told here, as no line of the file is to blame: [mesh.Job.Check] tells it.
func ReadChanged(path string, with Variables, change func(*mesh.Job) error) (*mesh.Job, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, JobFile)
	}
	data, err := ReadFile("job", path)
	if err != nil {
		return nil, err
	}
	values, must, err := with.read()
	if err != nil {
		return nil, err
	}
	job, d, err := parseJob(path, data, values, filepath.Dir(path), change)
	if err == nil {
		err = d.unknown(must)
	}
	if err != nil {
		return nil, err
	}
	return job, d.err()
}

// ParseJob reads a job from the content of a file; name is what messages call
// the file. Its variables have the values that it has itself, and it has no folder.
// The error is a [mesh.Fault] with a line for each thing wrong.
func ParseJob(name string, data []byte) (*mesh.Job, error) {
	job, d, _ := parseJob(name, data, nil, "", nil)
	return job, d.err()
}

// parseJob reads a job, nil if anything is wrong with it, with these values of its
// variables in place of its own, with the files of a folder, "" for none, and with a change that is
// made to it, nil for none. The error is that of the change, if the file could be read.
func parseJob(
	name string, data []byte, values map[string]string, folder string, change func(*mesh.Job) error,
) (*mesh.Job, *decoder, error) {
	var job mesh.Job
	d := &decoder{file: name}
	if tree := d.tree(data); tree != nil {
		d.take(tree, values)
		d.tasks = taskNames(tree)
		d.table(reflect.ValueOf(&job).Elem(), tree, "")
		d.sources(&job, folder)
	}
	if !d.syntax {
		faults := job.Validate()
		if change != nil {
			if err := change(&job); err != nil && len(d.faults) == 0 {
				return nil, d, err
			}
			faults = stillWrong(faults, job.Validate())
		}
		for _, f := range faults {
			d.field(f)
		}
		unset := mesh.Unset()
		for _, path := range d.zeros {
			if without, ok := unset[indexes.ReplaceAllString(path, "")]; ok {
				d.meaning(path, "must be more than 0; without the key, "+without)
			}
		}
	}
	if len(d.faults) > 0 {
		return nil, d, nil
	}
	return &job, d, nil
}

// stillWrong are those of the faults of a file that a change has not mended.
func stillWrong(of, now []mesh.FieldFault) []mesh.FieldFault {
	return slices.DeleteFunc(of, func(f mesh.FieldFault) bool {
		return !slices.ContainsFunc(now, func(g mesh.FieldFault) bool {
			return slices.Equal(f.Path, g.Path) && f.Task == g.Task && f.Reference == g.Reference
		})
	})
}

// indexes are those of the elements of lists in a path.
var indexes = regexp.MustCompile(`\[\d+\]`)

// lists are the keys of files whose values are lists. Other numbers in a path
// are keys of their own.
var lists = []string{
	"affinity", "artifact", "check", "command", "constraint", "cron", "device", "do", "fault", "faults", "job", "later",
	"machine", "meta_optional", "meta_required", "packages", "port", "program", "proves",
	"requires_service", "service", "spread", "target", "task", "template", "trigger", "volume",
}

// pathOf writes a path of package mesh as this package writes paths.
func pathOf(keys []string) string {
	path := ""
	for i, k := range keys {
		n, err := strconv.Atoi(k)
		if err == nil && i > 0 && slices.Contains(lists, keys[i-1]) {
			path = element(path, n)
			continue
		}
		path = join(path, k)
	}
	return path
}

// Checked is what another package reads from TOML: a struct with toml tags that
// can say what is wrong with it.
type Checked interface{ Validate() []mesh.FieldFault }

// Read reads a file into *dst as strictly as a job; kind is what messages call
// such a file.
func Read(kind, path string, dst Checked) error {
	data, err := ReadFile(kind, path)
	if err != nil {
		return err
	}
	return Parse(path, data, dst)
}

// Parse is Read of a file's content; name is what messages call the file.
func Parse(name string, data []byte, dst Checked) error {
	d := parse(name, data, dst)
	if !d.syntax {
		for _, f := range dst.Validate() {
			d.meaning(pathOf(f.Path), f.Text)
		}
	}
	return d.err()
}

// ReadDaemon reads an agent's file.
func ReadDaemon(path string) (Daemon, error) {
	data, err := ReadFile("agent", path)
	if err != nil {
		return Daemon{}, err
	}
	return ParseDaemon(path, data)
}

// ParseDaemon reads an agent's file from its content; name is what messages
// call the file.
func ParseDaemon(name string, data []byte) (Daemon, error) {
	var c Daemon
	d := parse(name, data, &c)
	if !d.syntax {
		for _, f := range c.faults() {
			d.meaning(f.path, f.text)
		}
	}
	if err := d.err(); err != nil {
		return Daemon{}, err
	}
	return c, nil
}

// parse decodes data into *dst, and collects what is wrong with it.
func parse(name string, data []byte, dst any) *decoder {
	d := &decoder{file: name}
	if tree := d.tree(data); tree != nil {
		d.table(reflect.ValueOf(dst).Elem(), tree, "")
	}
	return d
}

// tree is a file as TOML, nil if it is none.
func (d *decoder) tree(data []byte) map[string]any {
	tree := map[string]any{}
	err := toml.Unmarshal(data, &tree)
	if err == nil {
		d.places = locate(data)
		return tree
	}
	d.syntax = true
	f := fault{line: 1, col: 1, text: strings.TrimPrefix(err.Error(), "toml: ")}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		f.line, f.col = at.Position()
	}
	if strings.HasSuffix(f.text, "at start of value") {
		f.text += "; text goes in quotes"
	}
	d.faults = append(d.faults, f)
	return nil
}

// taskNames are the names of the tasks in a job's tree, "" where there is none.
func taskNames(tree map[string]any) []string {
	tasks, _ := tree["task"].([]any)
	names := make([]string, len(tasks))
	for i := range tasks {
		if task, ok := tasks[i].(map[string]any); ok {
			names[i], _ = task["name"].(string)
		}
	}
	return names
}

// ReadFile reads a file of at most 256 KiB that people have written, without the mark
// with which some editors begin one; kind is what messages call such a file.
func ReadFile(kind, path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, mesh.Faultf(mesh.NotFound, "no %s file %q", kind, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the %s file: %w", kind, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the %s file %q: %w", kind, path, err)
	}
	if len(data) > fileMax {
		return nil, mesh.Faultf(mesh.Invalid, "%s: the file is larger than %v", path, mesh.Bytes(fileMax))
	}
	return bytes.TrimPrefix(data, []byte(byteOrderMark)), nil
}
