package mesh

import "maps"

// What texts of the job file may be, where they are words of ours.
var (
	jobTypes       = []JobType{Service, Batch, System, SysBatch}
	strategies     = []Strategy{Binpack, Spread}
	recoveryModes  = []RecoveryMode{Auto, ClusterRecover, LocalRestart, ManualRecover}
	partitions     = []OnPartition{Eager, Majority, Keep}
	choices        = []Choice{KeepOriginal, BestScore, KeepReplacement, LongestRunning, KeepFurthest}
	restartModes   = []RestartMode{RestartFail, RestartDelay}
	delayFunctions = []DelayFunction{Constant, Exponential, Fibonacci}
	lifecycles     = []Lifecycle{Prestart, Sidecar, Poststop}
	afterRules     = []AfterRule{AllSuccess, AllDone, OneSuccess, OneDone, OneFailed, NoneFailed, QuorumSuccess}
	sideEffects    = []SideEffects{EffectsNone, EffectsExternal, EffectsWrite, EffectsUnsafe}
	drivers        = []string{DefaultDriver, ContainerDriver}
	volumeTypes    = []VolumeType{VolumeHost}
	volumeModes    = []VolumeMode{ReadOnly, ReadWrite}
	unpacks        = []Unpack{UnpackAuto, UnpackNone}
	pullPolicies   = []PullPolicy{PullMissing, PullAlways, PullNever}
	networks       = []Network{NetworkBridge, NetworkHost, NetworkNone}
	stopSignals    = []string{"SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"}
	overlaps       = []Overlap{OverlapForbid, OverlapAllow, OverlapQueue, OverlapReplace}
	misseds        = []Missed{MissedSkip, CatchUpOne, CatchUpAll}
	windowEnds     = []WindowEnd{WindowCancels, WindowLeaves}
	parameterRules = []ParameterRule{ParameterOptional, ParameterRequired, ParameterForbidden}
	isolations     = []Isolation{IsolateNone, IsolateCgroup, IsolateSandbox}
)

// Limit is what a value at a key of the job file may be, as far as that depends on
// nothing else in the file. It is told to editors; [Job.Validate] knows more.
type Limit struct {
	OneOf       []string // of a text: nothing else
	Pattern     string   // of a text: the regular expression that it matches
	Keys        string   // of a table with keys of its own: what each of them matches
	Least, Most int      // of a number; of a list or table, the number of its entries
}

