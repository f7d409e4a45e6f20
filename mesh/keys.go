package mesh

import (
	"fmt"
	"strings"
)

// The layout of the replicated records: one prefix a kind of record, and with
// it one kind of writer.
const (
	PrefixJob      = "job/"      // JobVersion     people; of runs, also the coordinator of what they are runs of
	PrefixTag      = "tag/"      // Tag            people
	PrefixToken    = "token/"    // Token          people
	PrefixMember   = "member/"   // Member         the peer that admitted it
	PrefixAway     = "away/"     // Away           whoever stops waiting for a node
	PrefixEvicted  = "evicted/"  // Evicted        people
	PrefixAdmin    = "admin/"    // Administration people
	PrefixSharing  = "sharing/"  // Sharing        people
	PrefixLabels   = "labels/"   // Labels         people
	PrefixReview   = "review/"   // Verdict        people
	PrefixSteering = "steering/" // Steering       people
	PrefixOccurred = "occurred/" // Occurrence     people, and the node that saw it
	PrefixNode     = "node/"     // Node           that node
	PrefixStatus   = "status/"   // Status         the allocation's node
	PrefixAlloc    = "alloc/"    // Alloc          coordinator with a granted lease
	PrefixDegraded = "degraded/" // DegradedAlloc  coordinator without a voter majority
	PrefixPermit   = "permit/"   // Permit         coordinator of the limit's slot, with a granted lease
	PrefixQueued   = "queued/"   // Queued         coordinator of the job's slot, with a granted lease
	PrefixDeployed = "deployed/" // Deployment     coordinator of the job's slot, with a granted lease
	PrefixFired    = "fired/"    // Firing         coordinator of the job's slot
	PrefixDue      = "due/"      // Due            coordinator of the job's slot, with a granted lease
)

// KeyJob is the key of a version of a job. Concurrent versions have the same
// number and another hash, so both stay.
func KeyJob(id JobID, number uint64, hash string) string {
	return fmt.Sprintf("%s%s/%08d-%s", PrefixJob, id, number, hash)
}

// KeyTag is the key of a name that a version of a job has.
func KeyTag(id JobID, name string) string { return PrefixTag + string(id) + "/" + name }

// KeyToken is the key of a join token.
func KeyToken(id string) string { return PrefixToken + id }

// KeyMember is the key of an admission.
func KeyMember(id NodeID) string { return PrefixMember + string(id) }

// KeyAway is the key of the mark that a node has been away for too long.
func KeyAway(id NodeID) string { return PrefixAway + string(id) }

// KeyEvicted is the key of the word that a node was evicted.
func KeyEvicted(id NodeID) string { return PrefixEvicted + string(id) }

// KeyAdmin is the key of what people want of a node.
func KeyAdmin(id NodeID) string { return PrefixAdmin + string(id) }

// KeySharing is the key of the share of a node that the mesh may have.
func KeySharing(id NodeID) string { return PrefixSharing + string(id) }

// KeyLabels is the key of the labels that people have given to a node.
func KeyLabels(id NodeID) string { return PrefixLabels + string(id) }

// KeyReview is the key of what a person said about a copy that waited for it.
func KeyReview(id AllocID) string { return PrefixReview + string(id) }

// KeyNode is the key of a node's record of itself.
func KeyNode(id NodeID) string { return PrefixNode + string(id) }

// KeyStatus is the key of an allocation's status, as its node reports it. The
// node is part of it: on two sides of a split two nodes may run one allocation.
func KeyStatus(id AllocID, node NodeID) string {
	return PrefixStatus + string(id) + "/" + string(node)
}

// KeyAlloc is the key of a decision made under a granted lease.
func KeyAlloc(id AllocID) string { return PrefixAlloc + string(id) }

// KeyDegraded is the key of a decision made without a voter majority.
func KeyDegraded(id AllocID) string { return PrefixDegraded + string(id) }

// KeyPermit is the key of a copy's permit under a shared limit.
func KeyPermit(limit string, id AllocID) string { return PrefixPermit + limit + "/" + string(id) }

// KeyQueued is the key of the word that a job waits for room.
func KeyQueued(id JobID) string { return PrefixQueued + string(id) }

// KeySteering is the key of what people want of the deployment of a version.
func KeySteering(id JobID, number uint64, hash string) string {
	return fmt.Sprintf("%s%s/%08d-%s", PrefixSteering, id, number, hash)
}

// KeyDeployed is the key of the deployment of a version.
func KeyDeployed(id JobID, number uint64, hash string) string {
	return fmt.Sprintf("%s%s/%08d-%s", PrefixDeployed, id, number, hash)
}

// KeyOccurred is the key of something that has happened.
func KeyOccurred(id OccurrenceID) string { return PrefixOccurred + string(id) }

// KeyFired is the key of what was done when a job was due: its run's name is that of what it was due for.
func KeyFired(id, run JobID) string { return PrefixFired + string(id) + "/" + string(run) }

// KeyDue is the key of how far the times are gone through at which a job is due.
func KeyDue(id JobID) string { return PrefixDue + string(id) }

// Kind is the prefix of a key, with its slash.
func Kind(key string) string {
	head, _, _ := strings.Cut(key, "/")
	return head + "/"
}
