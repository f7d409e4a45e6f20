package transport

import "sync/atomic"

// Stats counts what an endpoint has done since it began.
type Stats struct {
	Sent           int64 `json:"sent"`     // messages handed to QUIC
	Received       int64 `json:"received"` // messages
	Dropped        int64 `json:"dropped"`  // messages that never went out
	Dials          int64 `json:"dials"`
	DialsFailed    int64 `json:"dials_failed"`
	Accepted       int64 `json:"accepted"`        // connections of members
	Refused        int64 `json:"refused"`         // connections of others
	StreamsRefused int64 `json:"streams_refused"` // that nobody listened for
	Garbage        int64 `json:"garbage"`         // packets that are neither QUIC nor gossip
	GossipIn       int64 `json:"gossip_in"`       // packets
	GossipOut      int64 `json:"gossip_out"`
	GossipOutBytes int64 `json:"gossip_out_bytes"`
	GossipDropped  int64 `json:"gossip_dropped"`
	Joins          int64 `json:"joins"`
	JoinsRefused   int64 `json:"joins_refused"`
	Connections    int   `json:"connections"` // now
	Peers          int   `json:"peers"`       // that we have talked with
}

// counters are the Stats as they grow.
type counters struct {
	sent, received, dropped, dials, dialsFailed, accepted, refused, streamsRefused atomic.Int64
	garbage, gossipIn, gossipOut, gossipOutLen, gossipDropped, joins, joinsRefused atomic.Int64

	handshakes atomic.Int64 // half-open now
}

// Stats is the counts so far.
func (e *Endpoint) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.count
	return Stats{
		Sent: c.sent.Load(), Received: c.received.Load(), Dropped: c.dropped.Load(),
		Dials: c.dials.Load(), DialsFailed: c.dialsFailed.Load(),
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), StreamsRefused: c.streamsRefused.Load(),
		Garbage: c.garbage.Load(), GossipIn: c.gossipIn.Load(), GossipOut: c.gossipOut.Load(),
		GossipOutBytes: c.gossipOutLen.Load(), GossipDropped: c.gossipDropped.Load(),
		Joins: c.joins.Load(), JoinsRefused: c.joinsRefused.Load(),
		Connections: len(e.live), Peers: len(e.peers),
	}
}
