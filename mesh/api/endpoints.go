package api

import "mn/mesh"

// call is an endpoint that answers once, or as often as the answer changes.
type call[Req, Reply any] struct {
	method, path string
	doc          string
	watch        bool // the reply is computed from a Snapshot and can be watched
}

// stream is an endpoint that answers with items until there are no more.
type stream[Req, Item any] struct {
	path string
	doc  string
}

// The endpoints. Fields of a request are the path's wildcards and the query of
// a GET, and the JSON body of a POST.
var (
	callIndex   = call[none, []Endpoint]{"GET", "/v1", "list the endpoints", false}
	callVersion = call[none, Version]{"GET", "/v1/version", "say what runs here", false}
	callDigest  = call[none, Digest]{"GET", "/v1/debug/digest", "sum up the replicated state", false}

	callRun      = call[RunRequest, Submitted]{"POST", "/v1/jobs", "submit a job", false}
	callPlan     = call[jobBody, Plan]{"POST", "/v1/plan", "say what a submission would do", false}
	callValidate = call[jobBody, none]{"POST", "/v1/validate", "check a job", false}
	callStop     = call[ActRequest, Submitted]{"POST", "/v1/jobs/{job}/stop", "stop a job", false}
	callCancel   = call[ActRequest, Submitted]{"POST", "/v1/jobs/{job}/cancel", "give up a batch job", false}
	callPause    = call[ActRequest, Submitted]{"POST", "/v1/jobs/{job}/pause", "pause a job", false}
	callResume   = call[ActRequest, Submitted]{"POST", "/v1/jobs/{job}/resume", "go on with a paused job", false}
	callRetry    = call[ActRequest, Submitted]{"POST", "/v1/jobs/{job}/retry", "run again what failed", false}
	callScale    = call[ScaleRequest, Submitted]{
		"POST", "/v1/jobs/{job}/scale", "change how many copies a job has", false,
	}
	callRevert = call[RevertRequest, Submitted]{
		"POST", "/v1/jobs/{job}/revert", "go back to the content of a version", false,
	}
	callJobs    = call[none, []JobRow]{"GET", "/v1/jobs", "list the jobs", true}
	callJob     = call[jobRef, Job]{"GET", "/v1/jobs/{job}", "show a job", true}
	callHistory = call[jobRef, []JobVersion]{
		"GET", "/v1/jobs/{job}/history", "list the versions of a job", false,
	}
	callTag = call[TagRequest, Tagged]{
		"POST", "/v1/jobs/{job}/tags", "name a version of a job, or take its name away", false,
	}
	callResults = call[ResultsRequest, []Result]{
		"GET", "/v1/jobs/{job}/results", "list the outputs of a job that are kept", false,
	}
	callWhy     = call[jobRef, Why]{"GET", "/v1/jobs/{job}/why", "explain a placement", false}
	callExplain = call[jobRef, Explanation]{
		"GET", "/v1/jobs/{job}/explain", "say what follows a failure", false,
	}

	callWhatIf = call[WhatIfRequest, WhatIf]{
		"POST", "/v1/whatif", "say what would become of the copies if nodes were lost, drained or cut off", false,
	}

	callNodes   = call[none, []Node]{"GET", "/v1/nodes", "list the nodes", true}
	callNode    = call[nodeRef, NodeDetail]{"GET", "/v1/nodes/{node}", "show a node", true}
	callEvict   = call[EvictRequest, Evicted]{"POST", "/v1/nodes/{node}/evict", "evict a node for good", false}
	callRecover = call[RecoverRequest, Vouched]{
		"POST", "/v1/mesh/recover", "decide without most of the voters, which are off for good", false,
	}
	callDrain = call[nodeRef, Drain]{"GET", "/v1/nodes/{node}/drain", "say how far a drain has got", true}
	callAdmin = call[AdminRequest, Drain]{
		"POST", "/v1/nodes/{node}/administration", "say what people want of a node", false,
	}
	callShare = call[ShareRequest, Resources]{
		"POST", "/v1/nodes/{node}/share", "say how much of a node the mesh may have", false,
	}
	callLabel = call[LabelRequest, Node]{
		"POST", "/v1/nodes/{node}/labels", "give labels to a node, and take some away", false,
	}
	callReconcile = call[ReconcileRequest, Recovery]{
		"POST", "/v1/nodes/{node}/reconcile", "recover what ran on a node that is out of sight, at once", false,
	}
	callLimits    = call[none, []Limit]{"GET", "/v1/limits", "list the limits that jobs share", true}
	callResources = call[none, []Resources]{
		"GET", "/v1/resources", "list what nodes share out, and who has it", true,
	}
	callLacks = call[LacksRequest, []string]{
		"POST", "/v1/content/lacks", "say which files of a job are not here", false,
	}
	callQueue = call[none, []QueuedJob]{
		"GET", "/v1/queue", "list the jobs that wait for room, in whose turn, and for what", false,
	}
	callServices = call[ServicesRequest, []Service]{"GET", "/v1/services", "list what tasks offer", true}
	callResolve  = call[ServicesRequest, []Service]{
		"GET", "/v1/services/{service}", "say where a service is to be found", true,
	}
	callPreflight = call[jobBody, Preflight]{
		"POST", "/v1/services/check", "say whether there is what a job needs", false,
	}
	callReviews = call[none, []Review]{"GET", "/v1/reviews", "list what waits for a person", true}
	callJudge   = call[JudgeRequest, []Review]{
		"POST", "/v1/reviews", "decide about what waits for a person", false,
	}
	callAllocs = call[AllocsRequest, []Alloc]{"GET", "/v1/allocs", "list allocations", true}
	callAlloc  = call[allocRef, AllocDetail]{
		"GET", "/v1/allocs/{alloc}", "show an allocation", true,
	}

	callSchedules = call[none, []Schedule]{
		"GET", "/v1/schedules", "list the jobs that run at times, for events, or when somebody asks", true,
	}
	callSchedule = call[jobRef, ScheduleDetail]{"GET", "/v1/schedules/{job}", "show one, with its runs", true}
	callAudit    = call[jobRef, []Firing]{
		"GET", "/v1/schedules/{job}/audit", "list what was made of its times and events, and by whom", false,
	}
	callRunNow      = call[RunNowRequest, RunMade]{"POST", "/v1/schedules/{job}/run", "make a run now", false}
	callEmit        = call[EmitRequest, Emitted]{"POST", "/v1/occurrences", "say that something has happened", false}
	callOccurrences = call[none, []Occurrence]{"GET", "/v1/occurrences", "list what has happened", false}

	callFiles = call[FilesRequest, Listing]{
		"GET", "/v1/jobs/{job}/files", "list a folder of a copy", false,
	}

	callNewToken    = call[TokenRequest, NewToken]{"POST", "/v1/tokens", "make a join token", false}
	callTokens      = call[none, []TokenStatus]{"GET", "/v1/tokens", "list the join tokens", false}
	callRevokeToken = call[tokenRef, none]{
		"POST", "/v1/tokens/{id}/revoke", "revoke a join token", false,
	}

	streamLogs   = stream[LogsRequest, LogLine]{"/v1/jobs/{job}/logs", "read the logs of a job"}
	streamEvents = stream[EventsRequest, EventLine]{"/v1/events", "read what happened in the mesh, and follow it"}
)

