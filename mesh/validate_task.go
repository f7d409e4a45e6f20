package mesh

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func (v *validator) tasks(j *Job) {
	tasks := j.Tasks
	switch {
	case len(tasks) == 0:
		v.fault("a job needs at least one [[task]]").at("task")
	case len(tasks) > TasksMax:
		v.fault("has %d tasks, more than %d", len(tasks), TasksMax).at("task")
		return
	}
	seen := map[string]bool{}
	for i := range tasks {
		t := &tasks[i]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(t.Name)
		v.name("the task's name", t.Name, "name")
		if seen[t.Name] && t.Name != "" {
			v.fault("another task has the name %q too", clip(t.Name)).at("name")
		}
		seen[t.Name] = true
		v.oneTask(t)
		v.variables(t, j)
	}
	v.counts(tasks, j.Type)
	v.arrays(tasks, j.Type)
	v.order(j)
	v.mains(tasks)
	v.groupPorts(tasks)
	v.services(j)
	v.prefix, v.task = nil, ""
}

func (v *validator) oneTask(t *Task) {
	if t.Group != "" {
		v.name("the group's name", t.Group, "group")
	}
	oneOf(v, t.Lifecycle, lifecycles, "lifecycle")
	oneOf(v, t.Driver, drivers, "driver")
	oneOf(v, t.Isolation, isolations, "isolation")
	if t.Isolation == IsolateSandbox && (t.User == "root" || t.User == "0") {
		v.fault("no sandbox is root's: leave it out, or name another").at("user")
	}
	v.container(t)
	if len(t.Command) > 0 || t.Driver != ContainerDriver {
		v.command(t.Command)
	}
	v.absolute(t.Dir, "dir")
	v.user(t.User)
	v.env(t.Env)
	v.duration(t.KillGrace, 0, killGraceMax, "kill_grace")
	v.signals(t)
	v.duration(t.Timeout, 0, timeoutMax, "timeout")
	v.resources(t.Resources)
	v.ports(t.Ports)
	v.devices(t.Devices)
	v.idle(t)
	v.constraints(t.Constraints)
	v.affinities(t.Affinities)
	v.volumes(t)
	v.restart(t.Restart, "restart")
	v.exitCodes(t.SuccessExitCodes)
	v.safety(t.Safety)
	v.checkpoint(t)
	v.artifacts(t)
	v.python(t.Python)
	v.templates(t)
	v.outputs(t.Outputs)
}

// checkpoint: what runs before the work or after it begins anew each time.
func (v *validator) checkpoint(t *Task) {
	p := t.Checkpoint
	switch {
	case p == nil:
		return
	case t.Lifecycle == Prestart || t.Lifecycle == Poststop:
		v.fault("saves work, and a %s task has none to go on with: leave it out", t.Lifecycle).at("checkpoint")
	}
	if p.Every != 0 {
		v.duration(p.Every, checkpointEveryMin, checkpointEveryMax, "checkpoint", "every")
	}
	if p.Copies < 0 || p.Copies > checkpointCopiesMax {
		v.fault("must be from 1 to %d, not %d", checkpointCopiesMax, p.Copies).at("checkpoint", "copies")
	}
}

func (v *validator) safety(s *Safety) {
	if s == nil {
		return
	}
	v.text(s.IdempotencyKey, "safety", "idempotency_key")
	oneOf(v, s.SideEffects, sideEffects, "safety", "side_effects")
}

func (v *validator) exitCodes(codes []int) {
	if len(codes) > codesMax {
		v.fault("has %d entries, more than %d", len(codes), codesMax).at("success_exit_codes")
		return
	}
	for i, code := range codes {
		switch {
		case code < 0 || code > codeMax:
			v.fault("must be from 0 to %d, not %d", codeMax, code).at("success_exit_codes")
		case slices.Contains(codes[:i], code):
			v.fault("has %d twice", code).at("success_exit_codes")
		}
	}
}

