// Package api is the way to ask a peer for things: one typed definition that
// its server and its client share, as JSON over HTTP.
//
// Every endpoint stands once, in endpoints.go, with the types of its request
// and its reply; [NewServer] serves it and [Client] calls it, so the two cannot
// drift apart. Whatever is read can be watched: the server sends a new answer
// when something has changed, and nobody polls. An error travels as the
// [mesh.Fault] that it is, with its hints.
//
// The package decides nothing and opens no socket. A [Backend] (the daemon)
// does the work; most answers are computed here from its picture of the mesh.
// Whoever gives a listener to the server answers for who can reach it: the unix
// socket's permissions, loopback, or a peer's certificate.
package api

import (
	"context"
	"io"
	"time"

	"mn/crdt"
	"mn/mesh"
)

// Backend is what the server asks of the node that it runs on. Errors that are
// a [mesh.Fault] reach the caller as they are; others are internal.
type Backend interface {
	// Snapshot is this node's picture of the mesh now.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Changed returns a channel that is closed at the next change of what a
	// Snapshot shows. Take it before the Snapshot, so that none is missed.
	Changed() <-chan struct{}

	// Submit takes a job. It returns when the new version is durable here and,
	// if another peer is there, on one more.
	Submit(ctx context.Context, r RunRequest) (Submitted, error)
	// Act writes a version of the job by a verb that leaves its content as it is.
	Act(ctx context.Context, verb mesh.Verb, r ActRequest) (Submitted, error)
	// Scale writes a version of the job with another number of copies of a group.
	Scale(ctx context.Context, r ScaleRequest) (Submitted, error)
	// Tag gives a name to a version of the job, or takes it away.
	Tag(ctx context.Context, r TagRequest) (Tagged, error)
	// Plan says what Submit would lead to, and changes nothing.
	Plan(ctx context.Context, job mesh.Job) (Plan, error)
	// Why explains the placement of a job, node by node.
	Why(ctx context.Context, id mesh.JobID) (Why, error)
	// Lacks says which of some objects are not here.
	Lacks(ctx context.Context, objects []string) ([]string, error)
	// Keep keeps the objects that a reader gives, and says how many bytes they are.
	Keep(ctx context.Context, objects io.Reader) (int64, error)
	// KeptFiles are the files of what is kept, wherever that is.
	KeptFiles(ctx context.Context, k *mesh.Kept) ([]File, error)
	// Send writes the objects of what is kept, fetching what is not here.
	Send(ctx context.Context, k *mesh.Kept, w io.Writer) error
	// Queue says which jobs wait for room, in whose turn, and for what.
	Queue(ctx context.Context) ([]QueuedJob, error)
	// Explain says what follows when something of a job goes wrong.
	Explain(ctx context.Context, id mesh.JobID) (Explanation, error)
	// History is every version of a job, the oldest first.
	History(ctx context.Context, id mesh.JobID) ([]mesh.JobVersion, error)

	// Steer is what a person wants of a deployment, and Rollback makes a version of a job with the
	// content of one that was deployed before.
	Steer(ctx context.Context, r SteerRequest) (Steered, error)
	Rollback(ctx context.Context, r RollbackRequest) (Submitted, error)
	// Deployments are those that a job has had, as they are recorded, the oldest first.
	Deployments(ctx context.Context, job mesh.JobID) ([]mesh.Deployment, error)

	// Logs sends the lines of all tasks that the request names, wherever they
	// ran, until the end, or if it follows, until ctx is done or send fails.
	Logs(ctx context.Context, r LogsRequest, send func(LogLine) error) error
	// Files lists a folder of a copy, wherever it is.
	Files(ctx context.Context, r FilesRequest) (Listing, error)
	// SendFiles writes a file or a folder of a copy, wherever it is, as package runner/files
	// sends it. An error that comes before anything was written is the caller's to hear.
	SendFiles(ctx context.Context, r FilesRequest, w io.Writer) error
	// TakeFiles puts a file or a folder, as package runner/files sends it, into the folder of
	// a copy, wherever that is: all of it, or nothing.
	TakeFiles(ctx context.Context, r FilesRequest, from io.Reader) (mesh.Arrived, error)
	// Exec runs a command within a task, wherever that runs, and returns the conversation
	// with it: see runner.Joiner.
	Exec(ctx context.Context, r ExecRequest) (io.ReadWriteCloser, error)
	// Events sends what the nodes in sight have seen, merged by time, and if it
	// follows, what they see until ctx is done or send fails, in the order in which
	// it comes here. Of a request the node is an id. With r.Local it is what this
	// node has seen, with a line of [EventCaughtUp] between what it had and what is
	// new, and names are left out.
	Events(ctx context.Context, r EventsRequest, send func(EventLine) error) error

	// CreateToken makes a join token; its secret is in this one answer only.
	CreateToken(ctx context.Context, r TokenRequest) (NewToken, error)
	// Tokens are the join tokens of the mesh, without secrets.
	Tokens(ctx context.Context) ([]TokenStatus, error)
	// RevokeToken ends a token before its time.
	RevokeToken(ctx context.Context, id string) error

	// Evict has the mesh do without a node for good, and says on how many disks
	// that is by now. The request's node is an id.
	Evict(ctx context.Context, r EvictRequest) (copies int, err error)

	// Recover has this node decide alone, until others have learned from it, on a person's
	// word that the nodes that the request names are off for good.
	Recover(ctx context.Context, r RecoverRequest) (Vouched, error)

	// Administer says what people want of a node, and on how many disks that is by now.
	Administer(ctx context.Context, a mesh.Administration) (copies int, err error)
	// SetShare says how much of a node the mesh may have; Label gives it labels, and takes
	// some away. Both say on how many disks that is by now.
	SetShare(ctx context.Context, node mesh.NodeID, share mesh.Allowance) (copies int, err error)
	Label(ctx context.Context, node mesh.NodeID, set map[string]string, remove []string) (copies int, err error)
	// GiveUp has nobody give a node that is out of sight any time to come back.
	GiveUp(ctx context.Context, node mesh.NodeID, reason string) (copies int, err error)
	// Suppose is what would come of something that might happen, for each group of
	// nodes that are in sight of each other then. It changes nothing.
	Suppose(ctx context.Context, s Supposition) ([]Foreseen, error)

	// Judge is a person's word about a copy that waits for one, of which the verdict
	// has the copy, the word and the reason; it says on how many disks that is by now.
	Judge(ctx context.Context, v mesh.Verdict) (copies int, err error)

	// Firings are what was made of the times and events at which a job was due, the oldest first.
	Firings(ctx context.Context, id mesh.JobID) ([]Fired, error)
	// RunNow makes a run of a job of which only runs have copies.
	RunNow(ctx context.Context, r RunNowRequest) (RunMade, error)
	// Emit takes what somebody says has happened; of the answer, Triggers and Refused are left out.
	Emit(ctx context.Context, o mesh.Occurrence) (Emitted, error)
	// Occurrences are what has happened and is remembered, the oldest first.
	Occurrences(ctx context.Context) ([]mesh.Occurrence, error)

	// Version says what runs here.
	Version(ctx context.Context) (Version, error)
	// Digest is a short sum of the replicated state: equal on peers that have
	// exchanged everything.
	Digest(ctx context.Context) (Digest, error)
}

