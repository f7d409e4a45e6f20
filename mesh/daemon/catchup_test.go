package daemon

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// merging is a merge of two nodes that have kept something: n1 at 1, 4 and 3
// seconds by its clock, n2 at 2 and 5.
func merging(r api.EventsRequest, got *[]api.EventLine) *eventMerge {
	m := &eventMerge{
		r: r, view: &mesh.View{}, sources: map[mesh.NodeID]*eventSource{},
		heads:  map[mesh.NodeID]api.Position{},
		cursor: api.Cursor{Nodes: map[mesh.NodeID]api.Position{}},
		send:   func(l api.EventLine) error { *got = append(*got, l); return nil },
	}
	for id, seconds := range map[mesh.NodeID][]int64{"n1": {1, 4, 3}, "n2": {2, 5}} {
		s := m.source(id)
		s.kept, s.running, s.cancel = make(chan api.EventLine, eventQueue), true, func() {}
		put := func(l api.EventLine, n int) {
			l.Cursor = api.Cursor{Nodes: map[mesh.NodeID]api.Position{id: {Run: 7, Number: uint64(n)}}}.String()
			s.kept <- l
		}
		for i, at := range seconds {
			put(api.EventLine{At: time.Unix(at, 0), Kind: mesh.TaskStarted, Text: fmt.Sprint(at)}, i+1)
		}
		put(api.EventLine{Kind: api.EventCaughtUp}, 10)
	}
	return m
}

func TestKeptEventsAreMergedByTime(t *testing.T) {
	for _, test := range []struct {
		tail int
		want []string // text and cursor
	}{
		{-1, []string{"1 0~n1.7.1", "2 0~n1.7.1~n2.7.1", "4 0~n1.7.2~n2.7.1", "3 0~n1.7.3~n2.7.1", "5 0~n1.7.3~n2.7.2"}},
		{2, []string{"3 2bc~n1.7.3~n2.7.1", "5 2bc~n1.7.3~n2.7.2"}},
		{1, []string{"5 3uw~n1.7.a~n2.7.2"}},
		{9, []string{"1 0~n1.7.1~n2.7.0", "2 0~n1.7.1~n2.7.1", "4 0~n1.7.2~n2.7.1", "3 0~n1.7.3~n2.7.1", "5 0~n1.7.3~n2.7.2"}},
		{0, nil},
	} {
		var lines []api.EventLine
		m := merging(api.EventsRequest{Tail: test.tail}, &lines)
		if err := m.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range lines {
			got = append(got, l.Text+" "+l.Cursor)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("the last %d:\ngot  %q\nwant %q", test.tail, got, test.want)
		}
	}
}

// TestANodeThatDoesNotAnswerHoldsNobodyUp: it is named, and the others' come.
func TestANodeThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []api.EventLine
		m := merging(api.EventsRequest{Tail: -1}, &lines)
		for _, id := range []mesh.NodeID{"silent", "too"} {
			s := m.source(id)
			s.kept, s.cancel = make(chan api.EventLine), func() {}
		}
		began := time.Now()
		if err := m.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != eventPatience {
			t.Errorf("it took %v, want %v", took, eventPatience)
		}
		if len(lines) != 7 || lines[0].Kind != api.EventUnasked || lines[1].NodeID != "too" {
			t.Errorf("got %+v", lines)
		}
		s := m.sources["silent"]
		late := api.EventLine{Text: "late", Cursor: "0~silent.1.1"}
		if err := m.take(sourceLine{from: s, line: late}); err != nil || len(lines) != 7 {
			t.Errorf("what it says later, with what came before missing: %+v, %v", lines[7:], err)
		}
	})
}
