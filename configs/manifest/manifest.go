// Package manifest turns job manifests of MirrorNeuron, the system that mn's features come
// from, into jobs.
//
// A manifest wires agents that send each other messages; a job of mn has programs. What has
// a command becomes a task, an edge between two of them in a batch job becomes "after", and
// what has no counterpart is noted, key by key, so that nothing is lost unseen. The names and
// units of manifests (aliases, milliseconds) end here: job files have one name for a thing.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"mn/configs"
	"mn/mesh"
)

const (
	nowhere = "has no counterpart in this release, and is left out"
	taskMax = 1000 // nodes that are looked at
)

// manifestFile is the manifest of a folder.
const manifestFile = "manifest.json"

// File makes a job file of the manifest at path, or in that folder. The notes of [Read] are
// comments of it, too.
func File(path string) (text []byte, job *mesh.Job, notes []string, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, manifestFile)
	}
	data, err := configs.ReadFile("manifest", path)
	if err != nil {
		return nil, nil, nil, err
	}
	job, notes, err = Read(path, data)
	if err != nil {
		return nil, nil, nil, err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# From %s.\n", strings.Map(printable, filepath.Base(path)))
	for i, n := range notes {
		notes[i] = strings.Map(printable, n)
		if i == 0 {
			out.WriteString("#\n# To look at:\n")
		}
		fmt.Fprintf(&out, "# - %s\n", notes[i])
	}
	fmt.Fprintf(&out, "\n%s", configs.WriteJob(job))
	return []byte(out.String()), job, notes, nil
}

// printable keeps what a manifest calls its things in the lines of comments.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

// Read turns a manifest into a job; name is what messages call the file. The notes say what
// of the manifest the job does not say, and what of the job to look at. A job may still have
// faults, which [mesh.Job.Validate] tells.
func Read(name string, data []byte) (*mesh.Job, []string, error) {
	tree, err := decode(name, data)
	if err != nil {
		return nil, nil, err
	}
	m := &reader{top: object{"", tree, &notes{lines: []string{}}}, job: &mesh.Job{}}
	m.head()
	nodes, edges := m.graph()
	if len(nodes) == 0 {
		return nil, nil, mesh.Faultf(mesh.Invalid, "%s: is no manifest: it has no nodes", name).
			Hint("a manifest has a list \"nodes\", at its top or in \"flow\"")
	}
	if len(nodes) > taskMax {
		return nil, nil, mesh.Faultf(mesh.Invalid, "%s: %d nodes, of at most %d", name, len(nodes), taskMax)
	}
	for _, n := range nodes {
		m.node(n)
	}
	m.order(edges)
	if len(m.job.Tasks) == 0 {
		return nil, nil, mesh.Faultf(mesh.Invalid, "%s: none of its nodes has a command", name).
			Hint("mn runs programs, and passes no messages between agents; mn job init writes a job to start from")
	}
	m.top.rest(nowhere)
	return m.job, m.top.notes.all(), nil
}

// decode reads JSON, and says where it is none.
func decode(name string, data []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree map[string]any
	err := d.Decode(&tree)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return tree, nil
		}
		err = errors.New("there is more after the manifest")
	}
	before := data[:min(max(d.InputOffset(), 0), int64(len(data)))]
	var syntax *json.SyntaxError
	var other *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		before = data
	case errors.As(err, &syntax):
		before = data[:min(max(syntax.Offset-1, 0), int64(len(data)))]
	case errors.As(err, &other):
		before, err = nil, fmt.Errorf("want an object, in braces, not %s", other.Value)
	}
	line, col := bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n')
	return nil, mesh.Faultf(mesh.Invalid, "%s:%d:%d: %v", name, line, col, strings.TrimPrefix(err.Error(), "json: "))
}

// reader makes the job of a manifest.
type reader struct {
	top object
	job *mesh.Job
	// names are the tasks' names by the ids of their nodes; "" of a node that is no task.
	names map[string]string
}

// head reads what is about the job as a whole.
func (m *reader) head() {
	m.top.take("manifest_version", "apiVersion", "kind")
	graph := m.top.text("graph_id")
	if title := m.top.text("job_name"); title != "" {
		graph = title
	}
	m.job.Name = valid(graph)
	m.job.Meta = map[string]string{}
	for key, v := range m.top.table("metadata") {
		m.job.Meta[valid(key)] = v
	}
	policies := m.top.sub("policies")
	scheduler := policies.sub("scheduler")
	m.job.Type = mesh.JobType(m.top.text("type"))
	for _, of := range []string{policies.text("job_type"), scheduler.text("job_type")} {
		if of != "" {
			m.job.Type = mesh.JobType(of)
		}
	}
	if m.job.Type == "" {
		m.job.Type = mesh.Batch
	}
	m.job.Strategy = mesh.Strategy(scheduler.text("strategy"))
	m.job.Constraints = constraints(policies, scheduler)
	m.job.Recovery.Mode = mesh.RecoveryMode(policies.text("recovery_mode"))
	m.job.Restart = restart(policies)
	m.job.Reschedule = reschedule(policies.sub("reschedule"))
	m.update(policies.sub("update"))
	m.schedule(m.top.sub("schedule"))
	scheduler.rest(nowhere)
	policies.rest(nowhere)
}

