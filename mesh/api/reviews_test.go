package api

import (
	"context"
	"errors"
	"testing"

	"mn/mesh"
)

// waiting is a world in which three copies wait for a person.
func waiting() *fake {
	f := newFake()
	f.snap.Outlooks[0].Reviews = []mesh.Review{
		{Alloc: "sum00001", Job: "sum", Node: "aaaa1111", Kind: mesh.ReviewFailed, Reason: "exit code 1", Since: monday},
	}
	f.snap.Outlooks[1].Reviews = []mesh.Review{
		{Alloc: "web00001", Job: "web", Node: "bbbb2222", Kind: mesh.ReviewLost, Reason: "node box-2 is lost"},
		{Alloc: "web00002", Job: "web", Node: "bbbc3333", Kind: mesh.ReviewDrain, Reason: "node box-3 is drained"},
	}
	return f
}

// TestReviewsAreListedByJob, with where and since when.
func TestReviewsAreListedByJob(t *testing.T) {
	f := waiting()
	rows := picture{f.snap}.reviews()
	if len(rows) != 3 || rows[0].ID != "sum00001" || rows[1].ID != "web00001" || rows[2].Index != 2 {
		t.Fatalf("got %+v", rows)
	}
	if rows[0].Since == nil || !rows[0].Since.Equal(monday) || rows[1].Since != nil || rows[0].Group != "pair" {
		t.Errorf("got %+v", rows)
	}
	if rows := (picture{newFake().snap}).reviews(); rows == nil || len(rows) != 0 {
		t.Errorf("got %v, want an empty list", rows)
	}
}

// TestJudgeTakesWhatAPersonMeans: a job stands for all of it that waits, and what may
// still run is not approved without the word that it does not.
func TestJudgeTakesWhatAPersonMeans(t *testing.T) {
	tests := []struct {
		request JudgeRequest
		judged  []mesh.AllocID
		fault   mesh.FaultKind
	}{
		{JudgeRequest{Of: "sum", Approve: true}, []mesh.AllocID{"sum00001"}, ""},
		{JudgeRequest{Of: "sum00001", Reason: "over"}, []mesh.AllocID{"sum00001"}, ""},
		{JudgeRequest{Of: "sum0"}, []mesh.AllocID{"sum00001"}, ""},
		{JudgeRequest{Of: "web"}, []mesh.AllocID{"web00001", "web00002"}, ""},
		{JudgeRequest{Of: "web", Approve: true}, nil, mesh.Invalid},
		{JudgeRequest{Of: "web00002", Approve: true}, []mesh.AllocID{"web00002"}, ""},
		{JudgeRequest{Of: "web", Approve: true, Dead: true}, []mesh.AllocID{"web00001", "web00002"}, ""},
		{JudgeRequest{Of: "web0"}, nil, mesh.Invalid},
		{JudgeRequest{Of: "web00000"}, nil, mesh.NotFound},
		{JudgeRequest{Of: "nobody"}, nil, mesh.NotFound},
	}
	for _, tt := range tests {
		f := waiting()
		about, err := judge(context.Background(), f, tt.request)
		var fault *mesh.Fault
		if errors.As(err, &fault); (fault == nil) != (tt.fault == "") || fault != nil && fault.Kind != tt.fault {
			t.Errorf("%+v: got %v, want %q", tt.request, err, tt.fault)
		}
		if len(about) != len(tt.judged) || len(f.asked) != len(tt.judged) {
			t.Errorf("%+v: judged %+v, asked for %+v, want %v", tt.request, about, f.asked, tt.judged)
			continue
		}
		for i, id := range tt.judged {
			want := mesh.Verdict{Alloc: id, Approve: tt.request.Approve, Reason: tt.request.Reason}
			if f.asked[i] != want {
				t.Errorf("%+v: asked for %+v, want %+v", tt.request, f.asked[i], want)
			}
		}
	}
	f := newFake()
	if _, err := judge(context.Background(), f, JudgeRequest{Of: "web"}); !errors.As(err, new(*mesh.Fault)) {
		t.Errorf("a job of which nothing waits was judged: %v", err)
	}
}
