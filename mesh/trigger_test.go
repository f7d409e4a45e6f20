package mesh

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTriggersMatch(t *testing.T) {
	const payload = `{"path":"/datasets/eval.jsonl","size":3,"big":12345678901234567890,"part":2.50,"whole":true,` +
		`"tags":["new","eval",7],"model":{"name":"small","path":"x"},"source":"theirs","none":null}`
	for filter, want := range map[string]bool{
		`{}`:                                                  true,
		`{"path":"/datasets/eval.jsonl"}`:                     true,
		`{"path":"/datasets/"}`:                               false,
		`{"path":{"prefix":"/datasets/"}}`:                    true,
		`{"path":{"prefix":"datasets"}}`:                      false,
		`{"path":{"contains":"eval"}}`:                        true,
		`{"path":{"prefix":"/datasets/","contains":"train"}}`: false,
		`{"path":["a","/datasets/eval.jsonl"]}`:               true,
		`{"path":["a","b"]}`:                                  false,
		`{"path":[]}`:                                         false,
		`{"size":3}`:                                          true, `{"size":"3"}`: true, `{"size":4}`: false, `{"size":[1,2,3]}`: true, `{"size":3.0}`: true,
		`{"big":12345678901234567890}`: true, `{"big":12345678901234567891}`: false,
		`{"part":2.5}`: true, `{"whole":true}`: true, `{"whole":false}`: false,
		`{"tags":{"contains":"eval"}}`: true, `{"tags":{"contains":"7"}}`: true, `{"tags":{"contains":"ev"}}`: false,
		`{"tags":"eval"}`: false, `{"tags":{"prefix":"n"}}`: false,
		`{"model.name":"small"}`: true, `{"model.name":"large"}`: false, `{"model":"small"}`: false,
		`{"model.name.x":"small"}`: false, `{"nothing":"x"}`: false, `{"none":"null"}`: false,
		`{"source":"gpu1"}`: true, `{"source":"theirs"}`: false, `{"payload.source":"theirs"}`: true,
		`{"event_type":"uploaded"}`: true, `{"payload.model.path":"x"}`: true,
		`{"path":{"contains":"eval"},"size":4}`: false,
	} {
		var f map[string]Condition
		if err := json.Unmarshal([]byte(filter), &f); err != nil {
			t.Fatalf("%s: %v", filter, err)
		}
		tr := Trigger{Event: "uploaded", Filter: f}
		if got := tr.Matches(&Occurrence{Event: "uploaded", Source: "gpu1", Payload: []byte(payload)}); got != want {
			t.Errorf("%s: got %v", filter, got)
		}
		if tr.Matches(&Occurrence{Event: "other", Source: "gpu1", Payload: []byte(payload)}) {
			t.Errorf("%s matches another event", filter)
		}
	}
	with := Trigger{Event: "uploaded", Filter: map[string]Condition{"a": {Prefix: "x"}}}
	for _, payload := range []string{"", "[1]", `"a"`, "{", "null"} {
		if with.Matches(&Occurrence{Event: "uploaded", Payload: []byte(payload)}) {
			t.Errorf("matches the payload %q", payload)
		}
	}
	files := Trigger{Event: FileAppeared, Path: "/in/*.csv"}
	for file, want := range map[string]bool{"/in/a.csv": true, "/in/b/a.csv": false, "/in/a.txt": false, "": false} {
		payload, _ := json.Marshal(map[string]string{"path": file})
		if got := files.Matches(&Occurrence{Event: FileAppeared, Payload: payload}); got != want {
			t.Errorf("file %q: got %v", file, got)
		}
	}
}

func TestParametersSayWhatTheyTake(t *testing.T) {
	with := &Parameters{Payload: ParameterRequired, MetaRequired: []string{"owner"}, MetaOptional: []string{"ticket"}}
	meta := func(keys ...string) map[string]string {
		m := map[string]string{}
		for _, k := range keys {
			m[k] = "x"
		}
		return m
	}
	for _, c := range []struct {
		p       *Parameters
		payload string
		meta    map[string]string
		want    string
	}{
		{nil, "", nil, ""},
		{nil, `{"a":1}`, meta("x"), ""},
		{&Parameters{}, "1", nil, ""},
		{&Parameters{}, "", meta("x"), `the job takes no meta "x"`},
		{&Parameters{Payload: ParameterForbidden}, "1", nil, "the job takes no payload"},
		{with, "", meta("owner"), "the job needs a payload"},
		{with, "1", nil, `the job needs the meta "owner"`},
		{with, "1", meta("owner", "ticket"), ""},
		{with, "1", meta("owner", "other"), `the job takes no meta "other"`},
		{nil, "{", nil, "the payload is not JSON: {"},
		{nil, `"` + strings.Repeat("x", HandedMax) + `"`, nil, "the payload is 32770 bytes long, more than 32768"},
		{nil, "", meta("a b"), `meta.a b: "a b" is not a name`},
	} {
		got := ""
		if f := c.p.Takes([]byte(c.payload), c.meta); f != nil {
			got = f.Text
		}
		if got != c.want {
			t.Errorf("%+v of %.20q, %v: got %q, want %q", c.p, c.payload, c.meta, got, c.want)
		}
	}
}

func TestOccurrencesAreChecked(t *testing.T) {
	good := Occurrence{ID: "a", Event: "uploaded"}
	if f := good.Check(); f != nil {
		t.Error(f)
	}
	for _, o := range []Occurrence{
		{ID: "a"},
		{Event: "a"},
		{ID: "a b", Event: "a"},
		{ID: "a", Event: "../x"},
		{ID: "a", Event: "a", Source: strings.Repeat("x", 257)},
		{ID: "a", Event: "a", Payload: []byte("{")},
	} {
		if o.Check() == nil {
			t.Errorf("takes %+v", o)
		}
	}
}

// Whatever people write as a filter, and whatever is said to have happened, is read or refused, and
// what was read is written so that it is read as the same.
func FuzzFilter(f *testing.F) {
	f.Add(`{"path":{"prefix":"/datasets/"}}`, `{"path":"/datasets/eval.jsonl"}`)
	f.Add(`{"a.b":["x",1,true]}`, `{"a":{"b":1}}`)
	f.Add(`{"a":{"is":["x"],"contains":"y"}}`, `[]`)
	f.Fuzz(func(t *testing.T, filter, payload string) {
		var with map[string]Condition
		if json.Unmarshal([]byte(filter), &with) != nil {
			return
		}
		o := Occurrence{ID: "a", Event: "x", Payload: []byte(payload)}
		tr := Trigger{Event: "x", Filter: with}
		matches := tr.Matches(&o)
		b, err := json.Marshal(with)
		if err != nil {
			t.Fatal(err)
		}
		var again map[string]Condition
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatalf("%s became %s: %v", filter, b, err)
		}
		tr.Filter = again
		if tr.Matches(&o) != matches {
			t.Errorf("%s and %s match differently", filter, b)
		}
	})
}