// update reads how a new version takes the place of the one before.
func (m *reader) update(update object) {
	if len(update.of) == 0 {
		return
	}
	u := &mesh.UpdatePolicy{Strategy: mesh.UpdateStrategy(strings.ReplaceAll(update.text("strategy"), "_", "-"))}
	m.job.Update = u
	if n := update.count("max_parallel"); n != nil {
		u.MaxParallel = *n
	}
	if u.How() == mesh.Canary {
		if n := update.count("canary"); n != nil {
			u.Canary = *n
		}
	}
	within := func(key string) *mesh.Duration {
		if _, ok := update.of[key]; !ok {
			return nil
		}
		d := update.duration(key)
		return &d
	}
	u.MinHealthy, u.HealthyDeadline = within("min_healthy_ms"), within("healthy_deadline_ms")
	u.ProgressDeadline = within("progress_deadline_ms")
	switch check := update.text("health_check"); check {
	case "agent_states":
		u.HealthCheck = mesh.ByStates
	default:
		u.HealthCheck = mesh.HealthCheck(check)
	}
	if u.Hides() {
		u.AutoPromote = is(update.truth("auto_promote"))
	}
	u.AutoRevert = is(update.truth("auto_revert"))
	update.rest(nowhere)
}

func is(truth *bool) bool { return truth != nil && *truth }

// graph is the nodes of a manifest, and the edges between them. Newer ones have both in
// "flow".
func (m *reader) graph() (nodes, edges []object) {
	flow := m.top.sub("flow")
	nodes = append(m.top.subs("nodes"), flow.subs("nodes")...)
	edges = append(m.top.subs("edges"), flow.subs("edges")...)
	flow.rest(nowhere)
	m.names = map[string]string{}
	return nodes, edges
}

// restart is a restart policy, with the older way to write how many there are.
func restart(policies object) *mesh.RestartPolicy {
	old := policies.count("max_agent_restart_attempts")
	o := policies.sub("restart")
	if len(o.of) == 0 && old == nil {
		return nil
	}
	r := &mesh.RestartPolicy{
		Attempts: o.count("attempts"), Interval: o.duration("interval_ms"), Delay: o.duration("delay_ms"),
		DelayFunction: mesh.DelayFunction(o.text("delay_function")), MaxDelay: o.duration("max_delay_ms"),
		Mode: mesh.RestartMode(o.text("mode")), Enabled: o.truth("enabled"),
	}
	if r.Attempts == nil {
		r.Attempts = old
	}
	o.rest(nowhere)
	return r
}

func reschedule(o object) *mesh.ReschedulePolicy {
	if len(o.of) == 0 {
		return nil
	}
	r := &mesh.ReschedulePolicy{
		Attempts: o.count("attempts"), Interval: o.duration("interval_ms"), Delay: o.duration("delay_ms"),
		DelayFunction: mesh.DelayFunction(o.text("delay_function")), MaxDelay: o.duration("max_delay_ms"),
		Unlimited: o.truth("unlimited"), Enabled: o.truth("enabled"),
	}
	o.rest(nowhere)
	return r
}

// valid is the name that is nearest to a text: what no name may have becomes "-".
func valid(text string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_.", r) || mesh.ValidName(string(r)) {
			return r
		}
		return '-'
	}, text)
	name = strings.TrimLeft(name, "-_.")
	return name[:min(len(name), 63)]
}

// order turns edges between tasks into what comes after what, for work that ends. What lies
// between two tasks and is none is passed through.
func (m *reader) order(edges []object) {
	next := map[string][]string{}
	for _, e := range edges {
		from, to := e.text("from_node"), e.text("to_node")
		if !slices.Contains(next[from], to) {
			next[from] = append(next[from], to)
		}
		e.take("edge_id", "message_type")
		e.rest(nowhere)
	}
	if m.job.Type.Long() || m.job.Type.PerNode() {
		if len(next) > 0 {
			m.top.notes.add("edges: no messages are passed on, and tasks of a %s job run side by side", m.job.Type)
		}
		return
	}
	for id, name := range m.names {
		if name == "" {
			continue
		}
		for _, to := range reached(id, next, m.names) {
			t := m.task(m.names[to])
			t.After = append(t.After, name)
			slices.Sort(t.After)
		}
	}
	if len(next) > 0 {
		m.top.notes.add("edges: no messages are passed on: a task begins when those before it have succeeded")
	}
}

// reached are the ids of the first tasks on each way from a node.
func reached(from string, next map[string][]string, names map[string]string) []string {
	var found []string
	seen := map[string]bool{from: true}
	for queue := next[from]; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		switch {
		case seen[at]:
		case names[at] != "":
			found = append(found, at)
		default:
			queue = append(slices.Clone(queue), next[at]...)
		}
		seen[at] = true
	}
	return found
}

// task is the task of that name.
func (m *reader) task(name string) *mesh.Task {
	i := slices.IndexFunc(m.job.Tasks, func(t mesh.Task) bool { return t.Name == name })
	return &m.job.Tasks[i]
}

// named is a name for the task of a node that no other task has.
func (m *reader) named(id string) string {
	name := valid(id)
	if name == "" {
		name = "task"
	}
	free := func(n string) bool {
		return !slices.ContainsFunc(m.job.Tasks, func(t mesh.Task) bool { return t.Name == n })
	}
	for n, stem := 2, name[:min(len(name), 58)]; !free(name); n++ {
		name = fmt.Sprintf("%s-%d", stem, n)
	}
	return name
}
