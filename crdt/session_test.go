package crdt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// second is the request with which a goes on after b has answered its first.
func second(a, b *Replica) Request { return *a.Apply(b.Answer(a.Request()), noon).Next }

// parts runs a session of a with b by hand, one part each time it is called.
func parts(t *testing.T, a, b *Replica) (step func() (more bool), n *int) {
	req, n := a.Request(), new(int)
	return func() bool {
		ans := b.Answer(req)
		*n++
		if size := wire(t, ans, new(Answer)); size > AnswerBytes+MaxValue+4096 {
			t.Fatalf("part %d takes %d bytes", *n, size)
		}
		out := a.Apply(ans, noon)
		if out.Over {
			return false
		}
		if req = *out.Next; len(req.Repair) > 0 {
			t.Fatal("something was missed, and only the digest has found it")
		}
		return true
	}, n
}

// superseded is a copy in which most writes have lost to later ones.
func superseded(t *testing.T) *Replica {
	b := fill(t, "b", 4000)
	for i := range 4000 {
		if i%3 > 0 {
			b.Put(fmt.Sprintf("b/%05d", i), make([]byte, 200), Fence{}, noon)
		}
	}
	return b
}

func TestALargeDifferenceComesInParts(t *testing.T) {
	a, b := fill(t, "a", 1), superseded(t)
	a.Merge([]Entry{entry("other", "c", 1)}, noon)
	b.Merge([]Entry{entry("other", "c", 1)}, noon)
	step, n := parts(t, a, b)
	step() // the digests
	b.Merge([]Entry{entry("another", "c", 2)}, noon)
	for step() {
		if len(a.seen["b"].Gaps) > MaxGaps {
			t.Fatalf("%d gaps", len(a.seen["b"].Gaps))
		}
		// What changes meanwhile is neither missed nor taken for had.
		b.Put(fmt.Sprintf("b/%05d", *n*7), []byte("meanwhile"), Fence{}, noon)
	}
	if *n < 5 {
		t.Errorf("came in %d parts", *n)
	}
	if !a.Seen().Covers(b.Seen()) || len(a.seen["b"].Gaps) != 0 {
		t.Errorf("seen %v, want all of %v", a.Seen(), b.Seen())
	}
	for e := range b.Scan("") {
		if got, _ := a.Get(e.Key); !reflect.DeepEqual(got, e) {
			t.Fatalf("got %v, want %v", got, e)
		}
	}
}

func TestABrokenSessionClaimsNothing(t *testing.T) {
	a, b := fill(t, "a", 0), superseded(t)
	step, _ := parts(t, a, b)
	step() // the digests
	step() // the first part
	if a.Len() < 100 {
		t.Fatalf("the first part has brought %d keys", a.Len())
	}
	// An invariant: whatever a says it has seen, it has, or has what beat it.
	for _, it := range b.log.from(0) {
		if got, ok := a.Get(it.Key); a.Seen().Has(it.Dot) && (!ok || it.beats(&got)) {
			t.Fatalf("seen %v, and has %v", it.Dot, got)
		}
	}
	if a.Seen().Covers(b.Seen()) {
		t.Fatal("half a session, and all is seen")
	}
	session(t, a, b, noon)
	if a.Digest() != b.Digest() {
		t.Error("the next session did not finish it")
	}
}

func TestACursorOfAnEarlierLifeStartsAnew(t *testing.T) {
	a, b := fill(t, "a", 0), superseded(t)
	next := a.Apply(b.Answer(a.Request()), noon).Next
	next = a.Apply(b.Answer(*next), noon).Next
	if next == nil || next.At.Pos == 0 {
		t.Fatalf("after the first part: %v", next)
	}
	var kept Kept
	kept.Apply(b.Flush())
	kept.Life = 2
	b = open(t, "b", kept) // restarted: its order of arrival is another one
	for next != nil {
		if len(next.Repair) > 0 {
			t.Fatal("something was missed, and only the digest has found it")
		}
		next = a.Apply(b.Answer(*next), noon).Next
	}
	if a.Digest() != b.Digest() || !a.Seen().Equal(b.Seen()) {
		t.Error("something was missed")
	}
}

