package crdt

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// span stands for the types of package mesh that have a human form in JSON.
type span time.Duration

func (s span) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(s).String()) }

func (s *span) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, (*int64)(s)) }

func (s *span) UnmarshalText([]byte) error { *s = -1; return nil }

type record struct {
	Name   string            `json:"name"`
	Span   span              `json:"span"`
	At     time.Time         `json:"at,omitzero"`
	Labels map[string]string `json:"labels,omitempty"`
	Raw    []byte            `json:"raw,omitempty"`
	Count  *int              `json:"count,omitempty"`
	Fence  Fence             `json:"fence,omitzero"`
	Share  float64           `json:"share,omitempty"`
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	zero := 0
	for _, want := range []record{
		{},
		{
			Name: "web", Span: span(90 * time.Second),
			Labels: map[string]string{"b": "2", "a": "1"}, Raw: []byte{0, 1},
		},
		{
			At:    time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
			Count: &zero, Fence: Fence{1, 2}, Share: 0.25,
		},
	} {
		b, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		var got record
		if err := Decode(b, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		again, err := Encode(got)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("encoded again: %x, %v; want %x", again, err, b)
		}
	}
}

func TestTimesAreTheSameBytesInEveryZone(t *testing.T) {
	local := noon.In(time.FixedZone("somewhere", 3600)).Add(time.Nanosecond)
	a, _ := Encode(record{At: local})
	b, _ := Encode(record{At: local.UTC()})
	if !bytes.Equal(a, b) {
		t.Errorf("%x is not %x", a, b)
	}
	var got record
	if err := Decode(a, &got); err != nil || got.At != local.UTC() {
		t.Errorf("got %v, %v; want %v", got.At, err, local.UTC())
	}
}

func TestZeroValuesTakeNoBytes(t *testing.T) {
	b, _ := Encode(record{Name: "x"})
	for _, name := range []string{"at", "labels", "raw", "count", "fence", "share"} {
		if bytes.Contains(b, []byte(name)) {
			t.Errorf("%q is encoded in %q", name, b)
		}
	}
}

func TestNumbersThatAreNoneAreNotEncoded(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if b, err := Encode(f); err == nil {
			t.Errorf("%v became %x", f, b)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"the rest of it", []byte{0xa0, 0xa0}, "extraneous"},
		{"a key twice", []byte{0xa2, 0x61, 'n', 0x01, 0x61, 'n', 0x02}, "duplicate"},
		{"an open length", []byte{0x9f, 0x01, 0xff}, "indefinite"},
		{"text that is not UTF-8", []byte{0x61, 0xff}, "UTF-8"},
		{"NaN", []byte{0xf9, 0x7e, 0x00}, "NaN"},
		{"infinity", []byte{0xf9, 0x7c, 0x00}, "infinity"},
		{"a tag", []byte{0xc1, 0x00}, "tag"},
		{"deep nesting", append(bytes.Repeat([]byte{0x81}, MaxNesting+1), 0x00), "nested"},
		{"a long array", []byte{0x9a, 0x00, 0x02, 0x00, 0x01}, "max number"},
		{"a length that is a lie", []byte{0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "EOF"},
		{"too many bytes", make([]byte, MaxMessage+1), "over the"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var v any
			err := Decode(tc.data, &v)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	b, _ := Encode(map[string]any{"name": "web", "invented_later": 1})
	var got record
	if err := Decode(b, &got); err != nil || got.Name != "web" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	r := fill(f, "n1", 3)
	req := r.Request()
	for _, v := range []any{req, r.Answer(Request{}), Entry{Key: "k"}, Batch{}} {
		b, err := Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever decodes can be handed to a copy, and leaves it right.
		r := fill(t, "n1", 3)
		var req Request
		if Decode(b, &req) == nil {
			r.Answer(req)
		}
		var a Answer
		if Decode(b, &a) == nil {
			r.Apply(a, noon)
			if err := r.Seen().Check(); err != nil {
				t.Fatal(err)
			}
		}
		var e Entry
		if Decode(b, &e) == nil {
			r.Merge([]Entry{e}, noon)
			if _, err := Encode(r.Flush()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