// Patterns that say what [ValidName] and the checks of a task's user, directory and
// environment say.
const (
	namePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`
	userPattern = `^([A-Za-z0-9_.][A-Za-z0-9_.-]{0,31})?$`
	dirPattern  = `^/`
	sumPattern  = `^(none|sha256:[0-9a-f]{64})$`
	gitPattern  = `^([0-9a-f]{40}|[0-9a-f]{64})$`
	envPattern  = `^[A-Za-z_][A-Za-z0-9_]{0,254}$`
)

// Limits are the limits of the job file's keys, by their paths: task.restart.mode.
// Those of the numbers in a list have its path with [] after it.
func Limits() map[string]Limit {
	all := map[string]Limit{
		"name":                  {Pattern: namePattern},
		"type":                  {OneOf: texts(jobTypes)},
		"strategy":              {OneOf: texts(strategies)},
		"priority":              {Least: 1, Most: priorityMax},
		"max_running":           {Least: 1, Most: CopiesMax},
		"limit.key":             {Pattern: namePattern},
		"limit.max":             {Least: 1, Most: CopiesMax},
		"meta":                  {Keys: namePattern, Most: metaMax},
		"pool":                  {Pattern: namePattern},
		"spread":                {Most: constraintsMax},
		"spread.target":         {Most: valuesMax},
		"spread.target.percent": {Least: 1, Most: percentMax},
		"recovery.mode":         {OneOf: texts(recoveryModes)},
		"recovery.on_partition": {OneOf: texts(partitions)},
		"recovery.reconcile":    {OneOf: texts(choices)},
		"update.max_parallel":   {Least: 1, Most: CopiesMax},
		"update.strategy":       {OneOf: texts(updateStrategies)},
		"update.order":          {OneOf: texts(updateOrders)},
		"update.health_check":   {OneOf: texts(healthChecks)},
		"update.canary":         {Most: CopiesMax},
		"after":                 {Most: TasksMax},
		"after_rule":            {OneOf: texts(afterRules)},
		"after_quorum":          {Least: 1, Most: TasksMax},
		"task":                  {Least: 1, Most: TasksMax},
	}
	maps.Copy(all, taskLimits())
	scheduleLimits(all)
	return all
}

// taskLimits are those of the keys of a task, and of the tables that jobs have, too (see [sharedLimits]).
func taskLimits() map[string]Limit {
	all := map[string]Limit{
		"task.name":                 {Pattern: namePattern},
		"task.group":                {Pattern: namePattern},
		"task.count":                {Least: 1, Most: CopiesMax},
		"task.lifecycle":            {OneOf: texts(lifecycles)},
		"task.after":                {Most: TasksMax},
		"task.after_rule":           {OneOf: texts(afterRules)},
		"task.after_quorum":         {Least: 1, Most: TasksMax},
		"task.driver":               {OneOf: drivers},
		"task.port":                 {Most: portsMax},
		"task.port.label":           {Pattern: namePattern},
		"task.port.port":            {Least: 1, Most: portMax},
		"task.port.protocol":        {OneOf: texts(protocols)},
		"task.device":               {Most: deviceRequestsMax},
		"task.device.kind":          {Pattern: namePattern},
		"task.device.count":         {Least: 1, Most: devicesMax},
		"task.device.capabilities":  {Most: devicesMax},
		"task.device.ids":           {Most: devicesMax},
		"task.idle.gpu_below":       {Least: 1, Most: percentMax},
		"task.idle.action":          {OneOf: texts(idleActions)},
		"task.isolation":            {OneOf: texts(isolations)},
		"task.container.image":      {Pattern: imagePattern},
		"task.container.pull":       {OneOf: texts(pullPolicies)},
		"task.container.network":    {OneOf: texts(networks)},
		"task.container.entrypoint": {Most: argsMax},
		"task.container.ports":      {Keys: namePattern, Most: portsMax},
		"task.container.ports[]":    {Least: 1, Most: portMax},
		"task.volume":               {Most: volumesMax},
		"task.volume.name":          {Pattern: namePattern},
		"task.volume.type":          {OneOf: texts(volumeTypes)},
		"task.volume.source":        {Pattern: dirPattern},
		"task.volume.target":        {Pattern: dirPattern},
		"task.volume.mode":          {OneOf: texts(volumeModes)},
		"task.command":              {Least: 1, Most: argsMax},
		"task.dir":                  {Pattern: dirPattern},
		"task.user":                 {Pattern: userPattern},
		"task.env":                  {Keys: envPattern, Most: envMax},
		"task.success_exit_codes":   {Most: codesMax},
		"task.success_exit_codes[]": {Most: codeMax},
		"task.checkpoint.copies":    {Least: 1, Most: checkpointCopiesMax},
		"task.safety.side_effects":  {OneOf: texts(sideEffects)},
		"task.outputs":              {Most: outputsMax},
		"task.artifact":             {Most: artifactsMax},
		"task.artifact.source":      {Pattern: `^(git::)?(https?|file)://`},
		"task.artifact.checksum":    {Pattern: sumPattern},
		"task.artifact.commit":      {Pattern: gitPattern},
		"task.artifact.unpack":      {OneOf: texts(unpacks)},
		"task.template":             {Most: templatesMax},
		"task.template.mode":        {Pattern: modePattern},
		"task.template.on_change":   {OneOf: texts(onChanges)},
		"task.template.signal":      {OneOf: stopSignals},
		"task.python.version":       {Pattern: pythonVersionPattern},
		"task.python.packages":      {Most: pythonPackagesMax},
	}
	all["task.stop_signal"], all["task.warn_signal"] = Limit{OneOf: stopSignals}, Limit{OneOf: stopSignals}
	for _, of := range []string{"memory", "api_version"} {
		all["task.device."+of+"_operator"] = Limit{OneOf: texts(deviceOperators)}
	}
	sharedLimits(all)
	serviceLimits(all)
	return all
}