// Snapshot is one consistent picture of the mesh, as one node has it.
type Snapshot struct {
	View     *mesh.View
	Outlooks []Outlook // of View.Jobs, in the same order
}

// Outlook is what becomes of a job, and who decides about it.
type Outlook struct {
	Status      mesh.JobStatus
	Wanted      map[string]int           // how many copies it should have, by group
	Progress    map[string]GroupProgress // of work that has an end, by group
	Drain       []mesh.DrainStep         // what becomes of its copies on nodes that are to be drained
	Reviews     []mesh.Review            // which of its copies wait for a person
	Limited     int                      // how many of them wait for its shared limit
	Waits       []Wait                   // what of it is wanted, and does not run yet
	Wake        time.Duration            // until it is looked at again; 0 if only news calls for that
	Recovery    mesh.EffectiveRecovery   // what its mode comes to
	Text        string                   // why, if there is something to say
	Rollout     *mesh.Rollout            // what its deployment comes to; nil for one without an update policy
	Coordinator mesh.NodeID              // "" if nobody is known to hold the slot's lease
	Fence       crdt.Fence               // of that lease; epoch 0 if it is degraded
}

// GroupProgress is how far a group of a batch job has come.
type GroupProgress struct {
	Completed int    // copies
	Skipped   int    // copies: none will be, as its rule cannot come true
	Reason    string // why it is skipped
}

// Submitted is the answer to a change of a job.
type Submitted struct {
	ID       mesh.JobID `json:"id"`
	Version  uint64     `json:"version"`
	Hash     string     `json:"hash"`
	Changed  bool       `json:"changed"` // false: it was this version already
	Warnings []string   `json:"warnings"`
}

// Tagged is what came of a name for a version of a job.
type Tagged struct {
	ID       mesh.JobID `json:"id"`
	Tag      string     `json:"tag"`
	Version  uint64     `json:"version"` // that has it, or had it
	Hash     string     `json:"hash"`
	Before   uint64     `json:"before"`  // the version that had it before; 0 if none
	Changed  bool       `json:"changed"` // false: that version had it already
	Warnings []string   `json:"warnings"`
}

