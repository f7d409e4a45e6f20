package api

import (
	"reflect"
	"testing"
	"time"

	"mn/mesh"
)

// TestWhatIfAsksForOneThing: names become ids, the rest of a split is a side, and what
// makes no sense is refused before anything is supposed.
func TestWhatIfAsksForOneThing(t *testing.T) {
	drained := mesh.Administration{
		Node: "bbbb2222", Mode: mesh.Draining, Deadline: monday.Add(30 * time.Minute),
	}
	for _, test := range []struct {
		ask  WhatIfRequest
		want any // a Supposition, or the text of a fault
	}{
		{WhatIfRequest{Lose: []string{"n3", "aaaa"}}, Supposition{Lost: []mesh.NodeID{"bbbc3333", "aaaa1111"}}},
		{WhatIfRequest{Drain: "n2"}, Supposition{Admin: drained}},
		{
			WhatIfRequest{Partition: [][]string{{"n2"}}},
			Supposition{Sides: [][]mesh.NodeID{{"bbbb2222"}, {"aaaa1111"}}},
		},
		{
			WhatIfRequest{Partition: [][]string{{"n1"}, {"n2"}}},
			Supposition{Sides: [][]mesh.NodeID{{"aaaa1111"}, {"bbbb2222"}}},
		},
		{WhatIfRequest{}, "want one of lose, drain and partition, not 0"},
		{WhatIfRequest{Lose: []string{"n1"}, Drain: "n2"}, "want one of lose, drain and partition, not 2"},
		{WhatIfRequest{Lose: []string{"n9"}}, `no node "n9"`},
		{WhatIfRequest{Lose: []string{"n1", "n2"}}, "no other node is in sight: nobody would be left to decide anything"},
		{WhatIfRequest{Lose: []string{"n1", "aaaa1111"}}, `node "n1" is named twice`},
		{WhatIfRequest{Partition: [][]string{{"n1"}, {"n1"}}}, `node "n1" is named twice`},
		{WhatIfRequest{Partition: [][]string{{"n1", "n2"}}}, "all nodes in sight are on one side: that is no partition"},
		{WhatIfRequest{Partition: [][]string{{"n1"}, {"n3"}}}, `node "n3" is not in sight now: it is on no side`},
	} {
		b := newFake()
		_, c := serving(t, b, Socket)
		_, err := c.WhatIf(t.Context(), test.ask)
		var got any
		if len(b.asked) == 1 {
			got = b.asked[0]
		}
		if err != nil {
			got = err.Error()
			if f := mesh.FaultOf(err); f.Kind != mesh.Invalid && f.Kind != mesh.NotFound {
				t.Errorf("%+v: got a fault of kind %s", test.ask, f.Kind)
			}
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v:\ngot  %+v\nwant %+v", test.ask, got, test.want)
		}
	}
}
