package mesh

import (
	"time"

	"mn/crdt"
)

// Event is one thing that happened or was decided, with its cause. The daemon
// logs it, the API streams it, the simulator's trace consists of it.
type Event struct {
	At    time.Time  `json:"at"`
	Node  NodeID     `json:"node"` // that saw or decided it
	Kind  EventKind  `json:"kind"`
	Job   JobID      `json:"job,omitempty"`
	Alloc AllocID    `json:"alloc,omitempty"`
	Peer  NodeID     `json:"peer,omitempty"` // the node it is about
	Fence crdt.Fence `json:"fence,omitzero"`
	Text  string     `json:"text"` // what and why, in words
}

// EventKind names a kind of event: subject_verb.
type EventKind string

// The kinds of events.
const (
	NodeJoined   EventKind = "node_joined"
	NodeLost     EventKind = "node_lost"
	NodeLeft     EventKind = "node_left"
	NodeAdmitted EventKind = "node_admitted"
	NodeEvicted  EventKind = "node_evicted"
	// NodeForgotten: a person has vouched that the node is off for good.
	NodeForgotten EventKind = "node_forgotten"
	// What people want of a node, and that a drain has come to its end.
	NodeMaintenanceEnabled  EventKind = "node_maintenance_enabled"
	NodeMaintenanceDisabled EventKind = "node_maintenance_disabled"
	NodeDrainStarted        EventKind = "node_drain_started"
	NodeDrainCancelled      EventKind = "node_drain_cancelled"
	NodeDrainProgress       EventKind = "node_drain_progress" // fewer copies are left
	NodeDrainBlocked        EventKind = "node_drain_blocked"  // no other node has room for a copy
	NodeDrainPaused         EventKind = "node_drain_paused"   // a copy waits for a person
	NodeDrainCompleted      EventKind = "node_drain_completed"
	// NodeGivenUp: people do not want it to be given time to come back.
	NodeGivenUp EventKind = "node_given_up"
	// People have said how much of a node the mesh may have, or what its labels are.
	NodeShared   EventKind = "node_shared"
	NodeLabelled EventKind = "node_labelled"
	// NodeOut: the node has learned that it is no longer part of the mesh.
	NodeOut      EventKind = "node_out"
	ClockRefused EventKind = "clock_refused"
	// ClockCompared: a voter's clock goes too fast or too slow, or no longer does.
	ClockCompared EventKind = "clock_compared"
	RecordRefused EventKind = "record_refused"
	LeaseTaken    EventKind = "lease_taken"
	LeaseLost     EventKind = "lease_lost"
	LeaseRefused  EventKind = "lease_refused"
	RosterChanged EventKind = "roster_changed"
	// MajorityChanged: the voters in sight are a majority no more, or again.
	MajorityChanged EventKind = "majority_changed"
	// LeadChanged: the node cannot lead any more, or can again.
	LeadChanged  EventKind = "lead_changed"
	JobSubmitted EventKind = "job_submitted"
	JobTagged    EventKind = "job_tagged" // a person has named a version, or no longer does
	// JobBlocked: it does not begin for want of a service, and which.
	JobBlocked EventKind = "job_blocked"
	// JobSettled: the job has completed or failed, was ended, or waits for a person, and why.
	JobSettled EventKind = "job_settled"
	// How the deployment of a version has come along, why, and what is next. DeploymentSteered: a person
	// wants something of it.
	DeploymentStarted  EventKind = "deployment_started"
	DeploymentProgress EventKind = "deployment_progress" // one more copy is healthy
	DeploymentHeld     EventKind = "deployment_paused"
	DeploymentResumed  EventKind = "deployment_resumed"
	DeploymentAwaiting EventKind = "deployment_awaiting_promotion"
	DeploymentPromoted EventKind = "deployment_promoted"
	DeploymentDone     EventKind = "deployment_successful"
	DeploymentFailing  EventKind = "deployment_failed"
	DeploymentReverted EventKind = "deployment_reverted" // by itself, to the version before
	DeploymentSteered  EventKind = "deployment_steered"
	// JobFired: a run of it was made, or was not, and why. EventEmitted: something has happened that
	// jobs may be triggered by.
	JobFired      EventKind = "job_fired"
	EventEmitted  EventKind = "event_emitted"
	AllocPlaced   EventKind = "alloc_placed"
	AllocRefused  EventKind = "alloc_refused"
	AllocBlocked  EventKind = "alloc_blocked"
	AllocReplaced EventKind = "alloc_replaced"
	// AllocFailed: a copy has failed for good on its node; what its coordinator has follow, and when.
	AllocFailed   EventKind = "alloc_failed"
	AllocStopped  EventKind = "alloc_stopped"
	AllocTimedOut EventKind = "alloc_timed_out" // by the job's timeout
	// A copy waits for a person, and what they have said.
	ReviewOpened   EventKind = "review_opened"
	ReviewApproved EventKind = "review_approved"
	ReviewRejected EventKind = "review_rejected"
	// ReviewClosed: it waits no more, and nobody has said anything, as when its node is back.
	ReviewClosed   EventKind = "review_closed"
	TaskStarted    EventKind = "task_started"
	TaskAdopted    EventKind = "task_adopted"
	TaskExited     EventKind = "task_exited"
	TaskRestarting EventKind = "task_restarting"
	TaskFailed     EventKind = "task_failed"
	TaskTimedOut   EventKind = "task_timed_out"
	TaskSaved      EventKind = "task_saved" // a checkpoint
	TaskRestored   EventKind = "task_restored"
	TaskJoined     EventKind = "task_joined" // by a command that a person runs within it
	TaskGiven      EventKind = "task_given"  // files, by a person
	// Something is fetched for a task before it starts, and has come.
	TaskFetching EventKind = "task_fetching"
	TaskFetched  EventKind = "task_fetched"
	ImagePulled  EventKind = "image_pulled" // or is under way: of a task that is yet to start
	TaskKept     EventKind = "task_kept"    // its outputs, or why not
	// TaskIdle: it has left its devices idle for as long as its policy says, or uses them again.
	TaskIdle EventKind = "task_idle"
	// ServiceChanged: what its checks say of a service. TaskUnhealthy: they have the task restarted.
	ServiceChanged EventKind = "service_changed"
	TaskUnhealthy  EventKind = "task_unhealthy"
	// TaskRendered: a file of a task that runs was rendered anew, and what followed; or why it was not.
	TaskRendered EventKind = "task_rendered"
	// A node on which nothing can be started takes no work for a while.
	NodeQuarantined EventKind = "node_quarantined"
	NodeReleased    EventKind = "node_released"
	// What has become of a node's devices.
	DeviceFound EventKind = "device_found"
	DeviceLost  EventKind = "device_lost"
	DeviceSick  EventKind = "device_sick"
	DeviceWell  EventKind = "device_well"
	// DeviceOverused: a task has more of a device's memory than it was given.
	DeviceOverused EventKind = "device_overused"
)