// Verdict says whether a job can run.
type Verdict string

// The verdicts.
const (
	RunnableNow   Verdict = "runnable_now"
	RunnableLater Verdict = "runnable_later" // it would fit if the mesh were empty, and had the services that it needs
	NotRunnable   Verdict = "not_runnable"
)

// Plan is what submitting a job would lead to.
type Plan struct {
	ID      mesh.JobID     `json:"id"`
	Version uint64         `json:"version"` // that it would get, or has
	Changed bool           `json:"changed"` // false: it is what was submitted last
	Verdict Verdict        `json:"verdict"`
	How     string         `json:"how"`  // how it takes the place of the version before; "" for all at once
	Next    string         `json:"next"` // what follows this first step of its deployment; "" if nothing does
	Keep    int            `json:"keep"` // copies that go on untouched
	Place   []PlannedPlace `json:"place"`
	Stop    []PlannedStop  `json:"stop"`
	Blocked []PlannedBlock `json:"blocked"` // copies that fit nowhere now
	Waiting []PlannedWait  `json:"waiting"` // copies that have to wait for something else
	Preempt []Ending       `json:"preempt"` // copies that would be stopped for those that fit nowhere
}

// PlannedWait is copies of a group that would wait for the same.
type PlannedWait struct {
	Group  string `json:"group"`
	Copies int    `json:"copies"`
	Reason string `json:"reason"`
}

// Wait is copies of a group that wait for the same.
type Wait struct {
	Group  string   `json:"group"`
	Copies int      `json:"copies"`
	For    WaitsFor `json:"for"`
	Reason string   `json:"reason"`
}

// WaitsFor is what has to happen before copies run.
type WaitsFor string

// What copies wait for.
const (
	WaitsForRoom   WaitsFor = "room"   // no node fits
	WaitsForPerson WaitsFor = "person" // see the reviews
	WaitsForOther  WaitsFor = "other"  // a time, a node, other copies, other jobs: the reason says it
)

// PlannedPlace is a copy that would start.
type PlannedPlace struct {
	Group  string      `json:"group"`
	Index  int         `json:"index"`
	Node   string      `json:"node"`
	NodeID mesh.NodeID `json:"node_id"`
	Reason string      `json:"reason"`
}

// PlannedStop is a copy that would be stopped.
type PlannedStop struct {
	ID     mesh.AllocID `json:"id"`
	Group  string       `json:"group"`
	Index  int          `json:"index"`
	Node   string       `json:"node"`
	NodeID mesh.NodeID  `json:"node_id"`
	Reason string       `json:"reason"`
}

// PlannedBlock is a group of which copies fit on no node now.
type PlannedBlock struct {
	Group  string    `json:"group"`
	Copies int       `json:"copies"`
	Nodes  []WhyNode `json:"nodes"`
	Gang   *WhyGang  `json:"gang,omitempty"` // of a gang: all its copies, of whichever groups
}

// Explanation is what follows when something of a job goes wrong, and how much of
// its policies is used up.
type Explanation struct {
	mesh.Forecast
	Version uint64      `json:"version"` // 0 for a job file
	Copies  []CopyCount `json:"copies"`
}

// CopyCount is how much of its policies a task of a copy has used up.
type CopyCount struct {
	ID       mesh.AllocID    `json:"id"`
	Task     string          `json:"task"`
	Group    string          `json:"group"`
	Index    int             `json:"index"`
	Node     string          `json:"node"`
	NodeID   mesh.NodeID     `json:"node_id"`
	Status   mesh.AllocState `json:"status"` // of the task
	Restarts Used            `json:"restarts"`
	Moves    Used            `json:"moves"`
	Next     string          `json:"next"`    // if it fails now, or since it has failed; "" if nothing follows
	NextAt   *time.Time      `json:"next_at"` // when that is, at the earliest, if it is sure to come
}

// Used is how many attempts a policy counts, of how many.
type Used struct {
	Used      int           `json:"used"`
	Allowed   int           `json:"allowed"`
	Unlimited bool          `json:"unlimited"`
	Interval  mesh.Duration `json:"interval"` // within which they count
}

// Why explains the placement of a job: what each node said to each group.
type Why struct {
	ID     mesh.JobID     `json:"id"`
	Status mesh.JobStatus `json:"status"`
	Text   string         `json:"text"`
	Groups []WhyGroup     `json:"groups"`
	Gang   *WhyGang       `json:"gang,omitempty"` // of a gang that fits nowhere
}