// Endpoint describes an endpoint to people with curl.
type Endpoint struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Doc    string `json:"doc"`
	Watch  bool   `json:"watch"`  // ?watch=1 sends a new answer at every change
	Stream bool   `json:"stream"` // the answer is a stream of JSON lines
}

type (
	none    struct{}
	jobBody struct {
		Job mesh.Job `json:"job"`
	}
	jobRef struct {
		Job mesh.JobID `json:"job"`
	}
	nodeRef struct {
		Node string `json:"node"` // name, id, the first characters of the id, or address
	}
	allocRef struct {
		Alloc mesh.AllocID `json:"alloc"` // id or its first characters
	}
	tokenRef struct {
		ID string `json:"id"`
	}
)

// RunRequest is a job to run, as a new version if it is not what runs already.
type RunRequest struct {
	Job    mesh.Job `json:"job"`
	Reason string   `json:"reason,omitempty"`         // kept with the version, for people
	Expect *uint64  `json:"expect_version,omitempty"` // refuse unless this is the current version; 0: no job
	Force  bool     `json:"force,omitempty"`          // it begins though services may be missing that it requires

	// Verb is for the backend: VerbRun if unset.
	Verb mesh.Verb `json:"-"`
}

// ActRequest is a job to do something to that leaves its content as it is.
type ActRequest struct {
	Job    mesh.JobID `json:"job"`
	Reason string     `json:"reason,omitempty"`         // kept with the version, for people
	Expect *uint64    `json:"expect_version,omitempty"` // refuse unless this is the current version
	All    bool       `json:"all,omitempty"`            // of a retry: also what has completed
}

