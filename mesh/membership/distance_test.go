package membership

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

// TestNodesKnowHowFarTheOthersAre: as far as the network is that they talk over, and in the right order.
func TestNodesKnowHowFarTheOthersAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Lab, 4)
		defer c.end()
		c.air.far[addrOf(2)] = 10 * time.Millisecond
		c.air.far[addrOf(3)] = 30 * time.Millisecond
		c.startAll()
		first := c.nodes[c.ids[0]]
		if _, ok := first.Distance("nobody"); ok {
			t.Error("it knows how far nobody is")
		}
		if d, ok := first.Distance(c.ids[0]); d != 0 || !ok {
			t.Errorf("to itself: got %v, %v", d, ok)
		}
		time.Sleep(3 * time.Minute)
		for from, takes := range map[int][]time.Duration{ // there and back, in milliseconds
			0: {0, 4, 24, 64}, 2: {24, 24, 0, 84}, 3: {64, 64, 84, 0},
		} {
			for to, want := range takes {
				got, ok := c.nodes[c.ids[from]].Distance(c.ids[to])
				want *= time.Millisecond
				if diff := (got - want).Abs(); !ok || diff > want/4+2*time.Millisecond {
					t.Errorf("from %d to %d: got %v, %v, want about %v", from, to, got, ok, want)
				}
			}
		}
	})
}

// TestADoubtKnowsOfAnswersWhereDistancesAreMeasured: both live on the same answers.
func TestADoubtKnowsOfAnswersWhereDistancesAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, Fast, 2)
		defer c.end()
		c.startAll()
		time.Sleep(5 * time.Second)
		n := c.nodes[c.ids[0]]
		if wait := n.doubter.doubt(c.ids[1], time.Now()); wait == 0 {
			t.Error("the answers of a node do not count")
		}
		if _, ok := n.Distance(c.ids[1]); !ok {
			t.Error("its distance is not known")
		}
	})
}

func TestCoordinatesThatCannotBe(t *testing.T) {
	c, err := newCompass()
	if err != nil {
		t.Fatal(err)
	}
	good := c.encode()
	if at, ok := decodeCoordinate(append(good, "of a newer release"...)); !ok || at.Error != 1.5 {
		t.Errorf("got %+v, %v", at, ok)
	}
	at := func(i int, x float32) []byte {
		b := append([]byte{}, good...)
		bits := math.Float32bits(x)
		for k := range 4 {
			b[1+4*i+k] = byte(bits >> (24 - 8*k))
		}
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"cut off":            good[:len(good)-1],
		"another version":    append([]byte{9}, good[1:]...),
		"no number":          at(0, float32(math.NaN())),
		"without an end":     at(7, float32(math.Inf(-1))),
		"on the moon":        at(3, 1e9),
		"an error below 0":   at(dimensions, -1),
		"a height below 0":   at(dimensions+2, -1),
		"an error too large": at(dimensions, 61),
	} {
		c.probed("a", time.Millisecond, b)
		if d, ok := c.distance("a"); ok {
			t.Errorf("%s: it is believed: %v", name, d)
		}
	}
	c.probed("a", time.Hour, good)
	if _, ok := c.distance("a"); ok {
		t.Error("an answer after an hour is believed")
	}
	c.probed("a", time.Millisecond, good)
	if _, ok := c.distance("a"); !ok {
		t.Error("a good one is not")
	}
	for i := range 2 * maxMembers {
		c.probed(mesh.NodeID(string(rune(i+1))), time.Millisecond, good)
	}
	if n := len(c.known); n > maxMembers {
		t.Errorf("%d nodes are remembered", n)
	}
}

func FuzzDecodeCoordinate(f *testing.F) {
	c, err := newCompass()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		at, ok := decodeCoordinate(b)
		if !ok {
			return
		}
		if !at.IsValid() || !at.IsCompatibleWith(c.client.GetCoordinate()) {
			t.Errorf("% x is read as %+v", b, at)
		}
		c.probed("a", time.Millisecond, b)
		if d, ok := c.distance("a"); ok && (d < 0 || d > time.Hour) {
			t.Errorf("a distance of %v", d)
		}
	})
}
