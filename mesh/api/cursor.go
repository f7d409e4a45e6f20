package api

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
)

// Bounds of a cursor's text.
const (
	cursorNodesMax = 1024 // as many fit into a request
	cursorIDMax    = 32   // characters of a node's id

	cursorAhead = 24 * time.Hour    // how far clocks may be apart
	cursorFirst = 1_577_836_800_000 // 2020, before every event: a word is read as an earlier time
)

// Position is a place in what one node has seen: after the event with that
// number of that run. A run is a life of the node's agent, so that no number of
// one is ever used twice, and one that is missing was lost. Later runs are larger.
type Position struct {
	Run    uint64 `json:"run"`
	Number uint64 `json:"n"`
}

// Compare is -1 if p is before o, 0 if they are the same, 1 if it is after.
func (p Position) Compare(o Position) int {
	return cmp.Or(cmp.Compare(p.Run, o.Run), cmp.Compare(p.Number, o.Number))
}

// Cursor is a place in the events of the whole mesh. They have no one order: a
// node numbers what it sees, and whoever is asked merges by time what nodes in
// sight have. So the place is one position for each node of which something
// was, or was to be, in the stream, and a floor for all others: of a node that
// was out of sight until now, what is not before it. The stream goes on after a
// cursor with exactly what has not been in it, whoever is asked, and whichever
// agent was started anew meanwhile.
//
// As text it is FLOOR~NODE.RUN.NUMBER~…, by node, with numbers in base 36 and
// the floor in milliseconds since 1970: about 30 bytes a node, all of which can
// stand in a URL. Weighed: numbers that go on for ever, which a disk that was
// full or went back in time would give twice; a time alone, which two events
// can have and clocks disagree on; what a peer remembers of who asks, which ends
// with that peer.
type Cursor struct {
	Floor time.Time // zero for none; whole milliseconds
	Nodes map[mesh.NodeID]Position
}

// IsZero says whether it is the place before everything.
func (c Cursor) IsZero() bool { return c.Floor.IsZero() && len(c.Nodes) == 0 }

// String is the cursor as text.
func (c Cursor) String() string {
	var b strings.Builder
	var floor int64
	if !c.Floor.IsZero() {
		floor = max(c.Floor.UnixMilli(), 0)
	}
	b.WriteString(strconv.FormatInt(floor, 36))
	for _, id := range slices.Sorted(maps.Keys(c.Nodes)) {
		p := c.Nodes[id]
		b.WriteString("~" + string(id) + "." + strconv.FormatUint(p.Run, 36) + "." + strconv.FormatUint(p.Number, 36))
	}
	return b.String()
}

// MarshalText is String.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what String writes, and nothing else.
func (c *Cursor) UnmarshalText(text []byte) error {
	read, err := ParseCursor(string(text))
	*c = read
	return err
}

// ParseCursor reads what String writes, and nothing else.
func ParseCursor(text string) (Cursor, error) {
	bad := func(why string) (Cursor, error) {
		return Cursor{}, mesh.Faultf(mesh.Invalid, "cursor %q is none that mn gave: %s", shorten(text), why).
			Hint("give one as it is in a line of: mn events --json")
	}
	parts := strings.Split(text, "~")
	floor, err := strconv.ParseInt(parts[0], 36, 64)
	if err != nil || floor < 0 {
		return bad("it does not begin with a time")
	}
	if len(parts) > 1+cursorNodesMax {
		return bad(fmt.Sprintf("it is of more than %d nodes", cursorNodesMax))
	}
	c := Cursor{Nodes: map[mesh.NodeID]Position{}}
	if floor > 0 {
		c.Floor = time.UnixMilli(floor).UTC()
	}
	for _, part := range parts[1:] {
		id, at, _ := strings.Cut(part, ".")
		run, number, _ := strings.Cut(at, ".")
		r, err1 := strconv.ParseUint(run, 36, 64)
		n, err2 := strconv.ParseUint(number, 36, 64)
		if err1 != nil || err2 != nil || !plainID(id) {
			return bad(fmt.Sprintf("%q is no position of a node", shorten(part)))
		}
		c.Nodes[mesh.NodeID(id)] = Position{r, n}
	}
	if c.String() != text {
		return bad("it is not in order")
	}
	return c, nil
}

// plainID says whether s can be a node's id, which is of small letters and digits.
func plainID(s string) bool {
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	return s != "" && len(s) <= cursorIDMax && strings.IndexFunc(s, other) < 0
}

// shorten is the beginning of a text that may be long, for a message.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
