package core

import (
	"time"

	"mn/mesh"
	"mn/runner"
)

// Now is one instant on the boot clock and on the wall clock.
type Now = runner.Now

// Event is what can happen to a node. The set is closed.
type Event interface{ event() }

// Tick says that time has passed; Step looks at what is due.
type Tick struct{}

// Received is a message from an authenticated peer.
type Received struct {
	From mesh.NodeID
	Msg  Message
}

// Seen is gossip's opinion of a peer: a hint about who is alive.
type Seen struct {
	Node     mesh.NodeID
	Liveness mesh.Liveness // Alive, Lost or Left
}

// Abstained is what a peer says of itself by gossip: that it cannot lead, or can
// again.
type Abstained struct {
	Node     mesh.NodeID
	Abstains bool
}

// Observed is what the driver saw of a task.
type Observed struct{ runner.Observation }

// Asked is a call of the API that changes something. The answer comes as a
// Reply with the same ID.
type Asked struct {
	ID   uint64
	Call Call
}

// Inventory is what was found on this machine, whenever that changes.
type Inventory struct {
	Devices []mesh.Device // by id
	// Drivers are those for tasks, and Engine what runs containers; nil: as they were.
	Drivers  []string
	Engine   *mesh.Engine
	Programs []string    // as in the node's record
	Closed   string      // as of [mesh.Node]
	Foreign  []mesh.Port // on which programs listen that are not of the mesh, sorted
}

// Worked says how much of the last moment the devices of this machine were at work; it comes
// again and again.
type Worked struct{ runner.Load }

// Hinted is what gossip says of services: which of them fail, and which pass, by the clock of their node.
type Hinted struct {
	At         time.Time
	Fail, Pass []mesh.ServiceKey
}

// Checked is what the services of a task here have come to.
type Checked struct {
	Alloc mesh.AllocID
	runner.Checked
}

// Appeared is a file on this machine that a job's trigger is about, and that nobody writes to.
type Appeared struct {
	Path    string
	Size    int64
	Changed time.Time // its content
	At      time.Time // when it came to be there, as far as that is known
}

func (Appeared) event()  {}
func (Tick) event()      {}
func (Checked) event()   {}
func (Hinted) event()    {}
func (Inventory) event() {}
func (Worked) event()    {}
func (Received) event()  {}
func (Seen) event()      {}
func (Abstained) event() {}
func (Observed) event()  {}
func (Asked) event()     {}

// Call is what people ask a node to change. The set is closed.
type Call interface{ call() }

// Submit makes a version of a job that runs with this content. The answer is
// [Submitted].
type Submit struct {
	Job    *mesh.Job
	Verb   mesh.Verb // VerbRun if unset
	Reason string    // for people
	Expect *uint64   // refuse unless this is the current version
	Force  bool      // it begins though services may be missing that it requires
}

// Act makes a version of a job by a verb that leaves the content as it is. The
// answer is [Submitted].
type Act struct {
	Job    mesh.JobID
	Verb   mesh.Verb
	All    bool    // of a retry: also what has completed
	Reason string  // for people
	Expect *uint64 // refuse unless this is the current version
}

// Scale makes a version of a job with another number of copies of a group. The
// answer is [Submitted].
type Scale struct {
	Job    mesh.JobID
	Group  string // or a task in it; may be left out if there is only one
	Count  int
	Reason string  // for people
	Expect *uint64 // refuse unless this is the current version
}

// Submitted says what came of a Submit, an Act or a Scale.
type Submitted struct {
	Version   mesh.JobVersion
	Unchanged bool // the job was already like that; no version was made
	Copies    int  // how many nodes hold the write on disk, this one included
}

// Tag gives a name to a version of a job, or takes it away. The answer is [Tagged].
type Tag struct {
	Job     mesh.JobID
	Name    string
	Version string // see [mesh.FindVersion]; not needed to remove it
	Remove  bool
}

// Tagged says what came of a Tag.
type Tagged struct {
	Tag       mesh.Tag
	Before    uint64 // the version that had the name before; 0 if none
	Unchanged bool   // that version had the name already; nothing was written
	Copies    int    // how many nodes hold the write on disk, this one included
}

// PutToken makes a join token known, or revokes it. The answer is [Kept].
type PutToken struct{ Token mesh.Token }

// Kept says that a write is durable, and on how many nodes.
type Kept struct{ Copies int }