func TestALateAnswerToAnEarlierLifeOnlyBringsEntries(t *testing.T) {
	a, b := fill(t, "a", 0), superseded(t)
	ans := b.Answer(a.Request())
	for len(ans.Sums) > 0 || ans.More {
		ans = b.Answer(*a.Apply(ans, noon).Next)
	}
	a = open(t, "a", Kept{Life: 2}) // crashed before anything was kept
	if out := a.Apply(ans, noon); len(out.News) == 0 || out.Next != nil || out.Push != nil || out.Over {
		t.Errorf("got %d news, next %v, over %v", len(out.News), out.Next, out.Over)
	}
	if a.Seen().Covers(b.Seen()) {
		t.Error("the last part of a session that this life never had makes it say it has all")
	}
}

func TestARefusedEntryStallsNothingAndIsNotSentAgain(t *testing.T) {
	a, b, c := fill(t, "a", 0), fill(t, "b", 100), fill(t, "c", 0)
	early := entry("early", "x", 5)
	early.Stamp.Wall += time.Hour.Milliseconds()
	b.Merge([]Entry{entry("bad", "x", 3), early, entry("fine", "x", 4)}, noon.Add(time.Hour))
	a.Valid = func(e Entry) error {
		if e.Key == "bad" {
			return errors.New("cannot read it")
		}
		return nil
	}
	session(t, a, b, noon)
	if got := a.Seen().String(); got != "b:100 x:4-{1..3}" {
		t.Errorf("seen %s, want all but what was refused", got)
	}
	b.Put("b/00000", []byte("new"), Fence{}, noon)
	if ans := b.Answer(second(a, b)); len(ans.Entries) != 1 || ans.Entries[0].Key != "b/00000" {
		t.Errorf("sent again: %v", ans.Entries)
	}
	session(t, c, a, noon)
	if _, ok := c.Get("bad"); ok || c.Seen().Has(Dot{"x", 3}) {
		t.Error("passed on")
	}
	// Nor does c push to a what a has refused.
	session(t, c, b, noon.Add(time.Hour))
	if push := c.Apply(a.Answer(second(c, a)), noon).Push; len(push) != 1 {
		t.Errorf("pushed %v, want the one new write", push)
	}
	a.Valid = nil
	session(t, a, b, noon.Add(time.Hour))
	if _, ok := a.Get("early"); !ok || a.Seen().Has(Dot{"x", 3}) {
		t.Errorf("an hour later: early came in %v, seen %v", ok, a.Seen())
	}
}

func TestAForgeryDoesNotKeepTheRealWriteOut(t *testing.T) {
	a, b := fill(t, "a", 0), fill(t, "b", 0)
	forged := entry("k", "b", 1)
	forged.Stamp.Wall += time.Hour.Milliseconds()
	a.Merge([]Entry{forged}, noon)
	b.Put("k", []byte("real"), Fence{}, noon)
	session(t, a, b, noon)
	if e, ok := a.Get("k"); !ok || string(e.Value) != "real" {
		t.Errorf("got %v, %v", e, ok)
	}
}

func TestMoreRefusedThanCanBeHeldIsNotTakenForSeen(t *testing.T) {
	a, b := fill(t, "a", 0), fill(t, "b", 2*MaxHeld)
	a.Valid = func(Entry) error { return errors.New("no") }
	session(t, a, b, noon)
	a.Valid = nil
	a.Reset()
	session(t, a, b, noon)
	if a.Digest() != b.Digest() {
		t.Error("entries that could not be held are lost")
	}
	a, b = fill(t, "a", 0), fill(t, "b", 2*MaxHeld)
	a.Valid = func(Entry) error { return errors.New("no") }
	session(t, a, b, noon)
	if n := len(a.Seen()); n != 0 {
		t.Errorf("seen %v", a.Seen())
	}
}

func TestAnswersPushWhatTheAnswererLacks(t *testing.T) {
	a, b := fill(t, "a", 5), fill(t, "b", 5)
	push := a.Apply(b.Answer(second(a, b)), noon).Push
	if len(push) != 5 || push[0].Dot.Origin != "a" {
		t.Fatalf("pushed %v", push)
	}
	b.Merge(push, noon)
	if a.Digest() != b.Digest() || !a.Seen().Equal(b.Seen()) {
		t.Error("one session did not make them equal")
	}
}

