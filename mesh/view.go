package mesh

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// View is one node's picture of the mesh at one instant. Everything in it is
// sorted, so that the same picture gives the same plan on every node. Whoever
// gets a View must not change it.
type View struct {
	Now    time.Time
	Self   NodeID
	Nodes  []NodeView  // every node that was let in and not forgotten, by id
	Jobs   []JobView   // by name
	Allocs []AllocView // by job, group, index, generation, id
	// Queue is the jobs of which copies wait for room, those first that come first.
	Queue []QueueView
	// Outcomes are what has become of the jobs that others come after.
	Outcomes map[JobID]JobStatus
	// Runs are those of jobs with a schedule or trigger, by name. A view for one job has its own.
	Runs map[JobID][]RunView
	// Failing are services of which gossip says that they fail, with when it was said: their records
	// may say so later.
	Failing map[ServiceKey]time.Time
	// Permits are those that copies have under shared limits, by key and copy. A view for
	// one job needs only those of its limit, and those that its copies have.
	Permits []Permit
	// Offers are services that jobs need, as copies offer them: by job, group, index, copy and
	// task. A view for one job has those that it and what waits for room needs.
	Offers []Offer
	// Forgotten are the nodes that a person said are off for good, by id. Of any other
	// that has copies and is not among Nodes, the record is on its way here.
	Forgotten []NodeID
}

// Forgot says whether a person said of a node that it is off for good.
func (v *View) Forgot(id NodeID) bool {
	_, found := slices.BinarySearch(v.Forgotten, id)
	return found
}

// NodeView is a node of the mesh as seen from here.
type NodeView struct {
	Node                     // Name and ID are set even if the node's own record is not here yet
	Known      bool          // the node's own record is here
	AdmittedAt time.Time     // when the mesh let it in
	Liveness   Liveness      // from gossip
	LostFor    time.Duration // for Lost, Left and Unseen: how long it has been so, as far as we know
	// Unread says of a node that is Alive that we have not compared data with it
	// since it came into sight, or that we cannot take what it writes, for its clock
	// is too far ahead: what we know of its copies may be of another boot.
	Unread   bool
	GivenUp  bool           // people do not want its copies' jobs to give it time to come back
	Evicted  bool           // it is out for good; what runs there stops when it hears of it
	Voter    bool           // it has a say in who decides
	Eligible bool           // new work may be placed on it, liveness aside
	Admin    Administration // what people want of it; zero: nothing in particular
	Used     Usage          // by allocations that want to run, or still run, on it
	Holds    Holding
}

// Holding counts the copies on a node that have not ended.
type Holding struct {
	Free  int // may be elsewhere
	Bound int // of jobs with a copy on each node
}

// Drained says whether a node that is to be drained has nothing left that has to go.
func (n *NodeView) Drained() bool {
	return n.Admin.Mode == Draining && n.Holds.Free == 0 && (n.Holds.Bound == 0 || !n.Admin.System)
}

// JobView is a job with its current version.
type JobView struct {
	JobVersion
	Conflicts []JobVersion // concurrent versions that lost to this one
	// Line is the versions that this one came from, its parent first, back to those
	// of its Since and Anew; shorter as long as the record of one is not here.
	Line []Ancestor
	Tags []Tag // that people have given to its versions, by name
	// Deployment is that of the content that the current version has, as it is recorded or as it begins,
	// and Steering what people want of it; nil for a job without an update policy, and for none.
	Deployment *Deployment
	Steering   *Steering
	// Before is the last version that was deployed before that content, nil if there is none; Torn says
	// that the record of a version is not here which may tell. Veiled are versions between the two of
	// which copies are not shown.
	Before *JobVersion
	Torn   bool
	Veiled []Veil
	// Due is how far it is gone through when the job is due; nil for not at all.
	Due *Due
	// Scheduled is since when the job has the schedule that it has, and was not stopped.
	Scheduled time.Time
}

// ID is the job's id.
func (j *JobView) ID() JobID { return JobID(j.Job.Name) }

// AllocView is an effective decision with what its node says about it.
type AllocView struct {
	Alloc
	Degraded bool
	Status   *Status  // of Alloc.Node; nil as long as it has not reported
	Verdict  *Verdict // what a person said about it last; nil if nobody has
	// Placed is the job as of the version that a copy was placed for, by which its node
	// goes; nil if that is not here, or the copy has ended.
	Placed *Job
	// Standing is what the copy is to its job's deployment; Primary if unset.
	Standing Standing
	// Unrenewed is how long nobody can have put off the copy's dead-man's switch;
	// it matters for majority jobs only, and zero delays their replacement.
	Unrenewed time.Duration
}

// State is the actual state as far as it is known.
func (a *AllocView) State() AllocState {
	if a.Status == nil {
		return Pending
	}
	return a.Status.State
}

// Role is the effective Standing.
func (a *AllocView) Role() Standing { return cmp.Or(a.Standing, Primary) }

// Node is the node with that id, or nil.
func (v *View) Node(id NodeID) *NodeView {
	// Not slices.BinarySearchFunc, which copies an element for each look at it.
	i := sort.Search(len(v.Nodes), func(i int) bool { return v.Nodes[i].ID >= id })
	if i == len(v.Nodes) || v.Nodes[i].ID != id {
		return nil
	}
	return &v.Nodes[i]
}

// Job is the job with that id, or nil.
func (v *View) Job(id JobID) *JobView {
	for i := range v.Jobs {
		if v.Jobs[i].ID() == id {
			return &v.Jobs[i]
		}
	}
	return nil
}

// AllocsOf are the allocations of one job.
func (v *View) AllocsOf(id JobID) []AllocView {
	from := sort.Search(len(v.Allocs), func(i int) bool { return v.Allocs[i].Job >= id })
	to := from
	for to < len(v.Allocs) && v.Allocs[to].Job == id {
		to++
	}
	return v.Allocs[from:to]
}
