package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The variables that a task is told what it is by. Nobody else may set a name
// that begins with MN_.
const (
	VarJob        = "MN_JOB"
	VarTask       = "MN_TASK"
	VarAllocID    = "MN_ALLOC_ID"
	VarAllocIndex = "MN_ALLOC_INDEX"
	VarNode       = "MN_NODE"
	VarFence      = "MN_FENCE"
	VarArrayIndex = "MN_ARRAY_INDEX" // of an array alone, as is the next
	VarArraySize  = "MN_ARRAY_SIZE"
	VarRank       = "MN_RANK" // of a gang alone, as are the next two
	VarWorldSize  = "MN_WORLD_SIZE"
	VarMaster     = "MN_MASTER_ADDR"
	VarTaskDir    = "MN_TASK_DIR"
	VarAllocDir   = "MN_ALLOC_DIR"

	VarAllocation  = "MN_ALLOCATION_JSON"      // where the copy is, and what it was granted
	VarPort        = "MN_PORT_"                // and a label: of the copy's ports
	VarDeviceIDs   = "MN_ALLOCATED_DEVICE_IDS" // of a task with devices alone, as are the next
	VarGPUDriver   = "MN_GPU_DRIVER"
	VarCUDADevices = "CUDA_VISIBLE_DEVICES"
	VarROCmDevices = "ROCR_VISIBLE_DEVICES"
	VarVolume      = "MN_VOLUME_" // and a volume's name: where it is

	VarRunOf       = "MN_RUN_OF" // of a run alone, as are the next: the job with the schedule
	VarRunCause    = "MN_RUN_CAUSE"
	VarScheduledAt = "MN_SCHEDULED_AT"
	VarEvent       = "MN_TRIGGER_EVENT"
	VarPayload     = "MN_PAYLOAD"
	VarMeta        = "MN_META_" // and a key of what was handed to it

	VarCheckpointDir   = "MN_CHECKPOINT_DIR" // of a task with a checkpoint alone, as is the next
	VarCheckpointReady = "MN_CHECKPOINT_READY"
)

var (
	// OwnVariables are all that every task is told what it is by.
	OwnVariables = []string{
		VarJob, VarTask, VarAllocID, VarAllocIndex, VarNode, VarFence, VarTaskDir, VarAllocDir, VarAllocation,
	}
	// ArrayVariables are what a copy of an array is told besides.
	ArrayVariables = []string{VarArrayIndex, VarArraySize}
	// DeviceVariables are what a task with devices is told besides.
	DeviceVariables = []string{VarDeviceIDs, VarGPUDriver, VarCUDADevices, VarROCmDevices}
	// GangVariables are what a copy of a gang is told besides.
	GangVariables = []string{VarRank, VarWorldSize, VarMaster}
	// RunVariables are what a run is told besides.
	RunVariables = []string{VarRunOf, VarRunCause, VarScheduledAt, VarEvent, VarPayload}
	// CheckpointVariables are what a task with a checkpoint is told besides.
	CheckpointVariables = []string{VarCheckpointDir, VarCheckpointReady}
	// BaseVariables are what tasks may see of the agent's environment.
	BaseVariables = []string{"HOME", "LANG", "LC_ALL", "PATH", "TZ"}
)

// ValueMax bounds an expanded value: the kernel takes no longer one.
const ValueMax = 128 << 10

// Expand replaces each ${NAME} in s by its value; what names there are, [ParseReference] says.
// "$${" stands for "${"; any other "$" for itself.
func Expand(s string, value func(name string) (string, error)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		if found && strings.HasSuffix(before, "$") {
			out.WriteString(before + "{")
			s = rest
			continue
		}
		out.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("%q has no closing brace", "${"+rest)
		}
		v, err := value(name)
		if err != nil {
			return "", err
		}
		out.WriteString(v)
		s = after
		if out.Len() > ValueMax {
			break
		}
	}
	if out.Len() > ValueMax {
		return "", fmt.Errorf("expands to more than %v", Bytes(ValueMax))
	}
	return out.String(), nil
}

