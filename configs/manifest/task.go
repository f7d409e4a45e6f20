package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mn/mesh"
)

// node makes a task of a node that has a command.
func (m *reader) node(n object) {
	id, kind := n.text("node_id"), n.text("agent_type")
	config, policies := n.sub("config"), n.sub("policies")
	role := n.text("role")
	n.take("type") // how it handles messages
	command := commandOf(config)
	if len(command) == 0 {
		m.names[id] = ""
		m.top.notes.add("%s: %s %q has no command, and is left out: it only passes messages on",
			n.path, cmp.Or(kind, "agent"), id)
		return
	}
	t := mesh.Task{
		Name: m.named(id), Command: command, Env: m.env(config), Dir: m.dir(config),
		Resources: resources(n.sub("resources")), Restart: restart(policies),
	}
	t.Constraints = constraints(n, config)
	t.Affinities = preferred(n, config, policies)
	if d := config.duration("timeout_ms"); d > 0 {
		t.Timeout = d
	}
	if n, ok := config.number("timeout_seconds"); ok {
		t.Timeout = mesh.Duration(min(n, maxMillis/1000) * 1e9)
	}
	m.names[id] = t.Name
	m.rule(&t, n, config)
	m.safety(&t, kind, []object{config, policies, n})
	if role != "" && role != id {
		m.top.notes.add("%s.role: %s", n.path, nowhere)
	}
	m.job.Tasks = append(m.job.Tasks, t)
	for _, o := range []object{config, policies, n} {
		o.rest(nowhere)
	}
}

// commandOf is a command with its arguments. One that is a text was for a shell.
func commandOf(config object) []string {
	if line, ok := config.of["command"].(string); ok {
		config.take("command")
		if line = strings.TrimSpace(line); line == "" {
			return nil
		}
		return []string{"sh", "-c", escape(line)}
	}
	command := append(config.texts("command"), config.texts("args")...)
	for i := range command {
		command[i] = escape(command[i])
	}
	return command
}

// escape writes text as a job file does where it is not to be expanded.
func escape(text string) string { return strings.ReplaceAll(text, "${", "$${") }

// env is the environment of a task. Names that mn sets itself, and those that are none, go.
func (m *reader) env(config object) map[string]string {
	path := config.at("environment")
	env := config.table("environment", "env")
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if strings.HasPrefix(name, "MN_") {
			m.top.notes.add("%s.%s: is left out: mn sets what begins with MN_ itself", path, name)
			delete(env, name)
			continue
		}
		env[name] = escape(env[name])
	}
	return env
}

// dir is a working directory. That of a sandbox exists on no node.
func (m *reader) dir(config object) string {
	dir := config.text("workdir")
	if strings.HasPrefix(dir, "/") && !strings.HasPrefix(dir, "/sandbox/") {
		return escape(dir)
	}
	if dir != "" {
		m.top.notes.add("%s: %q is on no node: the task runs in its own folder, without the manifest's files",
			config.at("workdir"), dir)
	}
	return ""
}

// resources is what a copy reserves, in any of the units in which it may be written.
func resources(o object) mesh.Resources {
	var r mesh.Resources
	if n, ok := o.number("cpu_cores", "cores", "cpu"); ok {
		r.CPU = mesh.Cores(n * float64(mesh.Core))
	}
	if n, ok := o.number("cpu_millis", "cpu_mcores"); ok && r.CPU == 0 {
		r.CPU = mesh.Cores(n * float64(mesh.Core) / 1000)
	}
	r.Memory = size(o, "memory")
	r.Disk = size(o, "disk")
	o.rest(nowhere)
	return r
}

// size is a number of MB or GB, which there are of 1024 each.
func size(o object, of string) mesh.Bytes {
	gb, isGB := o.number(of + "_gb")
	mb, isMB := o.number(of+"_mb", of)
	switch {
	case isMB:
		return mesh.Bytes(min(mb, 1<<30) * float64(mesh.MiB))
	case isGB:
		return mesh.Bytes(min(gb, 1<<20) * float64(mesh.GiB))
	}
	return 0
}

// rule is with which outcomes of those before it a task begins.
func (m *reader) rule(t *mesh.Task, places ...object) {
	for _, o := range places {
		if rule := o.text("trigger_rule"); rule != "" && rule != string(mesh.AllSuccess) {
			t.AfterRule = mesh.AfterRule(rule)
		}
		if n := o.count("quorum"); n != nil {
			t.AfterQuorum = *n
		}
	}
}

// safety says whether a task may run twice. An executor of which the manifest says nothing
// may not, there as here.
func (m *reader) safety(t *mesh.Task, kind string, places []object) {
	var s mesh.Safety
	safe, said := false, false
	for _, o := range places {
		for _, mark := range []*bool{
			o.truth("manual_review_on_recovery"), o.truth("requires_approval"), o.truth("unsafe"),
		} {
			s.RequiresApproval = s.RequiresApproval || mark != nil && *mark
			said = said || mark != nil && *mark
		}
		for _, is := range []struct {
			dst  **bool
			word *bool
		}{{&s.SafeToRetry, o.truth("safe_to_retry")}, {&s.Idempotent, o.truth("idempotent")}} {
			if is.word != nil {
				*is.dst, safe, said = is.word, safe || *is.word, said || !*is.word
			}
		}
		if key := o.text("idempotency_key", "recovery_idempotency_key"); key != "" {
			s.IdempotencyKey, safe = key, true
		}
		if effects, ok := effects(o); ok {
			s.SideEffects, said = effects, true
		}
	}
	if !said && !safe {
		if kind != "executor" {
			return
		}
		s.Unsafe = true
		m.top.notes.add("task %q: nothing says that it may run twice, so it is marked unsafe, and waits for a person "+
			"when it fails: delete its [task.safety] if it may", t.Name)
	}
	if t.Safety = &s; s.Mark() != "" && m.job.Recovery.OnPartition == "" {
		m.job.Recovery.OnPartition = mesh.Keep
		m.top.notes.add(`recovery.on_partition: is "keep", as of all jobs with tasks that must not run twice`)
	}
}

// effects is what a task changes outside of itself, if it says so.
func effects(o object) (mesh.SideEffects, bool) {
	v, at := o.take("side_effects", "side_effect")
	if at == "" {
		return "", false
	}
	switch text := fmt.Sprint(v); text {
	case "true", "unsafe":
		return mesh.EffectsUnsafe, true
	case "external":
		return mesh.EffectsExternal, true
	case "write", "writes":
		return mesh.EffectsWrite, true
	case "false", "none", "read":
	default:
		o.wrong(at, "side effect that is known")
	}
	return "", false
}
