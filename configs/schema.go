package configs

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"time"

	"mn/docs"
	"mn/mesh"
)

// schema is a JSON Schema, as far as job files need it.
type schema struct {
	Dialect       string             `json:"$schema,omitempty"`
	Title         string             `json:"title,omitempty"`
	Description   string             `json:"description,omitempty"`
	Type          any                `json:"type,omitempty"` // one, or a list of some
	Enum          []string           `json:"enum,omitempty"`
	Pattern       string             `json:"pattern,omitempty"`
	Minimum       *int               `json:"minimum,omitempty"`
	Maximum       *int               `json:"maximum,omitempty"`
	MinItems      int                `json:"minItems,omitempty"`
	MaxItems      int                `json:"maxItems,omitempty"`
	MaxProperties int                `json:"maxProperties,omitempty"`
	Default       json.RawMessage    `json:"default,omitempty"`
	Required      []string           `json:"required,omitempty"`
	Properties    map[string]*schema `json:"properties,omitempty"`
	PropertyNames *pattern           `json:"propertyNames,omitempty"`
	Additional    any                `json:"additionalProperties,omitempty"` // false, or what each of them is
	Items         *schema            `json:"items,omitempty"`
	AnyOf         []*schema          `json:"anyOf,omitempty"`
}

type pattern struct {
	Pattern string `json:"pattern"`
}

// Patterns of what reads itself from text: see [mesh.Duration] and [mesh.Bytes].
const (
	durationPattern = `^(\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))+|0|([0-9]+\.?[0-9]*|\.[0-9]+)d)$`
	timePattern     = `^[0-9]{4}(-[0-9]{2}){2}[Tt ]([0-9]{2}:){2}[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$`
	bytesPattern    = `^([0-9]+\.?[0-9]*|\.[0-9]+) *([KMGT]iB|[kKMGT]?B)?$`
)

// required are the keys that their tables cannot do without, by the paths of these.
var required = map[string][]string{
	"": {"name", "task"}, "task": {"name", "command"}, "affinity": {"attribute", "weight"},
	"task.affinity": {"attribute", "weight"}, "spread": {"attribute"}, "spread.target": {"value", "percent"},
	"service": {"name"}, "service.check_restart": {"limit"}, "task.service": {"name"},
	"task.service.check_restart": {"limit"}, "requires_service": {"name"}, "task.requires_service": {"name"},
	"task.port": {"label"}, "task.volume": {"name", "source"}, "task.artifact": {"source"},
	"task.template": {"path"}, "trigger": {"event"},
}

// JobSchema is the JSON Schema of the job file, for editors. What it takes may still be
// no job, as it does not say how keys depend on each other. What is said of each key is
// from the manual.
func JobSchema() []byte {
	s := schemaMaker{mesh.Limits(), manualOf(docs.Jobs)}.job()
	s.refer()
	s.Dialect, s.Title = "https://json-schema.org/draft/2020-12/schema", "A job file of mn"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("configs: the schema cannot be encoded: " + err.Error())
	}
	return append(b, '\n')
}

// conditionSchema is what [mesh.ConditionOf] reads.
func conditionSchema() *schema {
	scalar := []string{"string", "number", "boolean"}
	list := &schema{Type: "array", Items: &schema{Type: scalar}}
	return &schema{AnyOf: []*schema{
		{Type: scalar}, list, {Type: "object", Additional: false, Properties: map[string]*schema{
			"is": {AnyOf: []*schema{{Type: scalar}, list}}, "prefix": {Type: "string"}, "contains": {Type: "string"},
		}},
	}}
}

// schemaMaker makes a schema of the types that a [decoder] sets.
type schemaMaker struct {
	limits map[string]mesh.Limit
	manual map[string]meaning
}

// job is the schema of the job file before its variables have values.
func (m schemaMaker) job() *schema {
	s := m.of(reflect.TypeFor[mesh.Job](), "")
	s.Properties[variablesTable] = &schema{
		Type:          "object",
		Description:   m.manual[variablesTable].text,
		PropertyNames: &pattern{bareKey.String()},
		Additional:    &schema{Type: []string{"string", "number", "boolean"}},
		MaxProperties: variablesMax,
	}
	return s
}

// refer lets every value that is not any text refer to a variable instead.
func (s *schema) refer() {
	for _, below := range s.Properties {
		below.refer()
	}
	if s.Items != nil {
		s.Items.refer()
	}
	free := s.Type == "string" && s.Enum == nil && s.Pattern == ""
	if s.Properties != nil || s.Items != nil || s.Additional != nil || free {
		return
	}
	is := *s
	is.Description, is.Default = "", nil
	*s = schema{Description: s.Description, Default: s.Default, AnyOf: []*schema{
		&is, {Type: "string", Pattern: regexp.QuoteMeta(reference)},
	}}
}

// of is the schema of a type at a path of the file.
func (m schemaMaker) of(t reflect.Type, path string) *schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := m.bare(t, path)
	said := m.manual[path]
	s.Description, s.Default = said.text, said.usual
	return s
}

func (m schemaMaker) bare(t reflect.Type, path string) *schema {
	l, zero := m.limits[path], 0
	switch t {
	case reflect.TypeFor[mesh.Duration]():
		return &schema{Type: "string", Pattern: durationPattern}
	case reflect.TypeFor[mesh.Bytes]():
		return &schema{Type: []string{"string", "number"}, Pattern: bytesPattern, Minimum: &zero}
	case reflect.TypeFor[mesh.Value]():
		return &schema{Type: []string{"string", "number"}}
	case reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Pattern: timePattern}
	case reflect.TypeFor[mesh.Condition]():
		return conditionSchema()
	case reflect.TypeFor[mesh.Share]():
		one := 1
		return &schema{Type: "number", Minimum: &zero, Maximum: &one}
	case reflect.TypeFor[mesh.Cores]():
		return &schema{Type: "number", Minimum: &zero}
	}
	switch t.Kind() {
	case reflect.Struct:
		s := &schema{Type: "object", Properties: map[string]*schema{}, Required: required[path], Additional: false}
		for i := range t.NumField() {
			if key := t.Field(i).Tag.Get("toml"); key != "-" {
				s.Properties[key] = m.of(t.Field(i).Type, join(path, key))
			}
		}
		return s
	case reflect.Map:
		s := &schema{Type: "object", Additional: m.of(t.Elem(), path+"[]"), MaxProperties: l.Most}
		if l.Keys != "" {
			s.PropertyNames = &pattern{l.Keys}
		}
		return s
	case reflect.Slice:
		items := path
		if t.Elem().Kind() != reflect.Struct {
			items += "[]"
		}
		list := &schema{Type: "array", Items: m.of(t.Elem(), items), MinItems: l.Least, MaxItems: l.Most}
		if slices.Contains(mayBeOne, path) {
			list.Type = []string{"array", "string"}
		}
		return list
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int:
		s := &schema{Type: "integer"}
		if l.Most > 0 {
			s.Minimum, s.Maximum = &l.Least, &l.Most
		}
		return s
	}
	return &schema{Type: "string", Enum: l.OneOf, Pattern: l.Pattern}
}
