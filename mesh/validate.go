package mesh

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mn/crdt"
)

// Bounds of a job.
const (
	SpecMax   = 256 << 10 // bytes of its encoded form
	TasksMax  = 100
	CopiesMax = 10_000 // of all groups together

	argsMax   = 1024     // of a command
	textMax   = 64 << 10 // bytes of an argument, or of a value in env
	envMax    = 1024
	metaMax   = 256
	userMax   = 32
	codesMax  = 64
	codeMax   = 255
	memoryMin = 4 * MiB // if any is asked for: less starts no program

	priorityUnset = 50
	priorityMax   = 100

	policyMax    = 30 * 24 * time.Hour // any duration of a policy
	timeoutMax   = 365 * 24 * time.Hour
	killGraceMax = time.Hour // of warn_before, too
	lostAfterMax = 24 * time.Hour
	taskLeaseMin = time.Second
	taskLeaseMax = time.Hour
	stopAfterMin = 10 * time.Second // longer than gossip takes to find out
	stopAfterMax = 24 * time.Hour
)

// FieldFault is one thing that is wrong with a job.
type FieldFault struct {
	// Path leads to the field by the keys of the job file; an element of an array
	// of tables is its number from 0: task, 1, resources, memory.
	Path []string
	Task string // name of the task that it is about, if it is about one
	Text string // what is wrong, with what value
	// Reference is what of a longer text is wrong, such as ${NOPE}; "" if it is not about a reference.
	Reference string
}

// Error is "restart.attempts: …" or `task "web": resources.memory: …`.
func (f FieldFault) Error() string {
	keys, text := f.Path, f.Text
	where := ""
	if len(keys) >= 2 && keys[0] == "task" {
		where = fmt.Sprintf("task %q: ", f.Task)
		keys = keys[2:]
	}
	if len(keys) > 0 {
		text = strings.Join(keys, ".") + ": " + text
	}
	return where + text
}

// Defaults fills in what is unset and has a default that is the same for ever:
// hashes of contents count what is unset as these. The defaults of the policies
// stay open: see [RestartFor] and [RescheduleFor].
func (j *Job) Defaults() {
	setIfZero(&j.Type, Batch)
	setIfZero(&j.Strategy, Binpack)
	setIfZero(&j.Priority, priorityUnset)
	setIfZero(&j.Recovery.Mode, Auto)
	for i := range j.Tasks {
		t := &j.Tasks[i]
		setIfZero(&t.Group, t.Name)
		if t.Array == "" {
			setIfZero(&t.Count, 1)
		}
		setIfZero(&t.Driver, DefaultDriver)
		setIfZero(&t.KillGrace, Duration(DefaultKillGrace))
		if t.WarnSignal != "" {
			setIfZero(&t.WarnBefore, Duration(DefaultWarnBefore))
		}
	}
}