func TestALostEntryIsFoundByTheDigest(t *testing.T) {
	a, b := fill(t, "a", 1000), fill(t, "b", 1000)
	sync(t, noon, a, b)
	a.remove("a/00500")                                                      // a bug or a disk took it
	b.items["a/00501"].Value = []byte("something else")                      // here it was changed
	it := b.items["a/00501"]                                                 //
	b.count(it, Digest.minus, 0)                                             //
	it.hash = hashOf(nil, &it.Entry)                                         //
	b.count(it, Digest.plus, 0)                                              //
	b.remove("b/00007")                                                      // and this is gone
	if size := session(t, a, b, noon).bytes; size > 4*(Buckets*20)+5*4*200 { // a few buckets of 8
		t.Errorf("the repair took %d bytes", size)
	}
	session(t, b, a, noon)
	sync(t, noon, a, b)
	if a.Digest() != b.Digest() || a.Len() != 2000 || b.Len() != 2000 {
		t.Errorf("not repaired: %d and %d keys", a.Len(), b.Len())
	}
}

func TestACopyThatWentBackInTimeGetsItsWritesBack(t *testing.T) {
	a, b := fill(t, "a", 3), fill(t, "b", 0)
	var kept Kept
	kept.Apply(a.Flush())
	lost := a.Put("k", []byte("after the backup"), Fence{}, noon)
	a.Put("k2", []byte("too"), Fence{}, noon)
	sync(t, noon, a, b)

	a = open(t, "a", kept)
	out := a.Apply(b.Answer(second(a, b)), noon)
	if len(out.Refused) != 1 || !errors.Is(out.Refused[0].Err, errRewound) {
		t.Errorf("it was not told: %v", out.Refused)
	}
	if e, ok := a.Get("k"); !ok || e.Dot != lost.Dot {
		t.Errorf("got %v, %v", e, ok)
	}
	if e := a.Put("k", []byte("next"), Fence{}, noon); e.Dot.Seq != 6 {
		t.Errorf("next number: got %d, want 6", e.Dot.Seq)
	}
}

func TestADamagedCopyAsksForEverything(t *testing.T) {
	a, b := fill(t, "a", 10), fill(t, "b", 10)
	sync(t, noon, a, b)
	for i := range 10 {
		a.Put(fmt.Sprintf("a/%05d", i), []byte("newer"), Fence{}, noon)
	}
	sync(t, noon, a, b)
	var kept Kept
	kept.Apply(a.Flush())
	kept.Entries = append(kept.Entries[:4], kept.Entries[6:]...)
	kept.Damage = []string{"two records"}
	a = open(t, "a", kept)
	if e := a.Put("more", []byte("x"), Fence{}, noon); e.Dot.Seq != 21 {
		t.Errorf("next number: got %d, want 21", e.Dot.Seq)
	}
	sync(t, noon, a, b)
	if a.Digest() != b.Digest() || !a.Seen().Equal(b.Seen()) || a.Len() != 21 {
		t.Errorf("%d keys, seen %v and %v", a.Len(), a.Seen(), b.Seen())
	}
}

// pairwise is a copy of every second write of an origin, from the first on: more
// of them than Seen has room for gaps.
func pairwise(t *testing.T, self string, n int) *Replica {
	r := open(t, self, Kept{Life: 1})
	for i := range n {
		r.Merge([]Entry{entry(fmt.Sprintf("k%d", i), "origin", uint64(2*i+2))}, noon)
	}
	return r
}

func TestWhatIsHeldAndNotSeenIsSentThoughAllElseIsEqual(t *testing.T) {
	const n = MaxGaps + 40
	a, b := pairwise(t, "a", MaxGaps), pairwise(t, "b", n)
	if a.Request().Sum != b.Request().Sum {
		t.Fatal("the copies have not seen the same, to begin with")
	}
	b.Put("b", []byte("new"), Fence{}, noon)
	ans := b.Answer(second(a, b))
	if a.Apply(ans, noon); len(ans.Entries) != 41 || a.Len() != b.Len() {
		t.Errorf("got %d entries, and %d of %d keys", len(ans.Entries), a.Len(), b.Len())
	}
}

