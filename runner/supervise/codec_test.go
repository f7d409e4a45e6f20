package supervise

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

// fullRecords are records in which no field is zero.
func fullRecords(t *testing.T) (Spec, State) {
	t.Helper()
	at := time.Date(2026, 2, 3, 4, 5, 6, 789, time.UTC)
	spec := Spec{
		Attempt: 3, Boot: "b", Command: []string{"a<b", `"\`, "\n\x01ü"}, Env: []string{"A=1"}, Dir: "/",
		User:  &User{UID: math.MaxUint32, GID: 2, Groups: []uint32{4, 5}, Name: "u\"x"},
		Grace: time.Second, Stop: 2, Warn: 10, WarnTime: time.Minute, Signals: []int{1, 12},
		Until: math.MaxInt64, Groups: []string{"/a", "/b"},
		Sandbox: &Sandbox{Writable: []string{"/c"}, Hidden: []string{"/d", "/e"}, Devices: []string{"/dev/f"}, Volumes: []Volume{
			{Shared: "/f", Path: "g", Target: "/h", Write: true}, {Shared: "/i"},
		}},
	}
	state := State{
		Start: Start{
			Attempt: 1, Boot: "b", Supervisor: 2, PID: 3, PIDStart: math.MaxUint64, At: at.Add(1),
		},
		Exit: &Exit{
			Attempt: 1, Started: true, PID: 3, StartedAt: at.Add(2), At: at, Code: -1, Signal: 9,
			OOM: true, Expired: true, Stopped: true, Dropped: math.MaxInt64, Peak: 7, Limit: 8, Err: "a \"b\"\n\x00 \\ <ü>",
		},
	}
	for _, record := range []any{spec, *spec.User, *spec.Sandbox, spec.Sandbox.Volumes[0], state, state.Start, *state.Exit} {
		v := reflect.ValueOf(record)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Fatalf("%T.%s is zero: set it here", record, v.Type().Field(i).Name)
			}
		}
	}
	return spec, state
}

func TestRecordsAreReadAsEncodingJSONWritesThem(t *testing.T) {
	spec, state := fullRecords(t)
	for _, want := range []Spec{spec, {}, {User: &User{}, Sandbox: &Sandbox{}}} {
		var got Spec
		o := parse(t, want)
		if got.decode(o); o.fault() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, o.fault(), want)
		}
	}
	for _, want := range []State{state, {}, {Exit: &Exit{}}} {
		var got State
		o := parse(t, want)
		if got.decode(o); o.fault() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, o.fault(), want)
		}
	}
}

func parse(t *testing.T, record any) *object {
	t.Helper()
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseObject(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestRecordsAreWrittenAsEncodingJSONReadsThem(t *testing.T) {
	_, state := fullRecords(t)
	for _, want := range []State{state, {}, {Exit: &Exit{}}} {
		var got State
		if err := json.Unmarshal(want.encode(), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", want.encode(), got, err)
		}
	}
	// What is no text is made one, and what is empty is left out.
	var names map[string]any
	err := json.Unmarshal(Exit{Err: "a\xffb"}.encode(), &names)
	if err != nil || len(names) != 6 || names["error"] != "a\uFFFDb" {
		t.Errorf("got %v, %v", names, err)
	}
}

func TestFieldOfTheWrongKindIsAnError(t *testing.T) {
	for _, text := range []string{
		`{"attempt": "1"}`, `{"attempt": 1.5}`, `{"attempt": 1-1}`, `{"dir": 5}`, `{"command": "x"}`,
		`{"command": [1]}`, `{"user": []}`, `{"user": {"uid": -1}}`, `{"user": {"uid": 4294967296}}`,
		`{"user": {"groups": [null]}}`,
	} {
		o, err := parseObject([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var spec Spec
		if spec.decode(o); o.fault() == nil {
			t.Errorf("%s was read as %+v", text, spec)
		}
	}
}

// Whatever encoding/json takes for an object is the same object here.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : [ 1 , -2.5e3, true, false, null, {"b":"c"} ] } `, `{"a":1,"a":{"b":[]}}`,
		`{"\u0041\n\"\\\/":"\ud83d\ude00 \ud83d\u0041 \ude00\ud83d"}`, `{"a":[[[[[[[[[1]]]]]]]]]}`,
		`{"a":"\x"}`, `{"a":"\u00"`, `{"a" 1}`, `{"a":}`, `{,}`, `[1,]`, `{"a":[1 2]}`, `{"a":"b`, `5`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseObject(text)
		twin := json.NewDecoder(bytes.NewReader(text))
		twin.UseNumber()
		var want map[string]any
		if twin.Decode(&want) != nil || want == nil || !json.Valid(text) || !utf8.Valid(text) {
			return
		}
		if err != nil {
			if nested(want) <= depthMax {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if want := plain(want); !reflect.DeepEqual(any(got.fields), want) {
			t.Errorf("%q: got %v, want %v", text, got.fields, want)
		}
	})
}

// plain is v with the numbers of this package.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// nested is how many values are around the innermost one, it included.
func nested(v any) int {
	deepest := 0
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			deepest = max(deepest, nested(e))
		}
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, nested(e))
		}
	}
	return deepest + 1
}

func TestGuestsAreReadAsEncodingJSONWritesThem(t *testing.T) {
	for _, want := range []Guest{{Command: []string{"a", "", "\"ü\n"}, Env: []string{"A=b"}, Terminal: true, Term: "x", Rows: 3, Columns: 4}, {}} {
		var got Guest
		o := parse(t, want)
		if got.decode(o); o.fault() != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, o.fault(), want)
		}
	}
}
