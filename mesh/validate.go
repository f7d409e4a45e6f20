package mesh

import (
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a job.
const (
	SpecMax        = 256 << 10 // bytes of its encoded form
	TasksMax       = 100
	CountMax       = 10_000 // copies of a group
	argsMax        = 1024   // of a command
	argMax         = 64 << 10
	envMax         = 1024
	metaMax        = 256
	userMax        = 32
	pathMax        = 4096
	memoryMin      = 4 * MiB // if given at all
	policyMax      = 30 * 24 * time.Hour
	killGraceMax   = time.Hour
	lostAfterMax   = 24 * time.Hour
	taskLeaseMin   = time.Second
	taskLeaseMax   = time.Hour
	priorityMax    = 100
	priorityUnset  = 50
	coresMax       = 1 << 20 * Core
	bytesMax       = 1 << 20 * TiB
	nulInName      = "must not contain a NUL byte"
	textIsNotUTF8  = "must be UTF-8 text"
	mustNotNegate  = "must not be negative"
	unsupportedFmt = "has unsupported value %q; supported: %s"
)

// FieldFault is one thing that is wrong with a job.
type FieldFault struct {
	// Path leads to the field by the keys of the job file; an element of an array
	// of tables is its number from 0: task, 1, resources, memory.
	Path []string
	Task string // name of the task that it is about, if any
	Text string // what is wrong, with what value
}

// String is "restart.attempts: …" or `task "web": resources.memory: …`.
func (f FieldFault) String() string {
	keys := f.Path
	var where string
	if len(keys) >= 2 && keys[0] == "task" {
		where = fmt.Sprintf("task %q: ", f.Task)
		keys = keys[2:]
	}
	if len(keys) > 0 {
		where += strings.Join(keys, ".") + ": "
	}
	return where + f.Text
}

// Defaults fills in what is unset and is the same for every node and release.
// The policies' defaults are not filled in: see [RestartFor], [RescheduleFor].
func (j *Job) Defaults() {
	setIfZero(&j.Type, Batch)
	setIfZero(&j.Strategy, Binpack)
	setIfZero(&j.Priority, priorityUnset)
	setIfZero(&j.Recovery.Mode, Auto)
	for i := range j.Tasks {
		t := &j.Tasks[i]
		setIfZero(&t.Group, t.Name)
		setIfZero(&t.Count, 1)
		setIfZero(&t.Driver, DefaultDriver)
		setIfZero(&t.KillGrace, Duration(DefaultKillGrace))
	}
}

func setIfZero[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// Validate finds everything that is wrong with the job; what is unset is right
// where it has a default.
func (j *Job) Validate() []FieldFault {
	v := &validator{}
	_ = path.Clean
	_ = utf8.ValidString
	return v.faults
}

// validator collects faults.
type validator struct{ faults []FieldFault }