func TestWhatIsSeenLaterThanItCameIsSentToWhoHasNotSeenIt(t *testing.T) {
	const n = MaxGaps + 40
	a, b := pairwise(t, "a", MaxGaps), pairwise(t, "b", n)
	b.Put("b", []byte("new"), Fence{}, noon)
	req := second(a, b) // says: of the other groups I have what you have
	whole := open(t, "c", Kept{Life: 1})
	for seq := range uint64(2 * n) {
		whole.Merge([]Entry{entry(fmt.Sprintf("k%d", seq/2), "origin", seq+1)}, noon)
	}
	session(t, b, whole, noon)
	if len(b.seen["origin"].Gaps) != 0 {
		t.Fatalf("b has seen %v", b.seen)
	}
	a.Apply(b.Answer(req), noon)
	for _, it := range b.log.items {
		if a.items[it.Key] == nil {
			t.Fatalf("%v did not come", it.Dot)
		}
	}
}

func TestWhatComesMeanwhileOfOtherOriginsIsSent(t *testing.T) {
	a, b := fill(t, "a", 0), fill(t, "b", 10)
	b.Merge([]Entry{entry("k", "other", 1)}, noon)
	session(t, a, b, noon)
	lost := b.Put("k2", []byte("1"), Fence{}, noon)
	req := second(a, b)
	// What a will take for seen from now on has lost to a write that it has not.
	winner := entry("k2", "other", 2)
	winner.Stamp.Wall += 1000
	b.Merge([]Entry{winner}, noon)
	a.Apply(b.Answer(req), noon)
	if e, ok := a.Get("k2"); !a.Seen().Has(lost.Dot) || !ok || e.Dot != winner.Dot {
		t.Errorf("seen %v, and holds %v", a.Seen(), e)
	}
}

func TestReportsSayWhatAPeerHasAtOneInstant(t *testing.T) {
	a, b := fill(t, "a", 3), fill(t, "b", 3)
	if _, ok := b.Asker(a.Request()); ok {
		t.Error("a digest that differs is taken for a report")
	}
	req := second(a, b)
	if p, ok := b.Asker(req); !ok || p.upTo != b.log.last || p.open.String() != "a:3" {
		t.Errorf("got %+v, %v", p, ok)
	}
	for what, bend := range map[string]func(*Request){
		"goes on":             func(r *Request) { r.At.Pos = 1 },
		"of an earlier life":  func(r *Request) { r.At.Life-- },
		"for another node":    func(r *Request) { r.At.Node = "c" },
		"for a repair":        func(r *Request) { r.Repair = make([]BucketSum, 1) },
		"names no group":      func(r *Request) { r.Groups = nil },
		"with a mad Seen":     func(r *Request) { r.Seen = Seen{"x": {}} },
		"with too many marks": func(r *Request) { r.Skip = make([]Mark, 2*MaxHeld+1) },
	} {
		bent := req
		bend(&bent)
		if p, ok := b.Asker(bent); ok {
			t.Errorf("a request that %s is taken for a report: %+v", what, p)
		}
	}
	ans := b.Answer(req)
	if _, ok := a.Answerer(ans); ok {
		t.Error("the last answer of a session is taken for a report")
	}
	sync(t, noon, a, b)
	first := a.Request()
	ans = b.Answer(first)
	a.Put("later", nil, Fence{}, noon)
	if p, ok := a.Answerer(ans); !ok || p.upTo != first.Pos {
		t.Errorf("equal copies: got %+v, %v; want what was here when a asked", p, ok)
	}
	a.Reset()
	if _, ok := a.Answerer(ans); ok {
		t.Error("an answer to an earlier life is taken for a report")
	}
}