// counts checks that tasks placed together come in equal numbers, and that the
// copies are not too many. The nodes say how many copies a job has that runs on each.
func (v *validator) counts(tasks []Task, of JobType) {
	first := map[string]*Task{} // of each group
	copies := 0
	for i := range tasks {
		t := &tasks[i]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(t.Name)
		count, group := t.ofGroup("").Count, t.group()
		switch f := first[group]; {
		case of.PerNode() && t.Count > 1:
			v.fault("is %d, and a job of type %q has one copy on each node: leave it out", t.Count, of).at("count")
		case t.Count < 0 || t.Count > CopiesMax:
			v.fault("must be from 1 to %d, not %d", CopiesMax, t.Count).at("count")
		case f == nil:
			first[group] = t
			copies += count
			if over := copies - count; copies > CopiesMax && over <= CopiesMax {
				key := "count"
				if t.Array != "" {
					key = "array"
				}
				v.fault("brings the job to %d copies, more than %d", copies, CopiesMax).at(key)
			}
		case f.Array != "" || t.Array != "": // arrays tells whether they differ
		case max(f.Count, 1) != count:
			v.fault("is %d, and %d in task %q of the same group %q", count, max(f.Count, 1),
				clip(f.Name), clip(group)).at("count")
		}
	}
}

// mains checks that each group has a task that does its work.
func (v *validator) mains(tasks []Task) {
	for _, g := range (&Job{Tasks: tasks}).Groups() {
		if slices.ContainsFunc(g.Tasks, func(t Task) bool { return t.Lifecycle == "" }) {
			continue
		}
		i := slices.IndexFunc(tasks, func(t Task) bool { return t.Name == g.Tasks[0].Name })
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(tasks[i].Name)
		v.fault("group %q has no main task: leave lifecycle out of the task that does its work",
			clip(g.Name)).at("lifecycle")
	}
}

func (v *validator) command(argv []string) {
	switch {
	case len(argv) == 0:
		v.fault(`is missing: want the program and its arguments, such as ["./worker", "--port", "80"]`).at("command")
		return
	case argv[0] == "":
		v.fault("begins with an empty program name").at("command")
	case len(argv) > argsMax:
		v.fault("has %d arguments, more than %d", len(argv), argsMax).at("command")
		return
	}
	for _, arg := range argv {
		v.text(arg, "command")
	}
}

// user takes what the system's user names are made of, or a number.
func (v *validator) user(s string) {
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}
	if len(s) > userMax || strings.ContainsFunc(s, bad) || strings.HasPrefix(s, "-") {
		v.fault("%q is not a user's name", clip(s)).at("user")
	}
}

func (v *validator) env(env map[string]string) {
	if len(env) > envMax {
		v.fault("has %d entries, more than %d", len(env), envMax).at("env")
		return
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		switch {
		case !validEnvKey(k):
			v.fault("%q is not the name of a variable: want letters, digits and '_', "+
				"not beginning with a digit", clip(k)).at("env", k)
		case strings.HasPrefix(k, "MN_"):
			v.fault("names beginning with MN_ are set by mn itself").at("env", k)
		}
		v.text(env[k], "env", k)
	}
}

func validEnvKey(s string) bool {
	for i, r := range s {
		switch {
		case r == '_', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', i > 0 && r >= '0' && r <= '9':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 255
}

func (v *validator) resources(r Resources) {
	if r.CPU < 0 {
		v.fault("must not be negative, as %v is", r.CPU).at("resources", "cpu")
	}
	if r.Disk < 0 {
		v.fault("must not be negative, as %d B is", r.Disk).at("resources", "disk")
	}
	switch {
	case r.Memory < 0:
		v.fault("must not be negative, as %d B is", r.Memory).at("resources", "memory")
	case r.Memory > 0 && r.Memory < memoryMin:
		v.fault("%v is less than the %v minimum", r.Memory, memoryMin).at("resources", "memory")
	}
	// Amounts are added up; beyond this their sum could overflow.
	if r.CPU > coresMax || r.Memory > bytesMax || r.Disk > bytesMax {
		v.fault("is more than any machine has").at("resources")
	}
}

const (
	coresMax = 1e6 * Core
	bytesMax = 1 << 20 * GiB
)

// signals checks by what a task is asked to end, and warned of that.
func (v *validator) signals(t *Task) {
	oneOf(v, t.StopSignal, stopSignals, "stop_signal")
	oneOf(v, t.WarnSignal, stopSignals, "warn_signal")
	v.duration(t.WarnBefore, 0, killGraceMax, "warn_before")
	if t.WarnSignal != "" && t.WarnSignal == cmp.Or(t.StopSignal, "SIGTERM") {
		v.fault("is what asks it to end, too: nobody could tell a warning from that").at("warn_signal")
	}
}