// variables finds references that no node can expand, before one has to. What
// depends on the node, such as whether it has a LANG, shows only there.
func (v *validator) variables(t *Task, j *Job) {
	if len(t.Command) > argsMax || len(t.Env) > envMax {
		return // told already, and not gone through
	}
	base := BaseVariables
	if t.Driver == ContainerDriver {
		base = nil // what its image says is known there alone
	}
	known := slices.Concat(OwnVariables, base, slices.Sorted(maps.Keys(t.Env)))
	if t.Array != "" {
		known = append(known, ArrayVariables...)
	}
	if j.Gang {
		known = append(known, GangVariables...)
	}
	if j.Template() {
		known = slices.Concat(known, RunVariables, j.metaVariables())
	}
	if len(t.Devices) > 0 {
		known = append(known, DeviceVariables...)
	}
	for i := range j.Tasks {
		if j.Tasks[i].group() == t.group() {
			for _, p := range j.Tasks[i].Ports {
				known = append(known, VarPort+LabelVariable(p.Label))
			}
		}
	}
	for i := range t.Volumes {
		known = append(known, t.Volumes[i].Variable())
	}
	if t.Checkpoint != nil {
		known = append(known, CheckpointVariables...)
	}
	if c := t.Container; c != nil && len(c.Entrypoint) > argsMax || len(t.Templates) > templatesMax {
		return
	}
	labels := labelsOf(j, t)
	t.eachText(func(s string, keys ...string) { v.references(s, known, labels, keys...) })
	if len(t.Services) <= servicesMax {
		v.filled(t.Services, t.Env, known, labels)
	}
}

// metaVariables are those by which a run is told what was handed to it, of what it takes.
func (j *Job) metaVariables() []string {
	var names []string
	if p := j.Parameters; p != nil {
		for _, key := range slices.Concat(p.MetaRequired, p.MetaOptional) {
			names = append(names, VarMeta+LabelVariable(key))
		}
	}
	return names
}

// Told are the variables by which a run is told what it comes from; nil for what is no run.
func (j *Job) Told() map[string]string {
	o := j.Origin
	if o == nil {
		return nil
	}
	told := map[string]string{
		VarRunOf: string(o.Job), VarRunCause: string(o.Cause), VarScheduledAt: o.Due.UTC().Format(time.RFC3339),
		VarEvent: o.Event, VarPayload: string(o.Payload),
	}
	for _, name := range j.metaVariables() {
		told[name] = ""
	}
	for key, value := range o.Meta {
		told[VarMeta+LabelVariable(key)] = value
	}
	return told
}

// labelsOf are the labels of the ports of a task's copy.
func labelsOf(j *Job, t *Task) (labels []string) {
	for i := range j.Tasks {
		if j.Tasks[i].group() == t.group() {
			for _, p := range j.Tasks[i].Ports {
				labels = append(labels, p.Label)
			}
		}
	}
	return labels
}

// references finds what is wrong with those of a text, where these variables and labels of ports are known.
func (v *validator) references(s string, known, labels []string, keys ...string) {
	var told []string
	_, err := Expand(s, func(name string) (string, error) {
		if slices.Contains(told, name) {
			return "", nil
		}
		v.reference = "${" + name + "}"
		defer func() { v.reference = "" }()
		r, err := ParseReference(name)
		switch {
		case err != nil:
			v.fault("%v", err).at(keys...)
		case r.Space == SpaceEnv && !slices.Contains(known, r.Key):
			v.unknownVariable(name, r.Key, known, keys)
		case r.Space == SpaceAlloc && r.Key == KeyPort && !slices.Contains(labels, r.Of):
			v.unknownPort(name, r.Of, labels, keys)
		default:
			return "", nil
		}
		told = append(told, name)
		return "", nil
	})
	if err != nil && len(s) <= textMax {
		v.fault("%s", clip(err.Error())).at(keys...)
	}
}

func (v *validator) unknownVariable(ref, name string, known, keys []string) {
	if near := Nearest(name, known); near != "" {
		near = strings.TrimSuffix(ref, name) + near
		v.fault("unknown variable ${%s}; did you mean ${%s}?", clip(ref), near).at(keys...)
		return
	}
	usual := slices.DeleteFunc(slices.Concat(OwnVariables, BaseVariables), func(name string) bool {
		return !slices.Contains(known, name)
	})
	v.fault("unknown variable ${%s}; it is not in env, and known are %s; $${ stands for ${",
		clip(ref), strings.Join(usual, ", ")).at(keys...)
}

func (v *validator) unknownPort(ref, label string, labels, keys []string) {
	if near := Nearest(label, labels); near != "" {
		v.fault("no port of the copy has the label of ${%s}; did you mean ${alloc.port.%s}?", clip(ref), near).
			at(keys...)
		return
	}
	v.fault("no port of the copy has the label of ${%s}: add a [[task.port]]", clip(ref)).at(keys...)
}
