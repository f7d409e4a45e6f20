package reconcile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

var update = flag.Bool("update", false, "rewrite the expected pictures in testdata")

// TestScripts tells stories: each file in testdata is blocks of commands with
// the plan that must follow. Every plan is checked too.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n\n") {
		commands, want, _ := strings.Cut(block, "\n----\n")
		var got strings.Builder
		for line := range strings.SplitSeq(commands, "\n") {
			if line != "" && line[0] != '#' {
				if err := w.command(strings.Fields(line), &got); err != nil {
					t.Fatalf("%s: %q: %v", file, line, err)
				}
			}
		}
		if g := strings.TrimRight(got.String(), "\n"); g != strings.TrimRight(want, "\n") && !*update {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", file, commands, g, want)
		}
		out.WriteString(commands + "\n")
		if got.Len() > 0 {
			out.WriteString("----\n" + got.String())
		}
		out.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// say is a person's word about a copy that waits for one.
func (w *world) say(which string, approve bool) error {
	for _, r := range w.plan(true).Reviews {
		if c := w.copies[r.Alloc]; fmt.Sprintf("%v.%d", c.view.Seat(), c.view.Generation) == which {
			w.verdict(r, approve)
			return nil
		}
	}
	return fmt.Errorf("%s waits for nobody", which)
}