// serviceLimits adds those of the services that jobs and tasks offer and need.
func serviceLimits(all map[string]Limit) {
	for _, service := range []string{"service", "task.service"} {
		check := service + ".check"
		all[service] = Limit{Most: servicesMax}
		all[service+".name"] = Limit{Pattern: namePattern}
		all[service+".tags"] = Limit{Most: tagsMax}
		all[service+".tags[]"] = Limit{Pattern: namePattern}
		all[service+".meta"] = Limit{Keys: namePattern, Most: metaMax}
		all[service+".check_restart.limit"] = Limit{Least: 1, Most: checkCountMax}
		all[check] = Limit{Most: checksMax}
		all[check+".name"] = Limit{Pattern: namePattern}
		all[check+".type"] = Limit{OneOf: texts(checkTypes)}
		all[check+".scheme"] = Limit{OneOf: checkSchemes}
		all[check+".method"] = Limit{OneOf: checkMethods}
		all[check+".path"] = Limit{Pattern: dirPattern}
		all[check+".headers"] = Limit{Most: headersMax}
		all[check+".expected_status"] = Limit{Most: statusesMax}
		all[check+".command"] = Limit{Least: 1, Most: argsMax}
		for _, of := range []string{"success_before_passing", "failures_before_warning", "failures_before_critical"} {
			all[check+"."+of] = Limit{Least: 1, Most: checkCountMax}
		}
	}
	for _, need := range []string{"requires_service", "task.requires_service"} {
		all[need] = Limit{Most: servicesMax}
		all[need+".name"] = Limit{Pattern: namePattern}
		all[need+".tags"] = Limit{Most: tagsMax}
		all[need+".tags[]"] = Limit{Pattern: namePattern}
	}
}

// sharedLimits adds those of the tables that both jobs and tasks have.
func sharedLimits(all map[string]Limit) {
	for _, level := range []string{"", "task."} {
		for _, kind := range []string{level + "constraint", level + "affinity"} {
			all[kind] = Limit{Most: constraintsMax}
			all[kind+".operator"] = Limit{OneOf: texts(operators)}
			all[kind+".values"] = Limit{Most: valuesMax}
		}
		all[level+"affinity.weight"] = Limit{Least: -weightMax, Most: weightMax}
	}
	for _, policy := range []string{"restart", "task.restart", "reschedule"} {
		all[policy+".attempts"] = Limit{Most: WindowMax}
		all[policy+".delay_function"] = Limit{OneOf: texts(delayFunctions)}
	}
	for _, policy := range []string{"restart", "task.restart"} {
		all[policy+".mode"] = Limit{OneOf: texts(restartModes)}
	}
}

// Unset are the keys of the job file whose value 0 would be no other than if they were not
// there, and what is so then: whoever writes 0 means something else.
func Unset() map[string]string {
	all := map[string]string{
		"priority":            "it is 50",
		"max_running":         "all copies may run at once",
		"recovery.lease":      "it is 15s",
		"recovery.stop_after": "a copy never stops for being cut off",
		"update.max_parallel": "it is 1",
		"after_quorum":        "the rule has none",

		"schedule.in":            "the job is not delayed",
		"schedule.catchup_limit": "it is 10",
		"schedule.missed_grace":  "it is 1m",
		"schedule.window":        "a run may go on for ever",
		"schedule.keep":          "it is 20",

		"task.after_quorum": "the rule has none",
		"task.count":        "there is one copy; mn job stop stops a job",
		"task.kill_grace":   "it is 5s",
		"task.warn_before":  "it is 10s with a warn_signal, and there is none without",

		"task.port.port":         "it is one that is free",
		"task.device.count":      "it is 1",
		"task.device.min_memory": "any will do",
		"task.device.memory":     "it has the device for itself",
		"task.device.share":      "it has the device for itself",
		"task.idle.gpu_below":    "it is 5",
		"task.idle.for":          "it is 1h",
		"task.checkpoint.every":  "it is saved when the task says so",
		"task.checkpoint.copies": "it is 2",

		"task.artifact.max_size":    "it is 4GiB",
		"task.artifact.timeout":     "it is 30m",
		"task.python.setup_timeout": "it is 15m",
	}
	for _, check := range []string{"service.check.", "task.service.check."} {
		all[check+"interval"], all[check+"timeout"] = "it is 10s", "it is 2s, or the interval if that is shorter"
		all[check+"success_before_passing"], all[check+"failures_before_critical"] = "it is 1", "it is 1"
		all[check+"failures_before_warning"] = "it is failures_before_critical"
	}
	for _, policy := range []string{"restart", "task.restart", "reschedule"} {
		for _, key := range []string{"interval", "delay", "max_delay"} {
			all[policy+"."+key] = "it is as for the job's type and mode"
		}
	}
	return all
}

func texts[T ~string](values []T) []string {
	var all []string
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}
