package crdt

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestEqualCopiesExchangeLittle(t *testing.T) {
	a, b := fill(t, "aaaaaaaaaaaaaaa1", 200), fill(t, "bbbbbbbbbbbbbbb2", 200)
	const origins = 50
	for i := range origins - 2 {
		o := fill(t, fmt.Sprintf("origin%010d", i), 200)
		session(t, a, o, noon)
	}
	sync(t, noon, a, b)
	limit := 100 + 24*origins
	req := a.Request()
	if n := wire(t, req, new(Request)); n > limit {
		t.Errorf("the request takes %d bytes, want at most %d", n, limit)
	}
	if n := wire(t, b.Answer(req), new(Answer)); n > limit {
		t.Errorf("the answer takes %d bytes, want at most %d", n, limit)
	}
}

func TestASessionCostsWhatTheDifferenceCosts(t *testing.T) {
	a, b := fill(t, "a", 20_000), fill(t, "b", 0)
	session(t, b, a, noon)
	same := session(t, b, a, noon)
	for _, n := range []int{1, 10, 100} {
		for i := range n {
			a.Put(fmt.Sprintf("a/%05d", i*17), []byte("changed"), Fence{}, noon)
		}
		if size := session(t, b, a, noon); size > same+n*160 {
			t.Errorf("%d differences cost %d bytes, equality %d", n, size, same)
		}
		if a.Digest() != b.Digest() {
			t.Fatal("not equal")
		}
	}
}

// parts runs a session of a with b by hand, one part each time it is called.
func parts(t *testing.T, a, b *Replica) (step func() (more bool), n *int) {
	req, n := a.Request(), new(int)
	return func() bool {
		ans := b.Answer(req)
		*n++
		if size := wire(t, ans, new(Answer)); size > AnswerBytes+MaxValue+4096 {
			t.Fatalf("part %d takes %d bytes", *n, size)
		}
		_, next, _ := a.Apply(ans, noon)
		if next == nil {
			return false
		}
		req = *next
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
	step, n := parts(t, a, b)
	for step() {
		if len(a.seen["b"].Gaps) > MaxGaps {
			t.Fatalf("%d gaps", len(a.seen["b"].Gaps))
		}
		// What changes meanwhile is neither missed nor taken for had.
		b.Put(fmt.Sprintf("b/%05d", *n*7), []byte("meanwhile"), Fence{}, noon)
	}
	if *n < 4 {
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
	step()
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
	ans := b.Answer(a.Request())
	_, next, _ := a.Apply(ans, noon)
	var kept Kept
	kept.Apply(b.Flush())
	kept.Life = 2
	b = open(t, "b", kept) // restarted: its order of arrival is another one
	for next != nil {
		if len(next.Repair) > 0 {
			t.Fatal("something was missed, and only the digest has found it")
		}
		_, next, _ = a.Apply(b.Answer(*next), noon)
	}
	if a.Digest() != b.Digest() || !a.Seen().Equal(b.Seen()) {
		t.Error("something was missed")
	}
}

func TestALateAnswerToAnEarlierLifeOnlyBringsEntries(t *testing.T) {
	a, b := fill(t, "a", 0), superseded(t)
	ans := b.Answer(a.Request())
	for ans.More {
		_, next, _ := a.Apply(ans, noon)
		ans = b.Answer(*next)
	}
	a = open(t, "a", Kept{Life: 2}) // crashed before anything was kept
	if m, next, push := a.Apply(ans, noon); len(m.News) == 0 || next != nil || push != nil {
		t.Errorf("got %d news, next %v", len(m.News), next)
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
	req := a.Request()
	if ans := b.Answer(req); len(ans.Entries) != 1 || ans.Entries[0].Key != "b/00000" {
		t.Errorf("sent again: %v", ans.Entries)
	}
	session(t, c, a, noon)
	if _, ok := c.Get("bad"); ok || c.Seen().Has(Dot{"x", 3}) {
		t.Error("passed on")
	}
	// Nor does c push to a what a has refused.
	session(t, c, b, noon.Add(time.Hour))
	if _, _, push := c.Apply(a.Answer(c.Request()), noon); len(push) != 1 {
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
	_, _, push := a.Apply(b.Answer(a.Request()), noon)
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
	a.remove("a/00500")                                                // a bug or a disk took it
	b.items["a/00501"].Value = []byte("something else")                // here it was changed
	it := b.items["a/00501"]                                           //
	b.count(it, Digest.minus)                                          //
	it.hash = hashOf(nil, &it.Entry)                                   //
	b.count(it, Digest.plus)                                           //
	b.remove("b/00007")                                                // and this is gone
	if size := session(t, a, b, noon); size > 4*(Buckets*20)+5*4*200 { // a few buckets of 8
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
	m, _, _ := a.Apply(b.Answer(a.Request()), noon)
	if len(m.Refused) != 1 || !errors.Is(m.Refused[0].Err, errRewound) {
		t.Errorf("it was not told: %v", m.Refused)
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

func TestNonsenseInMessagesIsHarmless(t *testing.T) {
	bad := Seen{"x": {Head: 3, Gaps: []Gap{{From: 9, To: 1}}}}
	a := fill(t, "a", 3)
	req := Request{
		Seen: bad, Repair: make([]BucketSum, 1000), At: Cursor{Node: "a", Life: 1 << 16, Pos: 1 << 63},
	}
	if ans := a.Answer(req); ans.More || ans.Repair != nil {
		t.Errorf("got %v", ans)
	}
	if _, next, push := a.Apply(Answer{Life: a.life, Seen: bad}, noon); next != nil || push != nil {
		t.Errorf("next %v, push %v", next, push)
	}
	three := Answer{Life: a.life, Seen: a.Seen(), Buckets: make([]Digest, 3)}
	if _, next, _ := a.Apply(three, noon); next == nil || next.Repair != nil {
		t.Errorf("three buckets: next %v", next)
	}
}
