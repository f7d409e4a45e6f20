// Package mesh has the nouns of the system: what a node, a job, an allocation,
// a lease's fence and an event are, and how one node's picture of them looks.
// Start reading here.
//
// People write desired state ([JobVersion], [Member], [Token], [Admin]). The
// coordinator of a job's slot turns it into decisions ([Alloc]). The node that
// runs the work reports actual state ([Node], [Status]). Each record has one
// kind of writer, so most conflicts cannot even be expressed; keys.go has the
// layout of the records, view.go the picture that everything else is computed
// from.
//
// The package is pure: no clock, no I/O, no goroutine. It has no behaviour
// beyond validation, naming and text.
package mesh
