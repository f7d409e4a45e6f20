package watch

// Requests are what a client of a service tells of its requests when it ends.
type Requests struct {
	All    int    `json:"all"`
	Failed int    `json:"failed"`
	First  string `json:"first,omitempty"` // why the first one failed
}
