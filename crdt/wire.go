package crdt

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of what [Decode] accepts.
const (
	MaxMessage  = 4 << 20 // bytes
	MaxNesting  = 32      // levels of arrays and maps
	MaxElements = 1 << 17 // elements of one array or map
)

// The strict modes are a table: made once, never changed.
var encoding, decoding = strictModes()

func strictModes() (cbor.EncMode, cbor.DecMode) {
	eo := cbor.CoreDetEncOptions()
	// The same value is the same bytes everywhere: times are UTC text with all
	// their nanoseconds, and what has no one form is refused.
	eo.Time = cbor.TimeRFC3339NanoUTC
	eo.NaNConvert = cbor.NaNConvertReject
	eo.InfConvert = cbor.InfConvertReject
	eo.TagsMd = cbor.TagsForbidden
	em, err := eo.EncMode()
	if err != nil {
		panic("crdt: encoding options: " + err.Error())
	}
	do := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxNesting,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxElements,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}
	dm, err := do.DecMode()
	if err != nil {
		panic("crdt: decoding options: " + err.Error())
	}
	return em, dm
}

// Encode writes v as deterministic CBOR (RFC 8949, 4.2.1): equal values are
// equal bytes. The json tags of v's fields are its keys; a number stays a
// number whatever its JSON form is, and a time keeps its nanoseconds.
func Encode(v any) ([]byte, error) {
	b, err := encoding.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Decode reads what [Encode] has written into v. It comes from other nodes and
// from disk, so it is refused rather than guessed at: duplicate keys, text that
// is not UTF-8, NaN, open lengths, tags, deep nesting, too much of anything.
// Keys that v does not know are ignored.
func Decode(b []byte, v any) error {
	if len(b) > MaxMessage {
		return &MalformedError{fmt.Sprintf("message of %d bytes is over the %d allowed",
			len(b), MaxMessage)}
	}
	if err := decoding.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}