// EventKinds are all kinds of events, in the order above.
var EventKinds = []EventKind{
	NodeJoined, NodeLost, NodeLeft, NodeAdmitted, NodeEvicted, NodeForgotten, NodeMaintenanceEnabled,
	NodeMaintenanceDisabled, NodeDrainStarted, NodeDrainCancelled, NodeDrainProgress, NodeDrainBlocked,
	NodeDrainPaused, NodeDrainCompleted, NodeGivenUp, NodeShared, NodeLabelled,
	NodeOut, ClockRefused, ClockCompared, RecordRefused, LeaseTaken, LeaseLost,
	LeaseRefused, RosterChanged, MajorityChanged, LeadChanged, JobSubmitted, JobTagged, JobBlocked, JobSettled,
	DeploymentStarted, DeploymentProgress, DeploymentHeld, DeploymentResumed, DeploymentAwaiting, DeploymentPromoted,
	DeploymentDone, DeploymentFailing, DeploymentReverted, DeploymentSteered,
	JobFired, EventEmitted,
	AllocPlaced, AllocRefused, AllocBlocked, AllocReplaced, AllocFailed, AllocStopped, AllocTimedOut,
	ReviewOpened, ReviewApproved, ReviewRejected, ReviewClosed, TaskStarted, TaskAdopted, TaskExited, TaskRestarting,
	TaskFailed, TaskTimedOut,
	TaskSaved, TaskRestored, TaskJoined, TaskGiven, TaskFetching, TaskFetched, ImagePulled, TaskKept, TaskIdle,
	ServiceChanged, TaskUnhealthy, TaskRendered,
	NodeQuarantined, NodeReleased, DeviceFound, DeviceLost, DeviceSick, DeviceWell, DeviceOverused,
}