func TestReportsToAnEarlierLifeForgetNothing(t *testing.T) {
	a, b := fill(t, "a", 3), fill(t, "b", 0)
	a.Delete("a/00001", Fence{}, noon)
	sync(t, later, a, b)
	said := reports(t, a, b)
	a.Reset()
	session(t, a, b, later)
	if got := a.Collect(said, later); len(got) != 0 {
		t.Errorf("collected %v", got)
	}
	if got := a.Collect(reports(t, a, b), later); len(got) != 1 {
		t.Errorf("collected %v, want the tombstone", got)
	}
}

func TestATombstoneThatIsNotSeenIsNotCollected(t *testing.T) {
	a := pairwise(t, "a", MaxGaps)
	gone := entry("gone", "origin", 10*MaxGaps)
	gone.Value, gone.Deleted = nil, true
	a.Merge([]Entry{gone}, later)
	if got := a.Collect(nil, later); len(got) != 0 {
		t.Errorf("collected %v, which nobody can have said to have seen", got)
	}
}

func TestNonsenseInMessagesIsHarmless(t *testing.T) {
	bad := Seen{"x": {Head: 3, Gaps: []Gap{{From: 9, To: 1}}}}
	a, b := fill(t, "a", 3), fill(t, "b", 3)
	here := Cursor{Node: "a", Life: a.life}
	far := here
	far.Pos, far.Even = 1<<63, 1<<63
	for what, req := range map[string]Request{
		"mad Seen":            {At: here, Groups: []byte{1}, Seen: bad},
		"too many groups":     {At: here, Groups: make([]byte, 1000)},
		"too many buckets":    {At: here, Repair: make([]BucketSum, 1000)},
		"a place beyond":      {At: far, Groups: []byte{1, 1, 1}},
		"buckets from beyond": {At: far, Repair: make([]BucketSum, 3)},
	} {
		if ans := a.Answer(req); ans.More || len(ans.Entries) > 0 || len(ans.Repair) > Buckets {
			t.Errorf("%s: got %+v", what, ans)
		}
	}
	first := b.Answer(a.Request())
	for what, bend := range map[string]func(*Answer){
		"mad Seen":       func(ans *Answer) { ans.Seen = bad },
		"three sums":     func(ans *Answer) { ans.Sums = ans.Sums[:3] },
		"three buckets":  func(ans *Answer) { ans.Sums, ans.Buckets = nil, make([]Digest, 3) },
		"too many marks": func(ans *Answer) { ans.Skip = make([]Mark, 1000) },
		"another life":   func(ans *Answer) { ans.Life++ },
	} {
		bent := first
		bend(&bent)
		if out := a.Apply(bent, noon); out.Next != nil || out.Push != nil || out.Over {
			t.Errorf("%s: next %v, push %v, over %v", what, out.Next, out.Push, out.Over)
		}
	}
	empty := Answer{Life: a.life, Sum: a.Request().Sum, Buckets: slices.Clone(a.buckets[:])}
	if out := a.Apply(empty, noon); out.Next != nil {
		t.Errorf("copies that differ in no bucket are compared for ever: %+v", out.Next)
	}
}

func TestAnswersStayAsTheyWereGiven(t *testing.T) {
	a, b := fill(t, "a", 3), fill(t, "b", 3)
	sums := b.Answer(a.Request())
	buckets := b.Answer(Request{Sum: b.Request().Sum})
	before := [2]string{fmt.Sprint(sums), fmt.Sprint(buckets)}
	b.Put("more", nil, Fence{}, noon)
	b.Request()
	if after := [2]string{fmt.Sprint(sums), fmt.Sprint(buckets)}; after != before {
		t.Errorf("answers that were given are now\n%v, were\n%v", after, before)
	}
}

func TestSeenStaysAsItWasHandedOut(t *testing.T) {
	r := fill(t, "a", 3)
	before := r.Seen()
	r.Put("more", nil, Fence{}, noon)
	if before.String() != "a:3" || r.Seen().String() != "a:4" {
		t.Errorf("handed out as a:3, is %v; the copy's own is %v", before, r.Seen())
	}
	if allocs := testing.AllocsPerRun(10, func() { r.Seen() }); allocs > 0 {
		t.Errorf("%v allocations though nothing has changed", allocs)
	}
}
