package crdt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of an entry. Counters end far below where they would wrap.
const (
	MaxKey    = 512
	MaxValue  = 512 << 10
	MaxOrigin = 64
	MaxSeq    = 1 << 62
	MaxEpoch  = 1<<(64-ballotBits) - 1
	MaxBallot = 1<<ballotBits - 1
)

// MalformedError refuses what no correct node sends.
type MalformedError struct{ Reason string }

// Error is the reason.
func (e *MalformedError) Error() string { return e.Reason }

// errRewound: the entry is the fault of our own disk, or of a forger.
var errRewound = errors.New("write of this node that it does not know: " +
	"its data went back in time (a restored backup?), or somebody else has its key")

// IsRewound says whether an entry was refused because it is a write of this node
// which its own copy does not know.
func IsRewound(err error) bool { return errors.Is(err, errRewound) }

// Check says whether a key and a value can be written at all.
func Check(key string, value []byte) error {
	switch {
	case key == "" || len(key) > MaxKey:
		return &MalformedError{fmt.Sprintf("key of %d bytes: want 1 to %d", len(key), MaxKey)}
	case !utf8.ValidString(key):
		return &MalformedError{fmt.Sprintf("key %q is not UTF-8", key)}
	case len(value) > MaxValue:
		return &MalformedError{fmt.Sprintf("value of %q: %d bytes are over the %d allowed",
			key, len(value), MaxValue)}
	}
	return nil
}

// check says what is wrong with an entry from outside, whoever may write it.
func (e *Entry) check() error {
	if err := Check(e.Key, e.Value); err != nil {
		return err
	}
	switch {
	case e.Deleted && len(e.Value) > 0:
		return &MalformedError{fmt.Sprintf("entry %q: a deletion with a value", e.Key)}
	case e.Dot.Origin == "" || len(e.Dot.Origin) > MaxOrigin || !utf8.ValidString(e.Dot.Origin):
		return &MalformedError{fmt.Sprintf("entry %q: impossible origin %q", e.Key, cut(e.Dot.Origin))}
	case e.Stamp.Node != e.Dot.Origin:
		return &MalformedError{fmt.Sprintf("entry %q: written by %q, stamped by %q",
			e.Key, e.Dot.Origin, cut(e.Stamp.Node))}
	case e.Dot.Seq == 0 || e.Dot.Seq > MaxSeq:
		return &MalformedError{fmt.Sprintf("entry %q: impossible number %d", e.Key, e.Dot.Seq)}
	case e.Fence.Epoch > MaxEpoch || e.Fence.Ballot > MaxBallot:
		return &MalformedError{fmt.Sprintf("entry %q: impossible fence %v", e.Key, e.Fence)}
	case e.Stamp.Wall < 0 || e.Stamp.Wall > MaxWall:
		return &MalformedError{fmt.Sprintf("entry %q: impossible time %d", e.Key, e.Stamp.Wall)}
	}
	return nil
}

func cut(s string) string { return s[:min(len(s), MaxOrigin)] }

// beats says whether e replaces o. Two writes that pass for the same one but
// differ (a forger, or a disk that went back) are ordered by what they say, so
// that the copies converge even then.
func (e *Entry) beats(o *Entry) bool {
	if c := e.Compare(o); c != 0 {
		return c > 0
	}
	if e.Deleted != o.Deleted {
		return e.Deleted
	}
	return cmp.Or(bytes.Compare(e.Value, o.Value), cmp.Compare(e.Key, o.Key)) > 0
}

// Size is about what e takes in a message.
func (e *Entry) Size() int {
	const fixed = 80 // field names, numbers
	return fixed + len(e.Key) + len(e.Value) + 2*len(e.Dot.Origin)
}