// command runs one line of a script:
//
//	node NAME... [cpu=N] [memory=B] [witness]
//	job [stopped] [KEY=VALUE...] GROUP=COUNT-OR-ARRAY[,memory][<RULE:OTHER+OTHER]...
//	pause|resume|cancel|stop [REASON]    retry [all]    scale COUNT
//	lost|left|unseen NODE DURATION    alive|kill|reboot|forget|unheard NODE
//	drain NODE DEADLINE [system]    maintain|serve NODE    rename NODE NAME
//	status GROUP[INDEX].GENERATION STATE
//	saves GROUP[INDEX].GENERATION NUMBER NODE...    unrestored GROUP[INDEX].GENERATION
//	health GROUP[INDEX].GENERATION passing|warning|critical
//	approve|reject GROUP[INDEX].GENERATION
//	offer SERVICE[:TAG+TAG] NODE passing|failing|gone
//	steer promote|pause|resume|fail [REASON]
//	settle    advance DURATION    other JOB STATUS    permits LIMIT JOB COUNT
//	plan [degraded]    apply [degraded]
func (w *world) command(f []string, out *strings.Builder) error {
	switch f[0] {
	case "node":
		return w.nodeCommand(f[1:])
	case "job":
		return w.jobCommand(f[1:])
	case "pause", "resume", "cancel", "stop", "retry", "scale", "offer", "steer":
		return w.verbCommand(f[0], f[1:])
	case "lost", "left", "unseen":
		d, err := time.ParseDuration(f[2])
		w.sight(w.nodes[mesh.NodeID(f[1])], mesh.Liveness(f[0]), d)
		return err
	case "give-up": // nobody gives it time to come back
		w.nodes[mesh.NodeID(f[1])].view.GivenUp = true
	case "alive":
		w.sight(w.nodes[mesh.NodeID(f[1])], mesh.Alive, 0)
	case "kill":
		w.kill(w.nodes[mesh.NodeID(f[1])])
	case "reboot": // it says that it has, and nothing yet of its copies
		w.nodes[mesh.NodeID(f[1])].view.Boot += "+"
	case "forget":
		w.forgotten[mesh.NodeID(f[1])] = true
		delete(w.nodes, mesh.NodeID(f[1]))
	case "unheard": // its record is not here
		delete(w.nodes, mesh.NodeID(f[1]))
	case "status", "saves", "unrestored", "health":
		for _, c := range w.copies {
			if fmt.Sprintf("%v.%d", c.view.Seat(), c.view.Generation) == f[1] {
				return w.copyCommand(c, f[0], f[2:])
			}
		}
		return fmt.Errorf("no copy %s", f[1])
	case "approve", "reject":
		return w.say(f[1], f[0] == "approve")
	case "drain":
		d, err := time.ParseDuration(f[2])
		w.administer(w.nodes[mesh.NodeID(f[1])], mesh.Draining, d, len(f) > 3)
		return err
	case "rename":
		w.nodes[mesh.NodeID(f[1])].view.Name = f[2]
	case "maintain", "serve":
		mode := map[string]mesh.AdminMode{"maintain": mesh.Maintenance, "serve": mesh.InService}[f[0]]
		w.administer(w.nodes[mesh.NodeID(f[1])], mode, 0, false)
	case "other":
		w.others[mesh.JobID(f[1])] = mesh.JobStatus(f[2])
	case "permits":
		n, err := strconv.Atoi(f[3])
		w.othersHold(f[1], mesh.JobID(f[2]), n)
		return err
	case "settle":
		w.settle()
	case "advance":
		d, err := time.ParseDuration(f[1])
		w.advance(d)
		return err
	case "plan", "apply":
		p := w.plan(len(f) == 1)
		out.WriteString(w.picture(p))
		if err := Check(p, w.view()); err != nil {
			return fmt.Errorf("%w\n%s", err, w.picture(p))
		}
		if f[0] == "apply" {
			w.apply(p)
		}
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

// copyCommand is what the node of a copy says of it.
func (w *world) copyCommand(c *toyCopy, what string, args []string) error {
	switch what {
	case "status":
		w.report(c, mesh.AllocState(args[0]))
	case "saves":
		n, err := strconv.ParseUint(args[0], 10, 64)
		w.saves(c, n, args[1:])
		return err
	case "health":
		t := &c.view.Status.Tasks[0]
		t.Services = []mesh.ServiceStatus{{Name: "front", Health: mesh.Health(args[0]), Since: w.now}}
	default:
		w.report(c, mesh.Backoff)
		t := &c.view.Status.Tasks[0]
		t.Unrestored, t.Reason = w.now, "nothing can be had of what was saved: nobody has it"
	}
	return nil
}

func (w *world) verbCommand(verb string, args []string) error {
	switch verb {
	case "steer":
		w.steer(mesh.Steer(args[0]), strings.Join(args[1:], " "))
	case "offer":
		w.offer(args[0], mesh.NodeID(args[1]), args[2])
	case "retry":
		w.act(mesh.VerbRetry, len(args) > 0, "")
	case "scale":
		n, err := strconv.Atoi(args[0])
		job := w.job.Job
		job.Tasks = slices.Clone(job.Tasks)
		job.Tasks[0].Count = n
		w.version(w.job.NextScale(&job, mesh.ScaledTo(job.Tasks[0].Name, n)))
		return err
	default:
		w.act(mesh.Verb(verb), false, strings.Join(args, " "))
	}
	return nil
}

func (w *world) nodeCommand(args []string) error {
	capacity := mesh.Resources{CPU: 4 * mesh.Core, Memory: 8 * mesh.GiB, Disk: 100 * mesh.GiB}
	role, names := mesh.Worker, []string{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		var err error
		switch key {
		case "cpu":
			err = capacity.CPU.UnmarshalText([]byte(value))
		case "memory":
			err = capacity.Memory.UnmarshalText([]byte(value))
		case "witness":
			role = mesh.Witness
		default:
			names = append(names, arg)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range names {
		w.addNode(name, capacity).view.Role = role
	}
	return nil
}

func (w *world) jobCommand(args []string) error {
	job := mesh.Job{Name: "lab", Type: mesh.Service}
	stopped := false
	args, needs := w.needs(&job, args)
	own := mesh.Task{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		d, _ := time.ParseDuration(value)
		n, _ := strconv.Atoi(value)
		after := mesh.Duration(d)
		if updateKey(&job, key, value) || taskKey(&own, key, value) {
			continue
		}
		switch key {
		case "stopped":
			stopped = true
		case "late":
			late := value == "true"
			job.IncludeLate = &late
		case "type":
			job.Type = mesh.JobType(value)
		case "mode":
			job.Recovery.Mode = mesh.RecoveryMode(value)
		case "partition":
			job.Recovery.OnPartition = mesh.OnPartition(value)
		case "reconcile":
			job.Recovery.Reconcile = mesh.Choice(value)
		case "lost_after":
			job.Recovery.LostAfter = &after
		case "stop_after":
			job.Recovery.StopAfter = after
		case "lease":
			job.Recovery.Lease = after
		case "offers": // by the job, and not by a task
			job.Services = []mesh.ServiceDef{{Name: value, Address: "192.0.2.1", Port: "80"}}
		case "max_running":
			job.MaxRunning = n
		case "limit":
			key, most, _ := strings.Cut(value, ":")
			n, _ = strconv.Atoi(most)
			job.Limit = &mesh.SharedLimit{Key: key, Max: n}
		case "gang":
			job.Gang = true
		case "after":
			job.After = strings.Split(value, "+")
		case "rule":
			job.AfterRule = mesh.AfterRule(value)
		case "quorum":
			job.AfterQuorum = n
		case "strategy":
			job.Strategy = mesh.Strategy(value)
		case "moves":
			job.Reschedule = &mesh.ReschedulePolicy{Attempts: &n}
		default:
			task, err := toyTask(key, value)
			task.Ports, task.Devices, task.Services = own.Ports, own.Devices, own.Services
			task.Checkpoint, task.Safety, task.Requires = own.Checkpoint, own.Safety, needs
			if err != nil {
				return err
			}
			job.Tasks = append(job.Tasks, task)
		}
	}
	w.submit(job, stopped)
	return nil
}

// updateKey sets a key of an update policy, if it is one; "parallel" comes first.
func updateKey(job *mesh.Job, key, value string) bool {
	d, _ := time.ParseDuration(value)
	after := mesh.Duration(d)
	u := job.Update
	switch n, _ := strconv.Atoi(value); key {
	case "parallel":
		job.Update = &mesh.UpdatePolicy{MaxParallel: n, MinHealthy: new(mesh.Duration)}
	case "update":
		u.Strategy = mesh.UpdateStrategy(value)
	case "max_parallel":
		u.MaxParallel = n
	case "canary":
		u.Canary = n
	case "auto":
		u.AutoPromote, u.AutoRevert = strings.Contains(value, "promote"), strings.Contains(value, "revert")
	case "check":
		u.HealthCheck = mesh.HealthCheck(value)
	case "order":
		u.Order = mesh.UpdateOrder(value)
	case "healthy_deadline":
		u.HealthyDeadline = &after
	case "progress_deadline":
		u.ProgressDeadline = &after
	case "min_healthy":
		u.MinHealthy = &after
	default:
		return false
	}
	return true
}

// taskKey sets what the tasks that follow have of their own, if it is a key of that.
func taskKey(own *mesh.Task, key, value string) bool {
	switch n, _ := strconv.Atoi(value); key {
	case "port":
		own.Ports = []mesh.PortRequest{{Label: "http", Number: n}}
	case "device":
		own.Devices = []mesh.DeviceRequest{{Kind: value, Count: 1}}
	case "unsafe":
		own.Safety = &mesh.Safety{SideEffects: mesh.SideEffects(value)}
	case "saved":
		own.Checkpoint = &mesh.CheckpointPolicy{Copies: n}
	case "service":
		own.Services = []mesh.ServiceDef{{Name: value}}
	default:
		return false
	}
	return true
}

// toyTask reads COUNT-OR-ARRAY[,memory][<RULE:OTHER+OTHER], with RULE=N for a quorum.
func toyTask(name, value string) (task mesh.Task, err error) {
	value, order, ordered := strings.Cut(value, "<")
	count, memory, _ := strings.Cut(value, ",")
	task = mesh.Task{Name: name, Command: []string{"run", memory}}
	if n, bad := strconv.Atoi(count); bad == nil {
		task.Count = n
	} else {
		task.Array = count
	}
	if memory != "" {
		err = task.Resources.Memory.UnmarshalText([]byte(memory))
	}
	if ordered {
		rule, before, _ := strings.Cut(order, ":")
		rule, quorum, _ := strings.Cut(rule, "=")
		task.AfterRule, task.After = mesh.AfterRule(rule), strings.Split(before, "+")
		task.AfterQuorum, _ = strconv.Atoi(quorum)
	}
	return task, err
}
