package crdt

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"
)

// Bounds of one message, not counting what the Seen in it takes. One entry is
// always let in, however large: see MaxValue.
const (
	AnswerBytes = 256 << 10
	PushBytes   = 256 << 10
)

// Request asks a peer for what this copy lacks. The first one of a session has
// only the digests; those that follow are made by [Replica.Apply]. DESIGN.md has
// the messages of a session in their order, and why it is right.
type Request struct {
	Life   uint64      `json:"l"`           // of the asking copy, to know its own answers
	Pos    uint64      `json:"p"`           // how far its own log went: see Answerer
	Digest Digest      `json:"d"`           // of its entries
	Sum    uint64      `json:"s"`           // of all that it has seen
	At     Cursor      `json:"c,omitzero"`  // where the answer before ended
	Groups []byte      `json:"g,omitempty"` // of origins, in which the copies differ
	Seen   Seen        `json:"o,omitempty"` // of the origins in these groups
	Skip   []Mark      `json:"k,omitempty"` // refused before: not to be sent again
	Repair []BucketSum `json:"r,omitempty"` // buckets in which the copies differ
}

// Answer is what a peer says to a request: that it has the Same; or the digests
// that show where the copies differ; or a part of what the asker lacks there,
// in the order in which the peer got it.
type Answer struct {
	Life   uint64 `json:"l"`           // of the copy that asked
	Pos    uint64 `json:"p"`           // as asked
	Same   bool   `json:"q,omitempty"` // the peer has what the asker has, and this is all
	Digest Digest `json:"d,omitzero"`
	Sum    uint64 `json:"s,omitempty"`

	Sums    []uint64 `json:"u,omitempty"` // of all groups: the copies have not seen the same
	Buckets []Digest `json:"b,omitempty"` // of all buckets: they have seen the same, yet differ

	At      Cursor      `json:"c,omitzero"`
	Groups  []byte      `json:"g,omitempty"` // as asked
	Seen    Seen        `json:"o,omitempty"` // of their origins, what the asker said otherwise
	Skip    []Mark      `json:"k,omitempty"` // what the peer does not want to get
	Entries []Entry     `json:"e,omitempty"`
	More    bool        `json:"m,omitempty"` // there is more after At
	Repair  []BucketSum `json:"r,omitempty"` // as asked
}

