package lease

// Message is what parties say to each other. Beside epoch and run, which stand
// in every message, at most one field is set; a message with none only asks for
// a newer roster.
type Message struct {
	Epoch uint64 `json:"e"` // of the sender's roster
}
