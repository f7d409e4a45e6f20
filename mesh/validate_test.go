package mesh

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// good is a job with nothing wrong in it.
func good() *Job {
	return &Job{Name: "web", Type: Service, Tasks: []Task{
		{Name: "web", Group: "g", Command: []string{"./web"}, Resources: Resources{CPU: Core, Memory: GiB}},
		{Name: "side", Group: "g", Command: []string{"./side", ""}},
	}}
}

func TestValidateFindsEachFault(t *testing.T) {
	minus, many := -3, WindowMax+1
	yes, soon, long := true, Duration(-time.Second), Duration(48*time.Hour)
	checkFaults(t, []spoiled{
		{"nothing", func(*Job) {}, ""},
		{"empty", func(j *Job) { *j = Job{} }, "name: the job's name is missing\ntask: a job needs at least one [[task]]"},
		{"name", func(j *Job) { j.Name = "../x" }, `name: "../x" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit`},
		{"type", func(j *Job) { j.Type = "cron" }, `type: has unsupported value "cron"; supported: "service", "batch", "system", "sysbatch"`},
		{
			"count of a type per node", func(j *Job) { j.Type, j.Tasks[0].Count = System, 3 },
			`task "web": count: is 3, and a job of type "system" has one copy on each node: leave it out`,
		},
		{"parallel", func(j *Job) { j.Update = &UpdatePolicy{MaxParallel: -1} }, `update.max_parallel: must be from 1 to 10000, not -1`},
		{"late nodes", func(j *Job) { j.IncludeLate = new(bool) }, `include_late: is for jobs of type "sysbatch", which this is not`},
		{"strategy", func(j *Job) { j.Strategy = "random" }, `strategy: has unsupported value "random"; supported: "binpack", "spread"`},
		{"preemptible", func(j *Job) { j.Preemptible = true }, ""},
		{
			"preemptible gang", func(j *Job) { j.Preemptible, j.Gang = true, true },
			"preemptible: stops single copies, and those of a gang share one fate: leave one out",
		},
		{
			"preemptible on each node", func(j *Job) { j.Preemptible, j.Type = true, System },
			`preemptible: stops copies that go on elsewhere, and those of a "system" job belong to their nodes: leave it out`,
		},
		{
			"preemptible that never moves", func(j *Job) { j.Preemptible, j.Recovery.Mode = true, LocalRestart },
			`preemptible: stops copies that go on elsewhere, and mode "local_restart" never moves work: leave it out`,
		},
		{
			"preemptible and unsafe", func(j *Job) {
				j.Preemptible, j.Recovery.OnPartition, j.Tasks[0].Safety = true, Keep, &Safety{Unsafe: true}
			},
			`preemptible: runs copies a second time, and task "web" is marked unsafe (unsafe = true): leave it out`,
		},
		{"priority", func(j *Job) { j.Priority = 101 }, "priority: must be from 1 to 100, not 101"},
		{
			"stop_after of a majority job", func(j *Job) {
				j.Recovery = Recovery{OnPartition: Majority, StopAfter: Duration(time.Minute)}
			},
			`recovery.stop_after: stops copies that are cut off, and with on_partition = "majority" lease does so: leave one out`,
		},
		{
			"stop_after of a keep job", func(j *Job) {
				j.Recovery = Recovery{Mode: LocalRestart, StopAfter: Duration(time.Minute)}
			},
			`recovery.stop_after: stops copies that are cut off, and with on_partition = "keep" what runs goes on: leave it out`,
		},
		{
			"stop_after too short", func(j *Job) { j.Recovery.StopAfter = Duration(time.Second) },
			"recovery.stop_after: must be at least 10s, not 1s",
		},
		{
			"limit", func(j *Job) { j.Limit, j.Recovery.OnPartition = &SharedLimit{}, Keep },
			"limit.key: the limit's key is missing\nlimit.max: must be from 1 to 10000, not 0",
		},
		{
			"limit of a job that goes on by itself", func(j *Job) { j.Limit = &SharedLimit{"ceph", 5} },
			`limit: holds in the whole mesh, and with recovery.on_partition = "eager" each side of a split goes on by ` +
				`itself: write on_partition = "keep" or "majority" there`,
		},
		{
			"limit of a gang", func(j *Job) {
				j.Gang, j.Limit, j.Recovery.OnPartition = true, &SharedLimit{"ceph", 5}, Majority
			},
			"limit: has copies wait for others, and gang = true places all together: leave one out",
		},
		{"max_running", func(j *Job) { j.MaxRunning = -1 }, "max_running: must be from 1 to 10000, not -1"},
		{"max_running too high", func(j *Job) { j.MaxRunning = 10001 }, "max_running: must be from 1 to 10000, not 10001"},
		{"meta", func(j *Job) { j.Meta = map[string]string{"a b": "x"} }, `meta.a b: "a b" is not a name`},
		{"mode", func(j *Job) { j.Recovery.Mode = "never" }, `recovery.mode: has unsupported value "never"; supported: "auto", "cluster_recover", "local_restart", "manual_recover"`},
		{"partition", func(j *Job) { j.Recovery.OnPartition = "stop" }, `recovery.on_partition: has unsupported value "stop"; supported: "eager", "majority", "keep"`},
		{
			"partition and mode", func(j *Job) { j.Recovery = Recovery{Mode: LocalRestart, OnPartition: Eager} },
			`recovery.on_partition: "eager" moves work, and mode "local_restart" never does: want "keep", or mode "cluster_recover"`,
		},
		{"choice", func(j *Job) { j.Recovery.Reconcile = "newest" }, `recovery.reconcile: has unsupported value "newest"; supported: "keep_original", "best_score", "keep_replacement", "longest_running", "keep_furthest"`},
		{"choice of one", func(j *Job) { j.Recovery = Recovery{OnPartition: Keep, Reconcile: KeepOriginal} }, ""},
		{
			"choice of never two", func(j *Job) { j.Recovery = Recovery{Mode: LocalRestart, Reconcile: BestScore} },
			`recovery.reconcile: chooses between two copies, and with on_partition = "keep" there are never two: leave it out`,
		},
		{
			"choice on each node", func(j *Job) { j.Type, j.Recovery.Reconcile = System, LongestRunning },
			`recovery.reconcile: chooses between two copies, and a job of type "system" has one on each node: leave it out`,
		},
		{
			"choice of a gang", func(j *Job) { j.Gang, j.Recovery.Reconcile = true, BestScore },
			`recovery.reconcile: chooses between two copies, and of two gangs the later one stays as a whole: leave it out`,
		},
		{
			"choice by checkpoints", func(j *Job) { j.Recovery.Reconcile = KeepFurthest },
			`recovery.reconcile: chooses by checkpoints, and no task has any: want "longest_running", or [task.checkpoint]`,
		},
		{"lost_after", func(j *Job) { j.Recovery.LostAfter = &soon }, "recovery.lost_after: must not be negative, as -1s is"},
		{"lost_after too long", func(j *Job) { j.Recovery.LostAfter = &long }, "recovery.lost_after: must be at most 24h, not 48h"},
		{"lease", func(j *Job) { j.Recovery.Lease = Duration(time.Millisecond) }, "recovery.lease: must be at least 1s, not 1ms"},
		{"attempts", func(j *Job) { j.Restart = &RestartPolicy{Attempts: &minus} }, "restart.attempts: must be a non-negative integer, not -3"},
		{"too many attempts", func(j *Job) { j.Reschedule = &ReschedulePolicy{Attempts: &many} }, "reschedule.attempts: must be at most 50, not 51"},
		{
			"delay function", func(j *Job) { j.Tasks[1].Restart = &RestartPolicy{DelayFunction: "linear", Mode: "stop"} },
			`task "side": restart.delay_function: has unsupported value "linear"; supported: "constant", "exponential", "fibonacci"` + "\n" +
				`task "side": restart.mode: has unsupported value "stop"; supported: "fail", "delay"`,
		},
		{
			"bounded and unlimited", func(j *Job) { j.Reschedule = &ReschedulePolicy{Attempts: new(int), Unlimited: &yes} },
			"reschedule.attempts: bounds the moves, and unlimited = true does not: want one of them",
		},
		{
			"moves in a mode that has none", func(j *Job) { j.Recovery.Mode = ManualRecover; j.Reschedule = &ReschedulePolicy{} },
			`reschedule: moves work, and recovery.mode "manual_recover" never does: leave it out, or set enabled = false`,
		},
		{"two of a name", func(j *Job) { j.Tasks[1].Name = "web" }, `task "web": name: another task has the name "web" too`},
		{"group", func(j *Job) { j.Tasks = j.Tasks[:1]; j.Tasks[0].Group = "a/b" }, `task "web": group: "a/b" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit`},
		{"counts differ", func(j *Job) { j.Tasks[0].Count = 2 }, `task "side": count: is 1, and 2 in task "web" of the same group "g"`},
		{"count", func(j *Job) { j.Tasks[0].Count = -1; j.Tasks[1].Group = "" }, `task "web": count: must be from 1 to 10000, not -1`},
		{
			"too many copies", func(j *Job) { j.Tasks[0].Count = 9999; j.Tasks[1].Group, j.Tasks[1].Count = "", 2 },
			`task "side": count: brings the job to 10001 copies, more than 10000`,
		},
		{"array", func(j *Job) { j.Tasks[0].Array, j.Tasks[1].Array = "1,3,5-7%2", "1,3,5-7%2" }, ""},
		{
			"array and count", func(j *Job) { j.Tasks = j.Tasks[:1]; j.Tasks[0].Array, j.Tasks[0].Count = "0-9", 10 },
			`task "web": array: says how many copies there are, and so does count = 10: leave one out`,
		},
		{
			"arrays differ", func(j *Job) { j.Tasks[0].Array = "0-9" },
			`task "side": array: is "", and "0-9" in task "web" of the same group "g"`,
		},
		{
			"array per node", func(j *Job) { j.Type, j.Tasks = System, j.Tasks[:1]; j.Tasks[0].Array = "0-9" },
			`task "web": array: gives the copies their indexes, and a job of type "system" has one copy on each node: leave it out`,
		},
		{
			"array and more copies", func(j *Job) { j.Tasks[0].Group, j.Tasks[0].Array, j.Tasks[1].Count = "", "0-9998", 2 },
			`task "side": count: brings the job to 10001 copies, more than 10000`,
		},
		{
			"more copies and an array", func(j *Job) { j.Tasks[0].Count, j.Tasks[1].Group, j.Tasks[1].Array = 2, "", "0-9998" },
			`task "side": array: brings the job to 10001 copies, more than 10000`,
		},
		{
			"bad array", func(j *Job) { j.Tasks = j.Tasks[:1]; j.Tasks[0].Array = "0-x" },
			`task "web": array: "0-x" is no index below 1000000000, and no range such as "0-99" or "0-99:2"`,
		},
		{
			"array with one twice", func(j *Job) { j.Tasks = j.Tasks[:1]; j.Tasks[0].Array = "1-9:4,0-9:5" },
			`task "web": array: has the index 5 twice`,
		},
		{
			"array's index outside of one", func(j *Job) { j.Tasks[0].Command = []string{"./web", "${MN_ARRAY_INDEX}"} },
			`task "web": command.1: unknown variable ${MN_ARRAY_INDEX}; did you mean ${MN_ALLOC_INDEX}?`,
		},
		{
			"array's index", func(j *Job) {
				j.Tasks = j.Tasks[:1]
				j.Tasks[0].Array, j.Tasks[0].Command = "0-9", []string{"./web", "${MN_ARRAY_INDEX} of ${MN_ARRAY_SIZE}"}
			}, "",
		},
		{
			"gang", func(j *Job) {
				j.Gang, j.Tasks[0].Count, j.Tasks[1].Count = true, 128, 128
				j.Tasks[0].Command = []string{"./web", "${MN_RANK} of ${MN_WORLD_SIZE} at ${MN_MASTER_ADDR}"}
			}, "",
		},
		{
			"gang that is too large", func(j *Job) { j.Gang, j.Tasks[0].Count, j.Tasks[1].Count = true, 129, 129 },
			"gang: places all copies together, and 129 are more than the 128 that it can",
		},
		{
			"gang of what must not run twice", func(j *Job) {
				j.Gang, j.Tasks[0].Safety, j.Recovery.OnPartition = true, &Safety{Unsafe: true}, Keep
			},
			`gang: runs all copies again when one has failed, and task "web" is marked unsafe (unsafe = true)`,
		},
		{
			"gang per node", func(j *Job) { j.Gang, j.Type = true, System },
			`gang: places all copies together, and those of a job of type "system" come and go with the nodes: leave it out`,
		},
		{
			"gang of which some wait", func(j *Job) {
				j.Gang, j.MaxRunning, j.Tasks[0].Array, j.Tasks[1].Array = true, 2, "0-9%2", "0-9%2"
			},
			"max_running: has copies wait for others, and gang = true places all together: leave one out\n" +
				`gang: places all copies together, and those of group "g" wait for others: leave out its after, and the limit of its array`,
		},
		{"rank outside of a gang", func(j *Job) { j.Tasks[0].Dir = "/x/${MN_RANK}" }, `task "web": dir: unknown variable ${MN_RANK}; did you mean ${MN_TASK}?`},
		{"driver", func(j *Job) { j.Tasks[0].Driver = "docker" }, `task "web": driver: has unsupported value "docker"; supported: "exec", "container"`},
		{
			"container", func(j *Job) {
				j.Tasks[0].Driver, j.Tasks[0].Command = ContainerDriver, nil
				j.Tasks[0].Container = &Container{Image: "docker.io/library/nginx:1.29@sha256:0a1b", Ports: map[string]int{"http": 80}}
				j.Tasks[0].Ports = []PortRequest{{Label: "http"}}
				j.Tasks[0].Volumes = []Volume{{Name: "a", Source: "/a", Target: "/b"}}
			},
			"",
		},
		{
			"container without an image", func(j *Job) { j.Tasks[0].Driver = ContainerDriver },
			`task "web": container: is missing: want a [task.container] with an image, such as image = "docker.io/library/nginx:1.29"`,
		},
		{
			"container of a process", func(j *Job) { j.Tasks[0].Container = &Container{Image: "nginx"} },
			`task "web": container: is for tasks with driver = "container", which this is not: set it, or leave it out`,
		},
		{
			"all that can be wrong with a container", func(j *Job) {
				j.Tasks[0].Driver, j.Tasks[0].Isolation = ContainerDriver, IsolateSandbox
				j.Tasks[0].Ports = []PortRequest{{Label: "http"}}
				j.Tasks[0].Container = &Container{
					Image: "-v /:/host nginx", Pull: "often", Network: NetworkNone,
					Entrypoint: []string{""}, Ports: map[string]int{"http": 70000, "db": 1}, ShmSize: 1,
				}
			},
			`task "web": isolation: is for plain processes, and a container is kept apart by its engine: leave it out
task "web": container.image: "-v /:/host nginx" is no name of an image: want such as "docker.io/library/nginx:1.29"
task "web": container.pull: has unsupported value "often"; supported: "missing", "always", "never"
task "web": container.entrypoint: begins with an empty program name
task "web": container.ports: only a container with network = "bridge" has ports of its own: leave it out
task "web": port: a container without a network listens on no port: leave it out, or change container.network
task "web": container.ports.db: the task has no port with the label "db"
task "web": container.ports.http: must be from 1 to 65535, not 70000
task "web": container.shm_size: 1 B is not between 64 KiB and what a machine has`,
		},
		{
			"container with an image that is empty", func(j *Job) {
				j.Tasks[0].Driver, j.Tasks[0].Container = ContainerDriver, &Container{}
			},
			`task "web": container.image: is missing: want the name of an image, such as "docker.io/library/nginx:1.29"`,
		},
		{
			"variable of the node in a container", func(j *Job) {
				j.Tasks[0].Driver = ContainerDriver
				j.Tasks[0].Container = &Container{Image: "nginx", Entrypoint: []string{"${MN_TASK}", "${PATH}"}}
			},
			`task "web": container.entrypoint.1: unknown variable ${PATH}; it is not in env, and known are MN_JOB, MN_TASK, MN_ALLOC_ID, MN_ALLOC_INDEX, MN_NODE, MN_FENCE, MN_TASK_DIR, MN_ALLOC_DIR, MN_ALLOCATION_JSON; $${ stands for ${`,
		},
		{"no command", func(j *Job) { j.Tasks[0].Command = nil }, `task "web": command: is missing: want the program and its arguments, such as ["./worker", "--port", "80"]`},
		{"empty command", func(j *Job) { j.Tasks[0].Command = []string{""} }, `task "web": command: begins with an empty program name`},
		{"NUL", func(j *Job) { j.Tasks[0].Command = []string{"a\x00b"} }, `task "web": command: has a NUL byte in it`},
		{"dir", func(j *Job) { j.Tasks[0].Dir = "tmp" }, `task "web": dir: "tmp" is not an absolute path`},
		{"user", func(j *Job) { j.Tasks[0].User = "a b" }, `task "web": user: "a b" is not a user's name`},
		{
			"isolation", func(j *Job) { j.Tasks[0].Isolation = "jail" },
			`task "web": isolation: has unsupported value "jail"; supported: "none", "cgroup", "sandbox"`,
		},
		{
			"sandbox of root", func(j *Job) { j.Tasks[0].Isolation, j.Tasks[0].User = IsolateSandbox, "root" },
			`task "web": user: no sandbox is root's: leave it out, or name another`,
		},
		{
			"volumes", func(j *Job) {
				j.Tasks[0].Volumes = []Volume{{
					Name: "a b", Type: "nfs", Source: "data", Target: "/proc/x", Mode: "w",
				}, {Name: "c"}}
				j.Tasks[0].Isolation = IsolateSandbox
			},
			`task "web": volume.0.name: "a b" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit
task "web": volume.0.type: has unsupported value "nfs"; supported: "host"
task "web": volume.0.mode: has unsupported value "w"; supported: "ro", "rw"
task "web": volume.0.source: "data" is not an absolute path without . and ..
task "web": volume.0.target: "/proc/x" is nothing that can be a volume
task "web": volume.1.source: is missing: want the absolute path of a folder`,
		},
		{
			"volumes whose paths say more to an engine", func(j *Job) {
				j.Tasks[0].Driver, j.Tasks[0].Container = ContainerDriver, &Container{Image: "nginx"}
				j.Tasks[0].Volumes = []Volume{
					{Name: "a", Source: "/a,source=/etc"},
					{Name: "b", Source: "/b", Target: "/c\nd"},
					{Name: "c", Source: "/c\"d", Target: "/e\rf"},
				}
			},
			`task "web": volume.0.source: "/a,source=/etc" has a comma, a quote or a new line, which engines of containers take for something else: rename the folder
task "web": volume.1.target: "/c\nd" has a comma, a quote or a new line, which engines of containers take for something else: rename the folder
task "web": volume.2.source: "/c\"d" has a comma, a quote or a new line, which engines of containers take for something else: rename the folder
task "web": volume.2.target: "/e\rf" has a comma, a quote or a new line, which engines of containers take for something else: rename the folder`,
		},
		{"volume of a process with a comma", func(j *Job) {
			j.Tasks[0].Volumes = []Volume{{Name: "a", Source: "/a,b", Mode: ReadWrite}}
		}, ""},
		{
			"volumes that are as good as one", func(j *Job) {
				j.Tasks[0].Isolation = IsolateSandbox
				j.Tasks[0].Volumes = []Volume{{Name: "a-b", Source: "/a"}, {Name: "A_b", Source: "/b", Target: "/a"}}
			},
			`task "web": volume.1.name: is as good as that of volume "a-b": both would be told as MN_VOLUME_A_B
task "web": volume.1.target: volume "a-b" is there too`,
		},
		{
			"volumes of a plain process", func(j *Job) {
				j.Tasks[0].Volumes = []Volume{
					{Name: "a", Source: "/a"},
					{Name: "b", Source: "/b", Target: "/c", Mode: ReadWrite},
					{Name: "c", Source: "/a/../c", Mode: ReadWrite},
					{Name: "d", Source: "/d", Mode: ReadWrite},
				}
			},
			`task "web": volume.0.mode: nothing keeps a plain process from writing: set isolation = "sandbox", or mode = "rw"
task "web": volume.1.target: only a sandbox shows a volume elsewhere: leave it out, or set isolation
task "web": volume.2.source: "/a/../c" is not an absolute path without . and ..`,
		},
		{"cgroup of root", func(j *Job) { j.Tasks[0].Isolation, j.Tasks[0].User = IsolateCgroup, "root" }, ""},
		{
			"env", func(j *Job) { j.Tasks[0].Env = map[string]string{"1A": "", "MN_JOB": "", "ok": "\x00"} },
			`task "web": env.1A: "1A" is not the name of a variable: want letters, digits and '_', not beginning with a digit` + "\n" +
				`task "web": env.MN_JOB: names beginning with MN_ are set by mn itself` + "\n" +
				`task "web": env.ok: has a NUL byte in it`,
		},
		{
			"unknown variables", func(j *Job) {
				j.Tasks[0].Command = []string{"./web", "${MN_ALOC_ID}", "$${X} $X ${MN_NODE} ${HOME} ${A}", "${A"}
				j.Tasks[0].Dir = "/srv/${a}"
				j.Tasks[0].Env = map[string]string{"A": "${MN_FOOBAR}${MN_FOOBAR}"}
			},
			`task "web": command.1: unknown variable ${MN_ALOC_ID}; did you mean ${MN_ALLOC_ID}?` + "\n" +
				`task "web": command.3: "${A" has no closing brace` + "\n" +
				`task "web": dir: unknown variable ${a}; did you mean ${A}?` + "\n" +
				`task "web": env.A: unknown variable ${MN_FOOBAR}; it is not in env, and known are MN_JOB, MN_TASK, ` +
				`MN_ALLOC_ID, MN_ALLOC_INDEX, MN_NODE, MN_FENCE, MN_TASK_DIR, MN_ALLOC_DIR, MN_ALLOCATION_JSON, HOME, LANG, LC_ALL, PATH, TZ; ` +
				`$${ stands for ${`,
		},
		{"kill_grace", func(j *Job) { j.Tasks[0].KillGrace = Duration(2 * time.Hour) }, `task "web": kill_grace: must be at most 1h, not 2h`},
		{"lifecycle", func(j *Job) { j.Tasks[1].Lifecycle = "main" }, `task "side": lifecycle: has unsupported value "main"; supported: "prestart", "sidecar", "poststop"`},
		{"one with a main task", func(j *Job) { j.Tasks[0].Lifecycle = Prestart }, ""},
		{
			"no main task", func(j *Job) { j.Tasks[0].Lifecycle, j.Tasks[1].Lifecycle = Prestart, Sidecar },
			`task "web": lifecycle: group "g" has no main task: leave lifecycle out of the task that does its work`,
		},
		{
			"no main task of its own", func(j *Job) { j.Tasks[1].Group, j.Tasks[1].Lifecycle = "", Poststop },
			`task "side": lifecycle: group "side" has no main task: leave lifecycle out of the task that does its work`,
		},
		{
			"timeout", func(j *Job) { j.Timeout = -1; j.Tasks[0].Timeout = Duration(366 * 24 * time.Hour) },
			"timeout: must not be negative, as -1ns is\n" + `task "web": timeout: must be at most 8760h, not 8784h`,
		},
		{
			"exit codes", func(j *Job) { j.Tasks[0].SuccessExitCodes = []int{-1, 3, 256, 3} },
			`task "web": success_exit_codes: must be from 0 to 255, not -1` + "\n" +
				`task "web": success_exit_codes: must be from 0 to 255, not 256` + "\n" +
				`task "web": success_exit_codes: has 3 twice`,
		},
		{
			"outputs", func(j *Job) {
				j.Tasks[0].Outputs = []string{"out/*.csv", "model/**", "../x", "/etc/*", "a//b", "[", "", "out/*.csv"}
			},
			`task "web": outputs: pattern "../x" must be a path within the task's folder, without . and ..` + "\n" +
				`task "web": outputs: pattern "/etc/*" must be a path within the task's folder, without . and ..` + "\n" +
				`task "web": outputs: pattern "a//b" must be a path within the task's folder, without . and ..` + "\n" +
				`task "web": outputs: pattern "[" is none: want names with *, ?, [a-z], or ** for any folders` + "\n" +
				`task "web": outputs: pattern "" must have 1 to 256 bytes` + "\n" +
				`task "web": outputs: has "out/*.csv" twice`,
		},
		{
			"too many outputs", func(j *Job) { j.Tasks[0].Outputs = make([]string, outputsMax+1) },
			`task "web": outputs: has 33 entries, more than 32`,
		},
		{
			"too many exit codes", func(j *Job) { j.Tasks[0].SuccessExitCodes = make([]int, codesMax+1) },
			`task "web": success_exit_codes: has 65 entries, more than 64`,
		},
		{
			"safety", func(j *Job) {
				j.Tasks[0].Safety = &Safety{SideEffects: "some", IdempotencyKey: "\x00"}
				j.Recovery.OnPartition = Keep
			},
			`task "web": safety.idempotency_key: has a NUL byte in it` + "\n" +
				`task "web": safety.side_effects: has unsupported value "some"; supported: "none", "external", "write", "unsafe"`,
		},
		{"safe", func(j *Job) { j.Tasks[0].Safety = &Safety{SafeToRetry: &yes, SideEffects: EffectsNone} }, ""},
		{
			"unsafe, and eager by default", func(j *Job) { j.Tasks[1].Safety = &Safety{SideEffects: EffectsWrite} },
			`recovery.on_partition: task "side" is marked unsafe (side_effects = "write"), and "eager" may start it a second time: want "keep"`,
		},
		{
			"unsafe, and majority", func(j *Job) { j.Tasks[1].Safety, j.Recovery.OnPartition = &Safety{Unsafe: true}, Majority },
			`recovery.on_partition: task "side" is marked unsafe (unsafe = true), and "majority" may start it a second time: want "keep"`,
		},
		{"unsafe, and keep", func(j *Job) { j.Tasks[1].Safety, j.Recovery.OnPartition = &Safety{Unsafe: true}, Keep }, ""},
		{"unsafe, in a mode of keep", func(j *Job) { j.Tasks[1].Safety, j.Recovery.Mode = &Safety{Unsafe: true}, LocalRestart }, ""},
		{"memory", func(j *Job) { j.Tasks[0].Resources.Memory = MiB }, `task "web": resources.memory: 1 MiB is less than the 4 MiB minimum`},
		{
			"negative", func(j *Job) { j.Tasks[0].Resources = Resources{-Core, -1, -2} },
			`task "web": resources.cpu: must not be negative, as -1 is` + "\n" +
				`task "web": resources.disk: must not be negative, as -2 B is` + "\n" +
				`task "web": resources.memory: must not be negative, as -1 B is`,
		},
		{"absurd", func(j *Job) { j.Tasks[0].Resources.Disk = 1 << 60 }, `task "web": resources: is more than any machine has`},
		{"too long", func(j *Job) { j.Tasks = manyArgs(j.Tasks[0]) }, "the job is 300.4 KiB long, more than 256 KiB; keep big data in files"},
		{"text that is too long", func(j *Job) { j.Meta = map[string]string{"a": strings.Repeat("x", textMax+1)} }, "meta.a: is 65537 bytes long, more than 65536"},
	})
}