// WhyGang is what a gang lacks: a node that fits one more copy does not fit all of them.
type WhyGang struct {
	Copies int    `json:"copies"` // that are placed together or not at all
	Fit    int    `json:"fit"`    // that have room beside each other
	Group  string `json:"group"`  // of the first for which the others leave no room
	Index  int    `json:"index"`
	Reason string `json:"reason"` // what each node lacks for that one
}

// WhyGroup explains the placement of a group's copies.
type WhyGroup struct {
	Group     string         `json:"group"`
	Count     int            `json:"count"`
	Running   int            `json:"running"` // of these
	Strategy  mesh.Strategy  `json:"strategy"`
	Resources mesh.Resources `json:"resources"` // of one copy
	Nodes     []WhyNode      `json:"nodes"`     // the best first, refused ones last
}

// WhyNode is a node's part in a placement: a score, or the filter that refused.
type WhyNode struct {
	Node   string      `json:"node"`
	NodeID mesh.NodeID `json:"node_id"`
	Copies int         `json:"copies"` // of the group that are placed there now
	Fits   bool        `json:"fits"`   // one more copy would fit
	Score  float64     `json:"score"`
	Terms  []Term      `json:"terms"`  // of the score
	Filter string      `json:"filter"` // that refused, if it does not fit
	Reason string      `json:"reason"`
}

// Term is a named part of a score.
type Term struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// LogsRequest says which lines of which tasks.
type LogsRequest struct {
	Job    mesh.JobID   `json:"job"`
	Task   string       `json:"task,omitempty"`   // all tasks if empty
	Alloc  mesh.AllocID `json:"alloc,omitempty"`  // all copies if empty
	Tail   int          `json:"tail,omitempty"`   // the last lines of each task of a copy; 0 for none, -1 for all kept
	Since  time.Time    `json:"since,omitzero"`   // only lines that were begun then or later
	Times  bool         `json:"times,omitempty"`  // tell when each was
	Follow bool         `json:"follow,omitempty"` // go on with what is written, also by copies to come
	Local  bool         `json:"local,omitempty"`  // only copies on the node that is asked
	// Places asks for the place of each line, and where streams begin; From are those where a
	// reader that lost sight of the node goes on, as text: see [LogPlaces].
	Places bool   `json:"places,omitempty"`
	From   string `json:"from,omitempty"`
}

// LogLine is one line that a task wrote.
type LogLine struct {
	Alloc  mesh.AllocID `json:"alloc"`
	Task   string       `json:"task"`
	Index  int          `json:"index"`
	Node   string       `json:"node"`
	NodeID mesh.NodeID  `json:"node_id"`
	Stream string       `json:"stream"` // "stdout", "stderr"; "mn" for a notice about the log itself
	Line   string       `json:"line"`   // without its newline
	// At is when the line was begun, to a second, by its node's clock, if that was asked for and is known.
	At time.Time `json:"at,omitzero"`
	// Place is where the stream goes on behind the line, if places were asked for. With Begins
	// it is where the stream begins to be read, and there is no line.
	Place  string `json:"place,omitempty"`
	Begins bool   `json:"begins,omitempty"`
}

// TokenRequest asks for a join token.
type TokenRequest struct {
	TTL  mesh.Duration `json:"ttl"`
	Uses int           `json:"uses"`
}

// Bounds and defaults of a join token.
const (
	DefaultTokenTTL  = time.Hour
	MaxTokenTTL      = 30 * 24 * time.Hour
	DefaultTokenUses = 1
	MaxTokenUses     = 1000
)

// NewToken is a join token with its secret.
type NewToken struct {
	ID        string    `json:"id"`
	Token     string    `json:"token"` // what `mn mesh join` wants
	Uses      int       `json:"uses"`
	ExpiresAt time.Time `json:"expires_at"`
}

// TokenStatus is a join token as everyone may see it.
type TokenStatus struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"` // valid, used, expired, revoked
	Uses      int       `json:"uses"`
	Used      int       `json:"used"`
	ExpiresAt time.Time `json:"expires_at"`
	CreatedAt time.Time `json:"created_at"`
}

// Version says what runs on a node.
type Version struct {
	Release   string      `json:"release"`
	Go        string      `json:"go"`
	Platform  string      `json:"platform"` // os/arch
	Node      string      `json:"node"`
	NodeID    mesh.NodeID `json:"node_id"`
	Mesh      string      `json:"mesh"` // its id
	StartedAt time.Time   `json:"started_at"`
}

// Digest is a short sum of one node's replicated state.
type Digest struct {
	Node    string      `json:"node"`
	NodeID  mesh.NodeID `json:"node_id"`
	Digest  string      `json:"digest"`
	Entries int         `json:"entries"`
	Waiting []string    `json:"waiting"` // what was refused or kept aside, and why
}
