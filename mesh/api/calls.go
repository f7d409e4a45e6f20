package api

import (
	"context"

	"mn/mesh"
)

// Run submits a job.
func (c *Client) Run(ctx context.Context, job mesh.Job) (Submitted, error) {
	return c.Submit(ctx, RunRequest{Job: job})
}

// Submit submits a job, with a reason and on conditions.
func (c *Client) Submit(ctx context.Context, r RunRequest) (Submitted, error) {
	return do(ctx, c, callRun, r)
}

// Revert has a job run with the content of one of its versions.
func (c *Client) Revert(ctx context.Context, r RevertRequest) (Submitted, error) {
	return do(ctx, c, callRevert, r)
}

// Scale changes how many copies of a group of a job there are to be.
func (c *Client) Scale(ctx context.Context, r ScaleRequest) (Submitted, error) {
	return do(ctx, c, callScale, r)
}

// Tag gives a name to a version of a job, or takes it away.
func (c *Client) Tag(ctx context.Context, r TagRequest) (Tagged, error) {
	return do(ctx, c, callTag, r)
}

// Plan says what submitting a job would lead to.
func (c *Client) Plan(ctx context.Context, job mesh.Job) (Plan, error) {
	return do(ctx, c, callPlan, jobBody{job})
}

// Validate has the peer check a job.
func (c *Client) Validate(ctx context.Context, job mesh.Job) error {
	_, err := do(ctx, c, callValidate, jobBody{job})
	return err
}

// Stop stops a job.
func (c *Client) Stop(ctx context.Context, id mesh.JobID) (Submitted, error) {
	return c.Act(ctx, mesh.VerbStop, ActRequest{Job: id})
}

// Act does to a job what a verb says that leaves its content as it is.
func (c *Client) Act(ctx context.Context, verb mesh.Verb, r ActRequest) (Submitted, error) {
	e, ok := acts[verb]
	if !ok {
		return Submitted{}, mesh.Faultf(mesh.Invalid, "%q is nothing that is done to a job", verb)
	}
	return do(ctx, c, e, r)
}

// acts are the endpoints of the verbs.
var acts = map[mesh.Verb]call[ActRequest, Submitted]{
	mesh.VerbStop: callStop, mesh.VerbCancel: callCancel, mesh.VerbPause: callPause,
	mesh.VerbResume: callResume, mesh.VerbRetry: callRetry,
}

// Jobs lists the jobs.
func (c *Client) Jobs(ctx context.Context) ([]JobRow, error) {
	return do(ctx, c, callJobs, none{})
}

// WatchJobs calls each with the list now and after every change.
func (c *Client) WatchJobs(ctx context.Context, each func([]JobRow) error) error {
	return watchCall(ctx, c, callJobs, none{}, each)
}

// Job is the state of a job.
func (c *Client) Job(ctx context.Context, id mesh.JobID) (Job, error) {
	return do(ctx, c, callJob, jobRef{id})
}

// WatchJob calls each with the state of a job now and after every change.
func (c *Client) WatchJob(ctx context.Context, id mesh.JobID, each func(Job) error) error {
	return watchCall(ctx, c, callJob, jobRef{id}, each)
}

// History lists the versions of a job, the oldest first.
func (c *Client) History(ctx context.Context, id mesh.JobID) ([]JobVersion, error) {
	return do(ctx, c, callHistory, jobRef{id})
}

// Why explains the placement of a job.
func (c *Client) Why(ctx context.Context, id mesh.JobID) (Why, error) {
	return do(ctx, c, callWhy, jobRef{id})
}

// Explain says what follows when something of a job goes wrong.
func (c *Client) Explain(ctx context.Context, id mesh.JobID) (Explanation, error) {
	return do(ctx, c, callExplain, jobRef{id})
}

// Nodes lists the nodes.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	return do(ctx, c, callNodes, none{})
}

// WatchNodes calls each with the list now and after every change.
func (c *Client) WatchNodes(ctx context.Context, each func([]Node) error) error {
	return watchCall(ctx, c, callNodes, none{}, each)
}

// Node is the state of the node with that name or id.
func (c *Client) Node(ctx context.Context, ref string) (NodeDetail, error) {
	return do(ctx, c, callNode, nodeRef{ref})
}

// WatchNode calls each with the state of a node now and after every change.
func (c *Client) WatchNode(ctx context.Context, ref string, each func(NodeDetail) error) error {
	return watchCall(ctx, c, callNode, nodeRef{ref}, each)
}

// Administer says what people want of a node from now on.
func (c *Client) Administer(ctx context.Context, r AdminRequest) (Drain, error) {
	return do(ctx, c, callAdmin, r)
}

// SetShare says how much of a node the mesh may have.
func (c *Client) SetShare(ctx context.Context, r ShareRequest) (Resources, error) {
	return do(ctx, c, callShare, r)
}

// Label gives labels to a node, and takes some away.
func (c *Client) Label(ctx context.Context, r LabelRequest) (Node, error) {
	return do(ctx, c, callLabel, r)
}

// Drain says how far the drain of a node has got.
func (c *Client) Drain(ctx context.Context, node string) (Drain, error) {
	return do(ctx, c, callDrain, nodeRef{node})
}

// WatchDrain is Drain now and whenever it changes.
func (c *Client) WatchDrain(ctx context.Context, node string, each func(Drain) error) error {
	return watchCall(ctx, c, callDrain, nodeRef{node}, each)
}