// spoiled is a job with something wrong in it.
type spoiled struct {
	name  string
	spoil func(*Job)
	want  string // all faults, in order
}

func checkFaults(t *testing.T, tests []spoiled) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := good()
			tt.spoil(j)
			var got []string
			for _, f := range j.Validate() {
				got = append(got, f.Error())
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

// manyArgs is tasks that are each within bounds, and 300 KiB together.
func manyArgs(t Task) []Task {
	var tasks []Task
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		t.Name, t.Group, t.Command = name, name, []string{"run", strings.Repeat("x", 60<<10)}
		tasks = append(tasks, t)
	}
	return tasks
}

func TestFaultsLeadToTheirKeys(t *testing.T) {
	j := good()
	j.Tasks[1].Resources.Memory = 1
	j.Restart = &RestartPolicy{MaxDelay: -1}
	var got []string
	for _, f := range j.Validate() {
		got = append(got, strings.Join(f.Path, "/"))
	}
	if want := []string{"restart/max_delay", "task/1/resources/memory"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The patterns that editors get say of names what ValidName says.
func TestNamesMatchTheirPattern(t *testing.T) {
	for _, s := range []string{
		"", "a", "a b", "-a", "a-b_c.d", "é", "9", "a\n", strings.Repeat("a", 63), strings.Repeat("a", 64),
	} {
		if got, want := regexp.MustCompile(namePattern).MatchString(s), ValidName(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

func TestTooManyTasksAreOneFault(t *testing.T) {
	j := good()
	j.Tasks = make([]Task, TasksMax+1)
	if f := j.Validate(); len(f) != 1 || f[0].Error() != "task: has 101 tasks, more than 100" {
		t.Errorf("got %v", f)
	}
}

// TestDefaultsAreValid, change nothing that is set, and are complete.
func TestDefaultsAreValid(t *testing.T) {
	j := good()
	j.Tasks[0].Group = ""
	j.Defaults()
	first, again := HashJob(j, false), *j
	again.Defaults()
	if f := j.Validate(); len(f) > 0 || HashJob(&again, false) != first {
		t.Errorf("faults %v", f)
	}
	want := Task{Name: "web", Group: "web", Count: 1, Driver: "exec", KillGrace: Duration(5 * time.Second)}
	got := j.Tasks[0]
	if got.Group != want.Group || got.Count != want.Count || got.Driver != want.Driver || got.KillGrace != want.KillGrace {
		t.Errorf("got %+v", got)
	}
	if (&Job{}).Type.Long() || j.Type != Service || j.Priority != 50 || j.Strategy != Binpack {
		t.Errorf("got %+v", j)
	}
}
