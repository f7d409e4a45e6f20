package crdt

import (
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Bounds of one message, not counting what the Seen in it takes. One entry is
// always let in, however large: see MaxValue.
const (
	AnswerBytes = 256 << 10
	PushBytes   = 256 << 10
)

// Request asks a peer for what this copy lacks.
type Request struct {
	Life   uint64      `json:"l"` // of the asking copy, to know its own answers
	Seen   Seen        `json:"s"`
	Digest Digest      `json:"d"`
	Skip   []Mark      `json:"k,omitempty"` // refused before: not to be sent again
	At     Cursor      `json:"c,omitzero"`  // where the last answer ended
	Repair []BucketSum `json:"r,omitempty"` // buckets in which the copies differ
}

// Answer is a peer's part of what the asker lacks, in the order in which the
// peer got it.
type Answer struct {
	Life    uint64      `json:"l"` // of the copy that asked
	Seen    Seen        `json:"s"` // what the peer has; the asker too, once it has the last answer
	Digest  Digest      `json:"d"`
	Skip    []Mark      `json:"k,omitempty"` // what the peer does not want to get
	Entries []Entry     `json:"e,omitempty"`
	At      Cursor      `json:"c,omitzero"`
	More    bool        `json:"m,omitempty"` // there is more after At
	Buckets []Digest    `json:"b,omitempty"` // of all buckets: both have seen the same, yet differ
	Repair  []BucketSum `json:"r,omitempty"` // as asked
}

// Cursor is a place in what a peer has, as the peer counts it.
type Cursor struct {
	Node string `json:"n"`
	Life uint64 `json:"l"`
	Pos  uint64 `json:"p"`
	Lost bool   `json:"x,omitempty"` // something refused on the way could not be held
}

// Mark names an entry by its dot and the beginning of its hash, so that a
// forgery that was refused does not stand in the way of the real one.
type Mark struct {
	_      struct{} `cbor:",toarray"`
	Origin string
	Seq    uint64
	Sum    uint64
}

// BucketSum is the digest of one bucket.
type BucketSum struct {
	_      struct{} `cbor:",toarray"`
	Bucket uint8
	Sum    Digest
}

// Request begins a session: to be sent to a peer, whose [Replica.Answer] goes
// to Apply. Two equal copies exchange two small messages.
func (r *Replica) Request() Request {
	return Request{Life: r.life, Seen: r.Seen(), Digest: r.sum, Skip: r.marks()}
}

// Answer is the next part of what a peer lacks. Nothing is remembered between
// two of them: the request says it all.
func (r *Replica) Answer(req Request) Answer {
	a := Answer{
		Life: req.Life, Seen: r.Seen(), Digest: r.sum, Skip: r.marks(), Repair: req.Repair,
		At: Cursor{Node: r.self, Life: r.life, Lost: req.At.Lost},
	}
	theirs := req.Seen
	if theirs.Check() != nil || len(req.Repair) > Buckets || len(req.Skip) > 2*MaxHeld {
		theirs, a.Repair, req.Skip = nil, nil, nil
	}
	differ := r.differing(a.Repair)
	if len(differ) == 0 && theirs.Covers(r.seen) {
		if len(a.Repair) == 0 && r.seen.Covers(theirs) && req.Digest != r.sum {
			a.Buckets = r.buckets[:]
		}
		return a
	}
	if req.At.Node == r.self && req.At.Life == r.life {
		a.At.Pos = req.At.Pos
	}
	a.Entries, a.At.Pos, a.More = r.pick(a.At.Pos, AnswerBytes, theirs, req.Skip, differ)
	return a
}

// pick is the entries from pos on that somebody has not seen, or that lie in
// buckets which differ, up to a size; and where to go on.
func (r *Replica) pick(pos uint64, size int, seen Seen, skip []Mark, differ map[uint8]bool) (
	list []Entry, end uint64, more bool,
) {
	skipped := make(map[Mark]bool, len(skip))
	for _, m := range skip {
		skipped[m] = true
	}
	for _, it := range r.log.from(pos) {
		wanted := !it.dead && (!seen.Has(it.Dot) || differ[bucketOf(it.Key)])
		if !wanted || len(skip) > 0 && skipped[markOf(it.Dot, it.hash)] {
			continue
		}
		if size -= it.size(); size < 0 && len(list) > 0 {
			return list, it.arrival, true
		}
		list = append(list, it.Entry)
	}
	return list, r.log.last + 1, false
}

// Apply brings in an answer. The next request, if there is one, goes to the
// same peer; push is what that peer lacks, a bounded part of it. After the last
// answer of a session this copy has seen all that the peer had.
func (r *Replica) Apply(a Answer, wall time.Time) (m Merged, next *Request, push []Entry) {
	ours := a.Life == r.life && a.Seen.Check() == nil && len(a.Repair) <= Buckets &&
		len(a.Skip) <= 2*MaxHeld
	if !ours {
		// Late, or of a peer that is out of its mind: no more than a push.
		return r.Merge(a.Entries, wall), nil, nil
	}
	rewound := a.Seen[r.self].Head >= r.next
	if rewound {
		r.raise(a.Seen[r.self].Head)
	}
	m, held := r.merge(a.Entries, wall, r.same(a.Repair))
	if rewound {
		last := Dot{Origin: r.self, Seq: a.Seen[r.self].Head}
		m.Refused = append(m.Refused, Refusal{Entry: Entry{Dot: last}, Err: errRewound})
	}
	a.At.Lost = a.At.Lost || !held
	if a.More {
		req := r.Request()
		req.At, req.Repair = a.At, r.sums(a.Repair)
		return m, &req, nil
	}
	if !a.At.Lost {
		r.adopt(a.Seen)
	}
	return m, r.repair(a), r.lacking(a)
}

// adopt marks as incorporated what a peer has, when it has sent all of it: what
// it did not send has lost to something that it sent, or that was here. What is
// held here, refused, stays open.
func (r *Replica) adopt(theirs Seen) {
	open := map[string][]uint64{}
	for _, s := range []*shelf{&r.aside, &r.quarantine} {
		for _, h := range s.list() {
			if d := h.entry.Dot; h.skip && !r.seen.Has(d) {
				open[d.Origin] = append(open[d.Origin], d.Seq)
			}
		}
	}
	for origin, k := range theirs {
		if seqs := open[origin]; len(seqs) > 0 {
			k = k.without(seqs)
		}
		if origin == r.self {
			k = k.meet(Known{Head: r.next - 1})
		}
		joined := r.seen[origin].join(k)
		full := len(joined.Gaps) > MaxGaps || r.seen[origin].Head == 0 && len(r.seen) >= MaxOrigins
		if !full && joined.Head > 0 && !joined.equal(r.seen[origin]) {
			r.seen[origin] = joined
			r.pending.origins[origin] = struct{}{}
		}
	}
}

// repair is the request that follows when both copies have seen the same and
// yet differ: a disk has lost something, or there is a bug.
func (r *Replica) repair(a Answer) *Request {
	if len(a.Repair) > 0 || a.Digest == r.sum || !r.seen.Equal(a.Seen) {
		return nil
	}
	req := r.Request()
	if len(a.Buckets) == Buckets {
		for i, theirs := range a.Buckets {
			if theirs != r.buckets[i] {
				req.Repair = append(req.Repair, BucketSum{Bucket: uint8(i), Sum: r.buckets[i]})
			}
		}
	}
	return &req
}

// lacking is what the peer that has answered does not have.
func (r *Replica) lacking(a Answer) []Entry {
	if a.Seen.Covers(r.seen) {
		return nil
	}
	list, _, _ := r.pick(0, PushBytes, a.Seen, a.Skip, nil)
	return list
}

// differing are the buckets whose digest is another here.
func (r *Replica) differing(sums []BucketSum) map[uint8]bool {
	differ := map[uint8]bool{}
	for _, s := range sums {
		if r.buckets[s.Bucket] != s.Sum {
			differ[s.Bucket] = true
		}
	}
	return differ
}

// same are the buckets that still are as they were when we asked about them.
func (r *Replica) same(sums []BucketSum) map[uint8]bool {
	same := map[uint8]bool{}
	for _, s := range sums {
		if r.buckets[s.Bucket] == s.Sum {
			same[s.Bucket] = true
		}
	}
	return same
}

// sums are the digests of the same buckets as they are now.
func (r *Replica) sums(of []BucketSum) []BucketSum {
	var list []BucketSum
	for _, s := range of {
		list = append(list, BucketSum{Bucket: s.Bucket, Sum: r.buckets[s.Bucket]})
	}
	return list
}

// marks are what peers need not send: we hold it, refused.
func (r *Replica) marks() []Mark {
	var list []Mark
	for _, s := range []*shelf{&r.aside, &r.quarantine} {
		for _, h := range s.list() {
			if h.skip {
				list = append(list, markOf(h.entry.Dot, h.hash))
			}
		}
	}
	return list
}

func markOf(d Dot, hash Digest) Mark {
	return Mark{Origin: d.Origin, Seq: d.Seq, Sum: binary.BigEndian.Uint64(hash[:8])}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}
