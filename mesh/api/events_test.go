package api

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"mn/mesh"
)

func TestWhichEventsAreSelected(t *testing.T) {
	e := mesh.Event{Node: "aaaa1111", Peer: "bbbb2222", Kind: mesh.AllocPlaced, Job: "web"}
	for _, test := range []struct {
		r    EventsRequest
		want bool
	}{
		{EventsRequest{}, true},
		{EventsRequest{Job: "web"}, true},
		{EventsRequest{Job: "sum"}, false},
		{EventsRequest{Node: "aaaa1111"}, true},
		{EventsRequest{Node: "bbbb2222"}, true},
		{EventsRequest{Node: "bbbc3333"}, false},
		{EventsRequest{Kinds: Kinds{"alloc"}}, true},
		{EventsRequest{Kinds: Kinds{"task", "alloc_placed"}}, true},
		{EventsRequest{Kinds: Kinds{"all"}}, false},
		{EventsRequest{Kinds: Kinds{"alloc_blocked"}}, false},
		{EventsRequest{Job: "web", Kinds: Kinds{"task"}}, false},
	} {
		if got := test.r.Selects(&e); got != test.want {
			t.Errorf("%+v: got %v, want %v", test.r, got, test.want)
		}
	}
}

func TestWrongRequestsForEventsAreRefused(t *testing.T) {
	for want, r := range map[string]EventsRequest{
		`no event is of kind "tasks"`: {Kinds: Kinds{"tasks"}},
		"tail -2 is not":              {Tail: -2},
		"tail 10001 is not":           {Tail: EventsTailMax + 1},
		`no job "nope"`:               {Job: "nope"},
		`no node "nope"`:              {Node: "nope"},
	} {
		b := newFake()
		_, c := serving(t, b, Socket)
		err := c.Events(t.Context(), r, func(EventLine) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) || len(b.asked) > 0 {
			t.Errorf("got %v and asked %v, want %q", err, b.asked, want)
		}
	}
}

func TestANodeIsFoundForItsEvents(t *testing.T) {
	for _, test := range []struct {
		r    EventsRequest
		want string
	}{
		{EventsRequest{Node: "n2"}, "bbbb2222"},
		{EventsRequest{Node: "aaaa"}, "aaaa1111"},
		{EventsRequest{Node: "unknown", Job: "unknown", Local: true}, "unknown"}, // between peers
	} {
		b := newFake()
		_, c := serving(t, b, Socket)
		if err := c.Events(t.Context(), test.r, func(EventLine) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if got := b.asked[0].(EventsRequest).Node; got != test.want {
			t.Errorf("%q: got %q, want %q", test.r.Node, got, test.want)
		}
	}
}

func TestCursorsAreReadAsTheyWereWritten(t *testing.T) {
	for text, want := range map[string]Cursor{
		"0":           {Nodes: map[mesh.NodeID]Position{}},
		"0~aa22.z.10": {Nodes: map[mesh.NodeID]Position{"aa22": {35, 36}}},
		"mwt1bxc0~aa.1.0~b2.3w5e11264sgsf.1": {
			Floor: monday, Nodes: map[mesh.NodeID]Position{"aa": {1, 0}, "b2": {1<<64 - 1, 1}},
		},
	} {
		got, err := ParseCursor(text)
		if err != nil || !reflect.DeepEqual(got, want) || want.String() != text {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v, %s", text, got, err, want, want)
		}
	}
	for _, text := range []string{
		"", "~", "-1", "0~", "0~aa.1", "0~aa.1.x!", "0~aa.1.1.1", "0~AA.1.1", "0~.1.1", "00", "0~bb.1.1~aa.1.1",
		"0~aa.1.1~aa.1.2", "0~aa.+1.1", "0~aa.1.3w5e11264sgsg", "0 ~aa.1.1", "0" + strings.Repeat("~aa.1.1", cursorNodesMax+1),
		"0~" + strings.Repeat("a", cursorIDMax+1) + ".1.1",
	} {
		if c, err := ParseCursor(text); mesh.FaultOf(err).Kind != mesh.Invalid {
			t.Errorf("%q: got %+v, %v, want it refused", shorten(text), c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("0")
	f.Add("mwt1bxc0~aa.1.0~b2.3w5e11264sgsf.1")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCursor(text); err == nil && c.String() != text {
			t.Errorf("%q is read, and written as %q", text, c)
		}
	})
}

func TestPositionsAreOrderedByRunThenNumber(t *testing.T) {
	want := []Position{{}, {1, 0}, {1, 9}, {2, 1}, {2, 2}}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Position.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