// Admit lets a node in that has proved a token. It is refused if the token is
// not good for it, or the name is taken. The answer is [Kept].
type Admit struct {
	Member mesh.Member
	Secret []byte // SHA-256 of the token's secret
}

// Evict has the mesh do without a node for good. The answer is [Kept].
type Evict struct {
	Node   mesh.NodeID
	Reason string
	Off    bool // a person vouches that it never runs anything again: see [mesh.Evicted]
}

// Vouch has this node decide without the other voters: a person says that so many of them
// are off for good that no majority is left. The answer is [Vouched].
type Vouch struct {
	Off    []string // names or ids of those who will never run anything again, and are forgotten
	Reason string   // kept in the roster for good
	DryRun bool
}

// Vouched says who votes now, or would. Nodes are names here.
type Vouched struct {
	Before uint64   // epoch of the roster until now
	Was    []string // its voters
	Epoch  uint64   // of the new one; 0 if this was a dry run
	Voter  string   // this node
	Off    []string // who is forgotten
	Copies int      // how many nodes know that on their disks, this one included
}

// Administer says what people want of a node. The answer is [Kept].
type Administer struct{ mesh.Administration }

// SetShare says how much of a node the mesh may have. What it leaves out stays as it is.
// The answer is [Kept].
type SetShare struct {
	Node  mesh.NodeID
	Share mesh.Allowance
}

// Label gives labels to a node, and takes some away. The answer is [Kept].
type Label struct {
	Node   mesh.NodeID
	Set    map[string]string
	Remove []string
}

// GiveUp has nobody give a node that is out of sight any time to come back. What the
// jobs promise holds all the same. The answer is [Kept].
type GiveUp struct {
	Node   mesh.NodeID
	Reason string
}

// Judge is a person's word about a copy that waits for it. The answer is [Kept].
type Judge struct {
	Alloc   mesh.AllocID
	Approve bool
	Reason  string
}

// Steer is what a person wants of the deployment of a job. The answer is [Steered].
type Steer struct {
	Job    mesh.JobID
	Verb   mesh.Steer
	Reason string  // for people
	Expect *uint64 // refuse unless it is the deployment of this version, or of one with its content
}

// Steered says what came of a Steer.
type Steered struct {
	Deployment mesh.Deployment // as it was
	Steering   mesh.Steering
	Unchanged  bool // it was so already; nothing was written
	Copies     int  // how many nodes hold the write on disk, this one included
}

// Rollback makes a version of a job with the content of an earlier one, and so another deployment. The
// answer is [Submitted].
type Rollback struct {
	Job     mesh.JobID
	Version string // see [mesh.FindVersion]; that which was deployed last, and is not the current one, if empty
	Reason  string
	Expect  *uint64 // refuse unless this is the current version
}

func (Steer) call()    {}
func (Rollback) call() {}

// Emit says that something has happened. What is said twice under one id has happened once. The
// answer is [Emitted].
type Emit struct {
	Occurrence mesh.Occurrence // By and At are filled in, and ID if there is none
}

// Emitted says what came of an Emit.
type Emitted struct {
	Occurrence mesh.Occurrence
	Unchanged  bool // it was known already; nothing was written
	Differs    bool // and with another payload or meta
	Copies     int  // how many nodes hold the write on disk, this one included
}

// RunNow makes a run of a job of which only runs have copies. The answer is [RunMade].
type RunNow struct {
	Job     mesh.JobID
	Payload []byte // JSON
	Meta    map[string]string
	ID      string // for those who may ask twice: of one ID there is one run; any if unset
	Reason  string // for people
}

// RunMade says what came of a RunNow.
type RunMade struct {
	Run       mesh.JobID
	Unchanged bool // there was such a run already; nothing was written
	Differs   bool // and it was handed something else
	Copies    int  // how many nodes hold the write on disk, this one included
}

func (Emit) call()       {}
func (RunNow) call()     {}
func (Judge) call()      {}
func (Share) call()      {}
func (Submit) call()     {}
func (Act) call()        {}
func (Scale) call()      {}
func (Tag) call()        {}
func (PutToken) call()   {}
func (Admit) call()      {}
func (Evict) call()      {}
func (Vouch) call()      {}
func (Administer) call() {}
func (GiveUp) call()     {}
func (SetShare) call()   {}
func (Label) call()      {}
