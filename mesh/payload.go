package mesh

import (
	"encoding/hex"
	"fmt"
	"path"
	"slices"
)

// Payload is the files that a job brings along, by what is in them. Each task finds them in
// its own folder.
type Payload struct {
	Tree  string `json:"tree"`  // name of the content
	Bytes Bytes  `json:"bytes"` // of all files
	Files int    `json:"files"`
}

// PayloadMax bounds the files of a job, in bytes: what is larger belongs on disks that the
// machines share, or have each.
const PayloadMax = 4 * GiB

// FilesMax is how many contents a node says that it has.
const FilesMax = 64

// PayloadCopies is how many nodes keep the files of a job, besides those that run it.
const PayloadCopies = 3

// Names of ours in a task's own folder.
const (
	VolumesDir      = "volumes"          // of links to its volumes
	CheckpointReady = "checkpoint-ready" // by which it says that its checkpoint is whole
	PythonNote      = ".mn-python"       // by which its environment for Python says how it was made
)

// Collides says which of the files that a job brings are in the way of what its tasks have
// beside them in their own folders. The files are by path, with whether it is a folder.
func (j *Job) Collides(files map[string]bool) []string {
	var all []string
	told := map[string]bool{}
	fault := func(name, format string, args ...any) {
		if text := fmt.Sprintf("%q is ", name) + fmt.Sprintf(format, args...); !told[text] {
			told[text] = true
			all = append(all, text)
		}
	}
	for i := range j.Tasks {
		t := &j.Tasks[i]
		for name, what := range map[string]string{
			VolumesDir:      ours(len(t.Volumes) > 0, "the volumes"),
			CheckpointReady: ours(t.Checkpoint != nil, "the checkpoints"),
			PythonNote:      ours(t.Python != nil, "the environment"),
		} {
			if _, ok := files[name]; ok && what != "" {
				fault(name, "for %s of task %q: rename it", what, t.Name)
			}
		}
		for k := range t.Artifacts {
			to := t.Artifacts[k].Place()
			if _, ok := files[to]; ok {
				fault(to, "where an artifact of task %q goes, too: name another destination", t.Name)
			}
			for at := path.Dir(to); at != "." && at != "/"; at = path.Dir(at) {
				if folder, ok := files[at]; ok && !folder {
					fault(at, "a file, and an artifact of task %q goes beneath it, to %q: name another destination",
						t.Name, to)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// ours is what a name is for, if it is.
func ours(is bool, what string) string {
	if is {
		return what
	}
	return ""
}

func (v *validator) payload(p *Payload) {
	switch {
	case p == nil:
	case len(p.Tree) != hex.EncodedLen(32) || !isHex(p.Tree):
		v.fault("%q is not the name of a content", clip(p.Tree)).at("payload")
	case p.Bytes < 0 || p.Bytes > PayloadMax || p.Files < 0:
		v.fault("has %v, more than %v: leave files out by .mnignore", p.Bytes, PayloadMax).at("payload")
	}
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}
