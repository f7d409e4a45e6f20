package crdt

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
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

func TestMapsAreTheSameBytesEveryTime(t *testing.T) {
	seen, labels := Seen{}, map[string]string{}
	for i := range 100 {
		seen[originName(i)] = Known{Head: uint64(i + 1)}
		labels[originName(i)] = originName(i + 1)
	}
	want := fmt.Sprintf("%x", mustEncode(t, []any{seen, record{Labels: labels}}))
	for range 20 {
		if got := fmt.Sprintf("%x", mustEncode(t, []any{seen.Clone(), record{Labels: maps.Clone(labels)}})); got != want {
			t.Fatalf("got %s, and before %s", got, want)
		}
	}
}

// TestTheSameInputsGiveTheSameBytes: a simulation that is run again must go the
// same way, so no output of a copy may depend on the order of a map.
func TestTheSameInputsGiveTheSameBytes(t *testing.T) {
	want := script(t)
	for i := range 10 {
		if got := script(t); got != want {
			t.Fatalf("run %d says something else", i+2)
		}
	}
}

// script leads two copies through all that they can do, and is the digest of
// all that they say.
func script(t *testing.T) string {
	t.Helper()
	said := sha256.New()
	say := func(v any) { said.Write(mustEncode(t, v)) }
	a, b := fill(t, "a", 50), fill(t, "b", 50)
	a.Valid = func(e Entry) error {
		if strings.HasPrefix(e.Key, "bad") {
			return errors.New("cannot read it")
		}
		return nil
	}
	for i := range 40 {
		early := entry(fmt.Sprint("early", i), originName(i), 2)
		early.Stamp.Wall += time.Hour.Milliseconds()
		a.Merge([]Entry{entry(fmt.Sprint("k", i), originName(i), 1), early}, noon)
		b.Merge([]Entry{entry(fmt.Sprint("bad", i), originName(i), 3)}, noon)
		b.Delete(fmt.Sprintf("b/%05d", i), Fence{}, noon)
	}
	var kept Kept
	for range 3 {
		for req := ptr(a.Request()); req != nil; {
			ans := b.Answer(*req)
			out := a.Apply(ans, noon)
			b.Merge(out.Push, noon)
			say([]any{*req, ans, out.News, out.Refused, out.Push})
			req = out.Next
		}
		for _, r := range []*Replica{a, b} {
			batch := r.Flush()
			say([]any{batch.Put, batch.Remove, batch.Seen, batch.Quarantine, batch.Release})
			if r == a {
				kept.Apply(batch)
			}
		}
		say([]any{a.Aside(), a.Quarantine(), slices.Collect(a.Scan(""))})
		a.Merge(nil, noon.Add(2*time.Hour))
	}
	kept.Damage = []string{"something"}
	a = open(t, "a", kept)
	say([]any{a.Collect(reports(t, a, b), noon.Add(2*time.Hour)), a.Request(), a.Flush().Seen})
	return fmt.Sprintf("%x", said.Sum(nil))
}

func ptr[T any](v T) *T { return &v }

func mustEncode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
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
	r, o := fill(f, "n1", 3), fill(f, "n2", 1)
	first := r.Answer(o.Request())
	second := *o.Apply(first, noon).Next
	for _, v := range []any{r.Request(), first, second, r.Answer(second), Entry{Key: "k"}, Batch{}} {
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
			r.Asker(req)
		}
		var a Answer
		if Decode(b, &a) == nil {
			r.Apply(a, noon)
			r.Answerer(a)
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
