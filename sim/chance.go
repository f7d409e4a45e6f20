package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// chance draws for one purpose. Streams of several purposes do not disturb each
// other: a fault that is left out changes no message's delay by itself.
type chance struct{ *rand.Rand }

// chanceOf is the stream of a purpose, named by text and numbers.
func chanceOf(seed uint64, purpose string, of ...uint64) chance {
	b := binary.BigEndian.AppendUint64([]byte(purpose+"\x00"), seed)
	for _, n := range of {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(b)
	return chance{rand.New(rand.NewPCG(
		binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))}
}

// upTo is a time from 0 to d.
func (c chance) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(c.Int64N(int64(d) + 1))
}

// between is a time from a to b.
func (c chance) between(a, b time.Duration) time.Duration { return a + c.upTo(b-a) }

// about is a time of which d is the mean, from nearly nothing to four times d.
// Short ones are more frequent. It does without floating point, which is not
// the same to the last bit on all processors.
func (c chance) about(d time.Duration) time.Duration {
	const parts = 1 << 10
	x, y := c.Int64N(parts), c.Int64N(parts)
	return time.Duration(int64(d)/parts*x/parts*y*4) + 1
}

// hits says whether something that happens in such a share of cases happens.
func (c chance) hits(s Share) bool { return s > 0 && c.IntN(int(Whole)) < int(s) }

// pick is one of a list, which is not empty.
func pick[T any](c chance, list []T) T { return list[c.IntN(len(list))] }