// RevertRequest is a job to go back to the content of one of its versions, which
// runs then as a new one.
type RevertRequest struct {
	Job     mesh.JobID `json:"job"`
	Version string     `json:"version"`                  // number, beginning of the hash, or tag
	Reason  string     `json:"reason,omitempty"`         // kept with the version, for people
	Expect  *uint64    `json:"expect_version,omitempty"` // refuse unless this is the current version
}

// ScaleRequest is how many copies of a group of a job there are to be. They go on
// where they were, also if the job is paused.
type ScaleRequest struct {
	Job    mesh.JobID `json:"job"`
	Group  string     `json:"group,omitempty"` // or a task in it; may be left out if there is only one
	Count  int        `json:"count"`
	Reason string     `json:"reason,omitempty"`         // kept with the version, for people
	Expect *uint64    `json:"expect_version,omitempty"` // refuse unless this is the current version
}

// TagRequest is a name for a version of a job, or one that no version is to have.
type TagRequest struct {
	Job     mesh.JobID `json:"job"`
	Tag     string     `json:"tag"`
	Version string     `json:"version,omitempty"` // number, beginning of the hash, another tag, or "current"
	Remove  bool       `json:"remove,omitempty"`  // needs no version
}

// EvictRequest says which node the mesh is to do without, and why.
type EvictRequest struct {
	Node   string `json:"node"` // name, id, the first characters of the id, or address
	Reason string `json:"reason,omitempty"`
	// Off vouches that it is off, and will never run anything again: it is forgotten, and
	// its copies are replaced, also of jobs that must never run twice.
	Off bool `json:"off,omitempty"`
}

// AdminRequest says what people want of a node.
type AdminRequest struct {
	Node     string         `json:"node"` // name, id, the first characters of the id, or address
	Mode     mesh.AdminMode `json:"mode"`
	Reason   string         `json:"reason,omitempty"`
	Deadline mesh.Duration  `json:"deadline,omitempty"` // draining: from now
	System   bool           `json:"system,omitempty"`   // draining: jobs with a copy on each node go too
	DryRun   bool           `json:"dry_run,omitempty"`  // draining: change nothing, and say what would happen
}

// ShareRequest says how much of a node the mesh may have, in percent. What is 0 stays as it is.
type ShareRequest struct {
	Node string `json:"node"` // name, id, the first characters of the id, or address
	mesh.Allowance
}

// LabelRequest says which labels a node is to have, and which not.
type LabelRequest struct {
	Node   string            `json:"node"` // name, id, the first characters of the id, or address
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// ReconcileRequest asks for the recovery of what ran on a node, without giving it time
// to come back.
type ReconcileRequest struct {
	Node   string `json:"node"` // name, id, the first characters of the id, or address
	Reason string `json:"reason,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"` // change nothing, and say what would happen
}

// AllocsRequest says which allocations. Empty fields select everything.
type AllocsRequest struct {
	Job  mesh.JobID `json:"job,omitempty"`
	Node string     `json:"node,omitempty"`
	All  bool       `json:"all,omitempty"` // those that are over and replaced, too
}
