package crdt

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestClockStrictlyIncreasesWhateverTheWallDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewClock("n1", MaxAhead)
		last := Stamp{}
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			wall := noon.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "wall")))
			if rapid.Bool().Draw(t, "observe") {
				s := Stamp{Wall: wallMillis(wall), Logical: rapid.Uint32().Draw(t, "logical"), Node: "n2"}
				if err := c.Observe(s, wall); err != nil {
					t.Fatalf("observe a stamp of this very moment: %v", err)
				}
				if s.Compare(last) > 0 {
					last = s
				}
				continue
			}
			s := c.Now(wall)
			if s.Compare(last) <= 0 {
				t.Fatalf("after %v came %v", last, s)
			}
			last = s
		}
	})
}

func TestClockSurvivesTheEndOfItsCounter(t *testing.T) {
	c := NewClock("n1", MaxAhead)
	full := Stamp{Wall: noon.UnixMilli(), Logical: math.MaxUint32, Node: "n2"}
	if err := c.Observe(full, noon); err != nil {
		t.Fatal(err)
	}
	if s := c.Now(noon); s.Wall != full.Wall+1 || s.Logical != 0 {
		t.Errorf("after a full counter: got %v, want the next millisecond", s)
	}
}

func TestClockRefusesWhatIsTooFarAhead(t *testing.T) {
	ms := noon.UnixMilli()
	for _, tc := range []struct {
		name string
		wall int64
		skew bool
		ok   bool
	}{
		{name: "long ago", wall: 0, ok: true},
		{name: "at the bound", wall: ms + MaxAhead.Milliseconds(), ok: true},
		{name: "over the bound", wall: ms + MaxAhead.Milliseconds() + 1, skew: true},
		{name: "the last legal time", wall: MaxWall, skew: true},
		{name: "beyond time", wall: MaxWall + 1},
		{name: "2^63-1", wall: math.MaxInt64},
		{name: "before time", wall: -1},
		{name: "-2^63", wall: math.MinInt64},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := NewClock("n1", MaxAhead)
			before := c.Now(noon)
			err := c.Observe(Stamp{Wall: tc.wall, Node: "n2"}, noon)
			if (err == nil) != tc.ok || IsSkew(err) != tc.skew {
				t.Fatalf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), `"n2"`) {
				t.Errorf("error %q does not name the node", err)
			}
			if err != nil && c.last != before {
				t.Error("a refused stamp moved the clock")
			}
			if s := c.Now(noon); s.Compare(before) <= 0 {
				t.Errorf("clock went from %v back to %v", before, s)
			}
		})
	}
}

func TestSkewErrorSaysWhoseClockAndHowFar(t *testing.T) {
	c := NewClock("n1", MaxAhead)
	err := c.Observe(Stamp{Wall: noon.Add(2 * time.Hour).UnixMilli(), Node: "n7"}, noon)
	var skew *SkewError
	if !errors.As(err, &skew) || skew.Node != "n7" || skew.Ahead != 2*time.Hour {
		t.Fatalf("got %#v", err)
	}
	want := `clock of node "n7" is 2h0m0s ahead of ours (1m0s are allowed): ` +
		`set its clock, or ours if every node is named`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}
