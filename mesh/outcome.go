package mesh

// Outcome is what would become of a copy, were something to happen.
type Outcome struct {
	Alloc   AllocID
	Job     JobID
	Seat    Seat
	Node    NodeID // where it is
	Becomes Becoming
	To      NodeID // where the next copy would be, if there is one
	Reason  string
}

// Becoming is what becomes of a copy, in a word.
type Becoming string

// What can become of a copy.
const (
	Moves        Becoming = "moves"         // another takes its place
	StartsBeside Becoming = "starts_beside" // another starts, and it goes on out of sight
	Stays        Becoming = "stays"
	Waits        Becoming = "waits"             // and nothing takes its place
	NoRoom       Becoming = "blocked"           // another is needed, and fits nowhere
	ForReview    Becoming = "paused_for_review" // a person has to decide
	Ends         Becoming = "stops"             // and nothing takes its place
)

// Becomings are all of them, in the order in which they are counted for people.
var Becomings = []Becoming{Moves, StartsBeside, Stays, Waits, NoRoom, ForReview, Ends}
