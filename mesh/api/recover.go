package api

// RecoverRequest says which nodes will never run anything again, as a person vouches, so
// that the node that is asked may decide without them; and why.
type RecoverRequest struct {
	Off    []string `json:"off"` // names, ids, or the first characters of ids
	Reason string   `json:"reason"`
	DryRun bool     `json:"dry_run,omitempty"` // change nothing, and say what would
}

// Vouched answers a [RecoverRequest]. Nodes are names here.
type Vouched struct {
	Before    uint64   `json:"before"` // epoch of the voters until now
	Was       []string `json:"was"`    // who they were
	Epoch     uint64   `json:"epoch"`  // from now on; 0 if this was a dry run
	Voter     string   `json:"voter"`  // who is the only one, until others have learned from it
	Forgotten []string `json:"forgotten"`
	Copies    int      `json:"copies"` // nodes on whose disks that is by now
	DryRun    bool     `json:"dry_run"`
	// CAKey: that node has the key of the mesh's CA, without which nobody joins, and no
	// certificate is renewed.
	CAKey bool `json:"ca_key"`
}