// Reconcile has what ran on a node recovered, and says what becomes of it.
func (c *Client) Reconcile(ctx context.Context, r ReconcileRequest) (Recovery, error) {
	return do(ctx, c, callReconcile, r)
}

// WhatIf says what would become of the copies, were something to happen.
func (c *Client) WhatIf(ctx context.Context, r WhatIfRequest) (WhatIf, error) {
	return do(ctx, c, callWhatIf, r)
}

// Queue lists the jobs that wait for room, in whose turn, and for what.
func (c *Client) Queue(ctx context.Context) ([]QueuedJob, error) {
	return do(ctx, c, callQueue, none{})
}

// Resources lists what nodes share out, and who has it.
func (c *Client) Resources(ctx context.Context) ([]Resources, error) {
	return do(ctx, c, callResources, none{})
}

// WatchResources is Resources now and whenever they change.
func (c *Client) WatchResources(ctx context.Context, each func([]Resources) error) error {
	return watchCall(ctx, c, callResources, none{}, each)
}

// Limits lists the limits that jobs share, and who has what of them.
func (c *Client) Limits(ctx context.Context) ([]Limit, error) { return do(ctx, c, callLimits, none{}) }

// WatchLimits is Limits now and whenever they change.
func (c *Client) WatchLimits(ctx context.Context, each func([]Limit) error) error {
	return watchCall(ctx, c, callLimits, none{}, each)
}

// Services lists what tasks offer.
func (c *Client) Services(ctx context.Context, r ServicesRequest) ([]Service, error) {
	return do(ctx, c, callServices, r)
}

// WatchServices is Services now and whenever they change.
func (c *Client) WatchServices(ctx context.Context, r ServicesRequest, each func([]Service) error) error {
	return watchCall(ctx, c, callServices, r, each)
}

// Resolve says where a service is to be found: at least one place, or why there is none.
func (c *Client) Resolve(ctx context.Context, r ServicesRequest) ([]Service, error) {
	return do(ctx, c, callResolve, r)
}

// Preflight says whether there is what a job needs.
func (c *Client) Preflight(ctx context.Context, job mesh.Job) (Preflight, error) {
	return do(ctx, c, callPreflight, jobBody{job})
}

// Reviews lists what waits for a person.
func (c *Client) Reviews(ctx context.Context) ([]Review, error) {
	return do(ctx, c, callReviews, none{})
}

// WatchReviews is Reviews now and whenever it changes.
func (c *Client) WatchReviews(ctx context.Context, each func([]Review) error) error {
	return watchCall(ctx, c, callReviews, none{}, each)
}

// Judge is a person's word, and returns what it was about.
func (c *Client) Judge(ctx context.Context, r JudgeRequest) ([]Review, error) {
	return do(ctx, c, callJudge, r)
}

// Evict has the mesh do without a node for good.
func (c *Client) Evict(ctx context.Context, r EvictRequest) (Evicted, error) {
	return do(ctx, c, callEvict, r)
}

// Recover has a node decide without the others, on a person's word that most are off.
func (c *Client) Recover(ctx context.Context, r RecoverRequest) (Vouched, error) {
	return do(ctx, c, callRecover, r)
}

// Allocs lists allocations.
func (c *Client) Allocs(ctx context.Context, r AllocsRequest) ([]Alloc, error) {
	return do(ctx, c, callAllocs, r)
}

// WatchAllocs calls each with the list now and after every change.
func (c *Client) WatchAllocs(ctx context.Context, r AllocsRequest, each func([]Alloc) error) error {
	return watchCall(ctx, c, callAllocs, r, each)
}

// Alloc is the state of the allocation whose id begins so.
func (c *Client) Alloc(ctx context.Context, ref mesh.AllocID) (AllocDetail, error) {
	return do(ctx, c, callAlloc, allocRef{ref})
}

// WatchAlloc calls each with the state of an allocation now and after every
// change.
func (c *Client) WatchAlloc(ctx context.Context, ref mesh.AllocID, each func(AllocDetail) error) error {
	return watchCall(ctx, c, callAlloc, allocRef{ref}, each)
}

// Logs calls each with the lines that r asks for.
func (c *Client) Logs(ctx context.Context, r LogsRequest, each func(LogLine) error) error {
	return read(ctx, c, streamLogs, r, each)
}

// Events calls each with the events that r asks for, and notices between them.
func (c *Client) Events(ctx context.Context, r EventsRequest, each func(EventLine) error) error {
	return read(ctx, c, streamEvents, r, each)
}

// CreateToken makes a join token.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (NewToken, error) {
	return do(ctx, c, callNewToken, r)
}

// Tokens lists the join tokens.
func (c *Client) Tokens(ctx context.Context) ([]TokenStatus, error) {
	return do(ctx, c, callTokens, none{})
}

// RevokeToken ends a join token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := do(ctx, c, callRevokeToken, tokenRef{id})
	return err
}

// Version says what runs on the peer.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return do(ctx, c, callVersion, none{})
}

// Digest sums up the peer's replicated state.
func (c *Client) Digest(ctx context.Context) (Digest, error) {
	return do(ctx, c, callDigest, none{})
}

// Endpoints lists what the peer serves.
func (c *Client) Endpoints(ctx context.Context) ([]Endpoint, error) {
	return do(ctx, c, callIndex, none{})
}