func setIfZero[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// Validate finds everything that is wrong with the job. What is unset is right
// wherever it has a default.
func (j *Job) Validate() []FieldFault {
	v := &validator{}
	v.name("the job's name", j.Name, "name")
	oneOf(v, j.Type, jobTypes, "type")
	if j.IncludeLate != nil && j.Type != SysBatch {
		v.fault("is for jobs of type %q, which this is not", SysBatch).at("include_late")
	}
	oneOf(v, j.Strategy, strategies, "strategy")
	if j.Priority < 0 || j.Priority > priorityMax {
		v.fault("must be from 1 to %d, not %d", priorityMax, j.Priority).at("priority")
	}
	v.preemptible(j)
	v.duration(j.Timeout, 0, timeoutMax, "timeout")
	if j.MaxRunning < 0 || j.MaxRunning > CopiesMax {
		v.fault("must be from 1 to %d, not %d", CopiesMax, j.MaxRunning).at("max_running")
	}
	v.shared(j)
	v.gang(j)
	v.before(j)
	if j.Pool != "" {
		v.name("the pool's name", j.Pool, "pool")
	}
	v.constraints(j.Constraints)
	v.affinities(j.Affinities)
	v.spreads(j.Spreads)
	v.meta(j.Meta)
	v.recovery(j)
	v.restart(j.Restart, "restart")
	v.reschedule(j)
	v.update(j)
	v.template(j)
	v.payload(j.Payload)
	v.tasks(j)
	v.size(j)
	return v.faults
}

// Check is all that is wrong with the job as one fault, a line for each; nil if
// nothing is.
func (j *Job) Check() *Fault {
	var lines []string
	for _, f := range j.Validate() {
		lines = append(lines, fmt.Sprintf("job %q: %v", j.Name, f))
	}
	if len(lines) == 0 {
		return nil
	}
	return Faultf(Invalid, "%s", strings.Join(lines, "\n"))
}

// preemptible: what stops for others must be able to stop, and to go on elsewhere.
func (v *validator) preemptible(j *Job) {
	switch {
	case !j.Preemptible:
	case j.Gang:
		v.fault("stops single copies, and those of a gang share one fate: leave one out").at("preemptible")
	case j.Type.PerNode():
		v.fault("stops copies that go on elsewhere, and those of a %q job belong to their nodes: leave it out", j.Type).
			at("preemptible")
	case !j.Recovery.Mode.Moves():
		v.fault("stops copies that go on elsewhere, and mode %q never moves work: leave it out", j.Recovery.Mode).
			at("preemptible")
	case Hazard(j.Tasks) != nil:
		v.fault("runs copies a second time, and task %q is marked unsafe (%s): leave it out",
			clip(Hazard(j.Tasks).Name), Hazard(j.Tasks).Safety.Mark()).at("preemptible")
	}
}

// validator collects faults; task is the prefix of the paths within a task.
type validator struct {
	faults []FieldFault
	prefix []string
	task   string
	// reference is the one that is being looked at, as it is written; or "".
	reference string
}

// pathless is a fault that still has to be given its path.
type pathless struct {
	v    *validator
	text string
}

func (v *validator) fault(format string, args ...any) pathless {
	return pathless{v, fmt.Sprintf(format, args...)}
}

func (p pathless) at(keys ...string) {
	p.v.faults = append(p.v.faults, FieldFault{
		Path:      slices.Concat(p.v.prefix, keys),
		Task:      p.v.task,
		Text:      p.text,
		Reference: p.v.reference,
	})
}

func (v *validator) name(what, s string, keys ...string) {
	switch {
	case s == "":
		v.fault("%s is missing", what).at(keys...)
	case !ValidName(s):
		v.fault("%q is not a name: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"beginning with a letter or digit", clip(s)).at(keys...)
	}
}

// oneOf finds a value that is neither unset nor one of those supported.
func oneOf[T ~string](v *validator, value T, supported []T, keys ...string) {
	if value == "" || slices.Contains(supported, value) {
		return
	}
	var names []string
	for _, s := range supported {
		names = append(names, strconv.Quote(string(s)))
	}
	v.fault("has unsupported value %q; supported: %s", clip(string(value)), strings.Join(names, ", ")).at(keys...)
}

func (v *validator) meta(meta map[string]string) {
	if len(meta) > metaMax {
		v.fault("has %d entries, more than %d", len(meta), metaMax).at("meta")
	}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		if !ValidName(k) {
			v.fault("%q is not a name", clip(k)).at("meta", k)
		}
		v.text(meta[k], "meta", k)
	}
}

func (v *validator) recovery(j *Job) {
	r := j.Recovery
	oneOf(v, r.Mode, recoveryModes, "recovery", "mode")
	oneOf(v, r.OnPartition, partitions, "recovery", "on_partition")
	if !r.Mode.Moves() && (r.OnPartition == Eager || r.OnPartition == Majority) {
		v.fault("%q moves work, and mode %q never does: want %q, or mode %q",
			r.OnPartition, r.Mode, Keep, ClusterRecover).at("recovery", "on_partition")
	}
	v.choice(j)
	if t := Hazard(j.Tasks); t != nil && r.Partition() != Keep {
		v.fault("task %q is marked unsafe (%s), and %q may start it a second time: want %q",
			clip(t.Name), t.Safety.Mark(), r.Partition(), Keep).at("recovery", "on_partition")
	} else if t != nil && j.Gang {
		v.fault("runs all copies again when one has failed, and task %q is marked unsafe (%s)",
			clip(t.Name), t.Safety.Mark()).at("gang")
	}
	if r.LostAfter != nil {
		v.duration(*r.LostAfter, 0, lostAfterMax, "recovery", "lost_after")
	}
	if r.Lease != 0 {
		v.duration(r.Lease, taskLeaseMin, taskLeaseMax, "recovery", "lease")
	}
	v.stopAfter(r)
}

// stopAfter: for how long a copy runs where it is cut off is a question only if it may.
func (v *validator) stopAfter(r Recovery) {
	switch p := r.Partition(); {
	case r.StopAfter == 0:
	case p == Majority:
		v.fault("stops copies that are cut off, and with on_partition = %q lease does so: leave one out", p).
			at("recovery", "stop_after")
	case p == Keep:
		v.fault("stops copies that are cut off, and with on_partition = %q what runs goes on: leave it out", p).
			at("recovery", "stop_after")
	default:
		v.duration(r.StopAfter, stopAfterMin, stopAfterMax, "recovery", "stop_after")
	}
}

// choice: which copy stays is a question only where there may be two.
func (v *validator) choice(j *Job) {
	r := j.Recovery
	switch {
	case r.Reconcile == KeepFurthest && !slices.ContainsFunc(j.Tasks, func(t Task) bool { return t.Checkpoint != nil }):
		v.fault("chooses by checkpoints, and no task has any: want %q, or [task.checkpoint]", LongestRunning).
			at("recovery", "reconcile")
	case r.Reconcile == "" || r.Reconcile == KeepOriginal || !slices.Contains(choices, r.Reconcile):
		oneOf(v, r.Reconcile, choices, "recovery", "reconcile")
	case j.Type.PerNode():
		v.fault("chooses between two copies, and a job of type %q has one on each node: leave it out", j.Type).
			at("recovery", "reconcile")
	case j.Gang:
		v.fault("chooses between two copies, and of two gangs the later one stays as a whole: leave it out").
			at("recovery", "reconcile")
	case r.Partition() != Eager:
		v.fault("chooses between two copies, and with on_partition = %q there are never two: leave it out",
			r.Partition()).at("recovery", "reconcile")
	}
}

func (v *validator) restart(p *RestartPolicy, key string) {
	if p == nil {
		return
	}
	v.attempts(p.Attempts, key)
	v.delays(p.Interval, p.Delay, p.MaxDelay, p.DelayFunction, key)
	oneOf(v, p.Mode, restartModes, key, "mode")
}

func (v *validator) reschedule(j *Job) {
	p := j.Reschedule
	if p == nil {
		return
	}
	v.attempts(p.Attempts, "reschedule")
	v.delays(p.Interval, p.Delay, p.MaxDelay, p.DelayFunction, "reschedule")
	if disabled := p.Enabled != nil && !*p.Enabled; !disabled && !j.Recovery.Mode.Moves() {
		v.fault("moves work, and recovery.mode %q never does: leave it out, or set enabled = false",
			j.Recovery.Mode).at("reschedule")
	}
	if p.Attempts != nil && p.Unlimited != nil && *p.Unlimited {
		v.fault("bounds the moves, and unlimited = true does not: want one of them").at("reschedule", "attempts")
	}
}

func (v *validator) attempts(n *int, key string) {
	switch {
	case n == nil:
	case *n < 0:
		v.fault("must be a non-negative integer, not %d", *n).at(key, "attempts")
	case *n > WindowMax:
		v.fault("must be at most %d, not %d", WindowMax, *n).at(key, "attempts")
	}
}

func (v *validator) delays(interval, delay, limit Duration, f DelayFunction, key string) {
	v.duration(interval, 0, policyMax, key, "interval")
	v.duration(delay, 0, policyMax, key, "delay")
	v.duration(limit, 0, policyMax, key, "max_delay")
	oneOf(v, f, delayFunctions, key, "delay_function")
}

func (v *validator) duration(d Duration, least, most time.Duration, keys ...string) {
	switch {
	case d < 0:
		v.fault("must not be negative, as %v is", d).at(keys...)
	case d.Std() < least:
		v.fault("must be at least %v, not %v", Duration(least), d).at(keys...)
	case d.Std() > most:
		v.fault("must be at most %v, not %v", Duration(most), d).at(keys...)
	}
}

func (v *validator) text(s string, keys ...string) {
	switch {
	case len(s) > textMax:
		v.fault("is %d bytes long, more than %d", len(s), textMax).at(keys...)
	case !utf8.ValidString(s):
		v.fault("is not UTF-8 text").at(keys...)
	case strings.ContainsRune(s, 0):
		v.fault("has a NUL byte in it").at(keys...)
	}
}

func (v *validator) absolute(s string, keys ...string) {
	if s == "" {
		return
	}
	v.text(s, keys...)
	if !path.IsAbs(s) {
		v.fault("%q is not an absolute path", clip(s)).at(keys...)
	}
}

// size bounds the whole: records travel whole, and every node holds them all.
func (v *validator) size(j *Job) {
	b, err := crdt.Encode(j)
	switch {
	case err != nil:
		v.fault("the job cannot be encoded: %v", err).at()
	case len(b) > SpecMax:
		v.fault("the job is %v long, more than %v; keep big data in files", Bytes(len(b)), Bytes(SpecMax)).at()
	}
}

// clip is the beginning of a text that may be too long to be told.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
