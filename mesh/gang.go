package mesh

import (
	"strings"
)

// GangMax bounds the copies of a job that are placed all together or not at all:
// each holds a reservation until the last one has been admitted.
const GangMax = 128

// Gang is what a copy is told of the others that were placed together with it.
type Gang struct {
	Rank   int    `json:"rank"` // from 0, by group in file order, and index
	Size   int    `json:"size"`
	Master string `json:"master"` // the host, without a port, of the node of rank 0
}

// Host is the host of the node's address, without the port.
func (n *Node) Host() string {
	host := n.Address
	if i := strings.LastIndex(host, ":"); i >= 0 {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

// ranks counts the copies of a gang through.
func (j *Job) ranks(groups []Group) {
	if !j.Gang {
		return
	}
	size := 0
	for i := range groups {
		groups[i].FirstRank = size
		size += groups[i].Count
	}
	for i := range groups {
		groups[i].GangSize = size
	}
}

// gang checks what a gang excludes.
func (v *validator) gang(j *Job) {
	if !j.Gang {
		return
	}
	switch {
	case j.Type.PerNode():
		v.fault("places all copies together, and those of a job of type %q come and go with the nodes: leave it out",
			j.Type).at("gang")
	case j.Copies() > GangMax:
		v.fault("places all copies together, and %d are more than the %d that it can", j.Copies(), GangMax).at("gang")
	}
	if j.MaxRunning != 0 {
		v.fault("has copies wait for others, and gang = true places all together: leave one out").at("max_running")
	}
	for _, g := range j.Groups() {
		if g.Array.AtOnce > 0 || len(g.After) > 0 {
			v.fault("places all copies together, and those of group %q wait for others: leave out its after, "+
				"and the limit of its array", clip(g.Name)).at("gang")
		}
	}
}
