package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"mn/docs"
	"mn/mesh"
)

// conforms makes a check of whether the content of a file conforms to the schema.
func conforms(t *testing.T) func(data []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JobSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("job.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("job.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(data []byte) error {
		var tree map[string]any
		if err := toml.Unmarshal(data, &tree); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return s.Validate(doc)
	}
}

func TestGoodFilesConformToTheSchema(t *testing.T) {
	check := conforms(t)
	for dir, files := range map[string]fs.FS{"examples": Examples, "starts": starts} {
		for _, name := range namesIn(files, dir) {
			text, job, err := embedded(files, dir, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := check(WriteJob(job)); err != nil {
				t.Errorf("%s, as mn writes it: %v", name, err)
			}
		}
	}
}

// eachSchema visits a schema and all below it, with their paths.
func eachSchema(path string, s *schema, visit func(path string, s *schema)) {
	visit(path, s)
	for key, below := range s.Properties {
		eachSchema(join(path, key), below, visit)
	}
	if s.Items != nil && s.Items.Properties != nil {
		for key, below := range s.Items.Properties {
			eachSchema(join(path, key), below, visit)
		}
	}
}

func jobSchema() *schema {
	return schemaMaker{mesh.Limits(), manualOf(docs.Jobs)}.job()
}

// What the manual has is in the schema, and what is in the schema has its words
// from the manual.
func TestSchemaAndManualHaveTheSameKeys(t *testing.T) {
	in := map[string]bool{}
	eachSchema("", jobSchema(), func(path string, s *schema) {
		in[path] = true
		if s.Description == "" && s.Properties == nil && s.Items == nil {
			t.Errorf("the manual does not say what %q means", path)
		}
	})
	manual := manualOf(docs.Jobs)
	for key := range manual {
		if !in[key] {
			t.Errorf("the schema does not have %q", key)
		}
	}
	if len(manual) < 60 {
		t.Errorf("got %d keys of the manual, want 60 at least", len(manual))
	}
	for key, want := range map[string]string{"type": `"batch"`, "task.count": "1", "restart.attempts": ""} {
		if got := string(manual[key].usual); got != want {
			t.Errorf("%s: got the default %s, want %s", key, got, want)
		}
	}
}

// A word of ours in the file has all that it can be in the schema.
func TestSchemaHasTheWordsOfEachKey(t *testing.T) {
	words := func(t reflect.Type) bool {
		return t.Kind() == reflect.String && t != reflect.TypeFor[string]() && t != reflect.TypeFor[mesh.Value]()
	}
	var walk func(t reflect.Type, path string)
	walk = func(of reflect.Type, path string) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if words(of) && mesh.Limits()[path].OneOf == nil {
			t.Errorf("mesh.Limits does not say what %s may be", path)
		}
		for i := 0; of.Kind() == reflect.Struct && i < of.NumField(); i++ {
			if key := of.Field(i).Tag.Get("toml"); key != "-" {
				walk(of.Field(i).Type, join(path, key))
			}
		}
	}
	walk(reflect.TypeFor[mesh.Job](), "")
}

// bad are values that a limit refuses, for a key with that schema.
func bad(l mesh.Limit, s *schema) []any {
	switch s.Type {
	case "string":
		return []any{"a b", 1}
	case "integer":
		if l.Least == 1 { // 0 counts as unset
			return []any{-1, l.Most + 1, "1"}
		}
		return []any{l.Least - 1, l.Most + 1, "1"}
	case "object":
		good, wrong := any("x"), any(1)
		if of, ok := s.Additional.(*schema); ok && of.Type == "integer" {
			good, wrong = wrong, good
		}
		many := map[string]any{}
		for i := range l.Most + 1 {
			many[fmt.Sprintf("k%d", i)] = good
		}
		if of, ok := s.Additional.(*schema); ok && of.AnyOf != nil { // of which each key may be anything
			return []any{many, "x"}
		}
		return []any{map[string]any{"a b": good}, map[string]any{"a": wrong}, many}
	}
	many := make([]any, l.Most+1)
	for i := range many {
		many[i] = "x"
		if s.Items.Type == "integer" {
			many[i] = i
		}
		if s.Items.Properties != nil {
			many[i] = map[string]any{"name": fmt.Sprintf("t%d", i), "command": []string{"true"}}
		}
	}
	if l.Least > 0 {
		return []any{many, []any{}, "x"}
	}
	if s.Type != "array" { // one text will do
		return []any{many, 1}
	}
	return []any{many, "x"}
}

// What the schema refuses of a key by itself, so does mn: both have it from
// mesh.Limits, or say the same in other words.
func TestSchemaAndValidationRefuseTheSame(t *testing.T) {
	check := conforms(t)
	tried := 0
	eachSchema("", jobSchema(), func(path string, s *schema) {
		l, limited := mesh.Limits()[path]
		if !limited {
			return
		}
		values := bad(l, s)
		if of, ok := mesh.Limits()[path+"[]"]; ok {
			values = append(values, []any{of.Most + 1}, []any{of.Least - 1})
		}
		for _, value := range values {
			data := jobWith(t, path, value)
			tried++
			if _, err := ParseJob("job.toml", data); err == nil {
				t.Errorf("%s: mn takes %.60v", path, value)
			}
			if check(data) == nil {
				t.Errorf("%s: the schema takes %.60v", path, value)
			}
		}
		others := []string{
			"task.after_quorum", "after_quorum", "limit.max", "task.idle.gpu_below", "update.canary",
			"schedule.catchup_limit", "schedule.keep",
		}
		if s.Type != "integer" || slices.Contains(others, path) || strings.Contains(path, "service.") {
			// what it may be depends on others
			return
		}
		for _, value := range []int{l.Least, l.Most} {
			if _, err := ParseJob("job.toml", jobWith(t, path, value)); err != nil {
				t.Errorf("%s: mn does not take %d: %v", path, value, err)
			}
		}
	})
	if tried < 80 {
		t.Errorf("tried %d values, want 80 at least", tried)
	}
}

// jobWith is the file of a small job that has a value at a path.
func jobWith(t *testing.T, path string, value any) []byte {
	t.Helper()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(small), &tree); err != nil {
		t.Fatal(err)
	}
	set(tree, strings.Split(path, "."), value)
	data, err := toml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const small = "name = \"a\"\n[[task]]\nname = \"a\"\ncommand = [\"a\"]\n"

// set puts a value into a tree, in its first task.
func set(tree map[string]any, path []string, value any) {
	if len(path) == 1 {
		tree[path[0]] = value
		return
	}
	switch below := tree[path[0]].(type) {
	case []any:
		set(below[0].(map[string]any), path[1:], value)
	case map[string]any:
		set(below, path[1:], value)
	default:
		table := map[string]any{}
		tree[path[0]] = table
		if slices.Contains([]string{"service", "requires_service", "check"}, path[0]) {
			tree[path[0]] = []any{table}
		}
		if whole, ok := fewest[path[0]]; ok {
			table = maps.Clone(whole)
			tree[path[0]] = []any{table}
		}
		set(table, path[1:], value)
	}
}

// fewest are the tables of which there may be several, each with what it cannot do without.
var fewest = map[string]map[string]any{
	"constraint": {"attribute": "os", "value": "x"},
	"affinity":   {"attribute": "os", "value": "x", "weight": 1},
	"spread":     {"attribute": "os"},
	"target":     {"value": "x", "percent": 1},
	"port":       {"label": "a"},
	"device":     {},
	"artifact":   {"source": "https://host/a", "checksum": "none"},
	"trigger":    {"event": "a"},
	"volume":     {"name": "a", "source": "/a", "mode": "rw"},
}

func TestSchemaReadsUnitsAsMnDoes(t *testing.T) {
	check := conforms(t)
	for _, tt := range []struct {
		key   string
		value string
		good  bool
	}{
		{"kill_grace", `"10s"`, true},
		{"kill_grace", `"1h0m0.5s"`, false}, // over an hour, which only mn knows
		{"kill_grace", `"1m30.5s"`, true},
		{"kill_grace", `".5s"`, true},
		{"timeout", `"0"`, true},
		{"timeout", `"2d"`, true},
		{"timeout", `"1.5d"`, true},
		{"timeout", `"2 d"`, false},
		{"timeout", `"1d2h"`, false},
		{"timeout", `"5"`, false},
		{"timeout", `"-5s"`, false},
		{"timeout", `5`, false},
		{"resources.memory", `"8GiB"`, true},
		{"resources.memory", `"1.5 GB"`, true},
		{"resources.memory", `"8gib"`, false},
		{"resources.memory", `"-8GiB"`, false},
		{"resources.memory", `8388608`, true},
		{"resources.memory", `-1`, false},
		{"resources.cpu", `0.25`, true},
		{"resources.cpu", `"two"`, false},
		{"resources.cpu", `-1`, false},
	} {
		data := []byte(small + tt.key + " = " + tt.value + "\n")
		if _, err := ParseJob("job.toml", data); (err == nil) != tt.good {
			t.Errorf("%s = %s: mn says %v", tt.key, tt.value, err)
		}
		if err := check(data); (err == nil) != tt.good && tt.value != `"1h0m0.5s"` {
			t.Errorf("%s = %s: the schema says %v", tt.key, tt.value, err)
		}
	}
}