// Cursor is a place in what a peer has, as the peer counts it.
type Cursor struct {
	Node string `json:"n"`
	Life uint64 `json:"l"`
	Pos  uint64 `json:"p,omitempty"` // the session goes on from here
	Even uint64 `json:"v,omitempty"` // up to here, all groups but those named were equal
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

// Applied is what came of an answer.
type Applied struct {
	Merged
	Next *Request // to the same peer
	Push []Entry  // what that peer lacks, a bounded part of it
	// Over says that the session has ended: all that the peer had when it first
	// answered has come, and is here but for what this copy refuses.
	Over bool
}

// Request begins a session: to be sent to a peer, whose [Replica.Answer] goes
// to [Replica.Apply]. Two equal copies exchange two small messages.
func (r *Replica) Request() Request {
	return Request{Life: r.life, Pos: r.log.last, Digest: r.sum, Sum: r.view().all}
}

// Answer is the next part of what a peer lacks. Nothing is remembered between
// two of them: the request says it all.
func (r *Replica) Answer(req Request) Answer {
	a := Answer{
		Life: req.Life, Pos: req.Pos, Digest: r.sum, Sum: r.view().all,
		At: Cursor{Node: r.self, Life: r.life},
	}
	goesOn := req.At.Node == r.self && req.At.Life == r.life && req.check()
	switch {
	case goesOn && len(req.Repair) > 0:
		r.mend(&a, &req)
	case goesOn && len(req.Groups) > 0:
		r.fill(&a, &req)
	case req.Sum != a.Sum:
		a.Sums, a.At.Even = slices.Clone(r.groups.of[:]), r.log.last
	case req.Digest != a.Digest:
		a.Buckets = slices.Clone(r.buckets[:])
	default:
		return Answer{Life: req.Life, Pos: req.Pos, Same: true}
	}
	return a
}

// fill answers with what was not seen. Of the groups that are named, the asker
// says what it has seen. In the others it had seen the same as this copy when
// this copy's log had got to Even: of these it gets what came later.
func (r *Replica) fill(a *Answer, req *Request) {
	named := setOf(req.Groups)
	wanted := func(it *item) bool {
		if named[it.group] {
			return !req.Seen.Has(it.Dot)
		}
		return it.arrival > req.At.Even || it.loose
	}
	a.At.Even, a.At.Lost = req.At.Even, req.At.Lost
	a.Groups, a.Seen, a.Skip = req.Groups, r.seen.unlike(req.Seen, &named), r.marks()
	a.Entries, a.At.Pos, a.More = r.pick(req.At.Pos, AnswerBytes, req.Skip, wanted)
}

// mend answers with all that is in the buckets which differ.
func (r *Replica) mend(a *Answer, req *Request) {
	differ := r.differing(req.Repair)
	wanted := func(it *item) bool { return differ[bucketOf(it.Key)] }
	a.At.Lost, a.Repair = req.At.Lost, req.Repair
	a.Entries, a.At.Pos, a.More = r.pick(req.At.Pos, AnswerBytes, req.Skip, wanted)
}

// pick is the entries from pos on that are wanted, up to a size; and where to
// go on.
func (r *Replica) pick(pos uint64, size int, skip []Mark, wanted func(*item) bool) (
	list []Entry, end uint64, more bool,
) {
	skipped := make(map[Mark]bool, len(skip))
	for _, m := range skip {
		skipped[m] = true
	}
	for _, it := range r.log.from(pos) {
		if it.dead || !wanted(it) || len(skip) > 0 && skipped[markOf(it.Dot, it.hash)] {
			continue
		}
		if size -= it.Size(); size < 0 && len(list) > 0 {
			return list, it.arrival, true
		}
		list = append(list, it.Entry)
	}
	return list, r.log.last + 1, false
}

// Apply brings in an answer. After the last answer of a session this copy has
// seen all that the peer had when the session began, but for what it refuses.
func (r *Replica) Apply(a Answer, wall time.Time) (out Applied) {
	if a.Life != r.life || !a.check() {
		// Late, or of a peer that is out of its mind: no more than a push.
		return Applied{Merged: r.Merge(a.Entries, wall)}
	}
	last := Dot{Origin: r.self, Seq: a.Seen[r.self].Head}
	rewound := last.Seq >= r.next
	if rewound {
		r.raise(last.Seq)
	}
	var held bool
	out.Merged, held = r.merge(a.Entries, wall, r.same(a.Repair))
	if rewound {
		out.Refused = append(out.Refused, Refusal{Entry: Entry{Dot: last}, Err: errRewound})
	}
	a.At.Lost = a.At.Lost || !held
	switch {
	case len(a.Sums) > 0:
		out.Next = r.compare(&a)
	case a.More:
		out.Next = r.goOn(&a, a.Groups)
	default:
		if !a.At.Lost {
			r.adopt(a.Seen)
		}
		out.Push = r.lacking(&a)
	}
	if out.Next == nil {
		out.Next = r.repair(&a)
	}
	out.Over = out.Next == nil
	return out
}

// goOn is the request that follows an answer: what this copy has seen by now of
// the groups that differ, from where the answer ended.
func (r *Replica) goOn(a *Answer, differ []byte) *Request {
	req, named := r.Request(), setOf(differ)
	req.At, req.Skip, req.Repair = a.At, r.marks(), r.sums(a.Repair)
	req.Groups, req.Seen = differ, r.seen.within(&named)
	return &req
}

// compare is the request for what lies in the groups that differ, nil if none does.
func (r *Replica) compare(a *Answer) *Request {
	var differ []byte
	for g, mine := range r.view().of {
		if mine != a.Sums[g] {
			differ = append(differ, byte(g))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return r.goOn(a, differ)
}

// adopt marks as incorporated what a peer has, when it has sent all of it: what
// it did not send has lost to something that it sent, or that was here. What is
// held here, refused, stays open. So does all else while something waits aside that
// the peer has brought in: what has lost to that there has not lost here yet, and who
// heard from us that we have seen it would do without both.
func (r *Replica) adopt(theirs Seen) {
	open := map[string][]uint64{}
	for _, s := range []*shelf{&r.aside, &r.quarantine} {
		for _, h := range s.list() {
			d := h.entry.Dot
			if !h.skip || r.seen.Has(d) {
				continue
			}
			if s == &r.aside && theirs.Has(d) {
				return
			}
			open[d.Origin] = append(open[d.Origin], d.Seq)
		}
	}
	for _, origin := range theirs.Origins() {
		k := theirs[origin]
		if seqs := open[origin]; len(seqs) > 0 {
			k = k.without(seqs)
		}
		if origin == r.self {
			k = k.meet(Known{Head: r.next - 1})
		}
		joined := r.seen[origin].join(k)
		full := len(joined.Gaps) > MaxGaps || r.seen[origin].Head == 0 && len(r.seen) >= MaxOrigins
		if !full && joined.Head > 0 && !joined.equal(r.seen[origin]) {
			r.know(origin, joined)
		}
	}
	r.tighten()
}

// repair is the request that follows when both copies have seen the same and
// yet differ: a disk has lost something, or there is a bug.
func (r *Replica) repair(a *Answer) *Request {
	if a.Same || len(a.Repair) > 0 || a.Digest == r.sum || a.Sum != r.view().all {
		return nil
	}
	req := r.Request()
	if len(a.Buckets) == 0 {
		return &req // which is answered with the buckets
	}
	req.At, req.Skip = a.At, r.marks()
	for i, theirs := range a.Buckets {
		if theirs != r.buckets[i] {
			req.Repair = append(req.Repair, BucketSum{Bucket: uint8(i), Sum: r.buckets[i]})
		}
	}
	if len(req.Repair) == 0 {
		return nil
	}
	return &req
}

// lacking is what the peer that has answered does not have, of the origins of
// which it has seen something else.
func (r *Replica) lacking(a *Answer) []Entry {
	behind := Seen{}
	for origin, k := range a.Seen {
		if !k.covers(r.seen[origin]) {
			behind[origin] = k
		}
	}
	if len(behind) == 0 {
		return nil
	}
	named := setOf(a.Groups)
	list, _, _ := r.pick(0, PushBytes, a.Skip, func(it *item) bool {
		if !named[it.group] {
			return false
		}
		k, ok := behind[it.Dot.Origin]
		return ok && !k.has(it.Dot.Seq)
	})
	return list
}

// check says whether a request from outside is within its bounds.
func (r *Request) check() bool {
	return len(r.Groups) <= Groups && len(r.Repair) <= Buckets && len(r.Skip) <= 2*MaxHeld &&
		r.Seen.Check() == nil
}

// check says whether an answer from outside is within its bounds.
func (a *Answer) check() bool {
	return (len(a.Sums) == 0 || len(a.Sums) == Groups) &&
		(len(a.Buckets) == 0 || len(a.Buckets) == Buckets) &&
		len(a.Groups) <= Groups && len(a.Repair) <= Buckets && len(a.Skip) <= 2*MaxHeld &&
		a.Seen.checkPart() == nil
}

// differing are the buckets whose digest is another here.
func (r *Replica) differing(sums []BucketSum) map[uint8]bool {
	if len(sums) == 0 {
		return nil
	}
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
	if len(sums) == 0 {
		return nil
	}
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
