package mesh

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what happens, and of what is handed to runs.
const (
	HandedMax      = 32 << 10 // bytes of a payload
	handedMetaMax  = 64       // entries
	sourceMax      = 256      // bytes
	filterMax      = 32       // conditions of a trigger
	filterPathMax  = 256      // bytes
	conditionMax   = 64       // values of a condition
	conditionBytes = 1 << 10  // of a value
)

// Keys of a filter that are not about the payload. What the payload itself has under such a key is
// found with "payload." before it.
const (
	FilterSource  = "source"
	FilterEvent   = "event_type"
	filterPayload = "payload."
)

// Condition is what has to hold of a value: all of what is set.
type Condition struct {
	Is       []Value `json:"is,omitempty" toml:"is"`             // it is one of these
	Prefix   string  `json:"prefix,omitempty" toml:"prefix"`     // it begins so
	Contains string  `json:"contains,omitempty" toml:"contains"` // it has this in it, or is a list in which this is
}

// UnmarshalJSON reads a value, a list of values, or a table with "is", "prefix" or "contains".
func (c *Condition) UnmarshalJSON(b []byte) error {
	var v any
	if err := decodeNumbers(b, &v); err != nil {
		return err
	}
	is, err := ConditionOf(v)
	if err == nil {
		*c = is
	}
	return err
}

// MarshalJSON writes the shortest of what [Condition.UnmarshalJSON] reads.
func (c Condition) MarshalJSON() ([]byte, error) {
	type table Condition
	switch {
	case c.Prefix != "" || c.Contains != "":
		return json.Marshal(table(c))
	case len(c.Is) == 1:
		return json.Marshal(c.Is[0])
	}
	return json.Marshal(append([]Value{}, c.Is...))
}

// ConditionOf is the condition that a value of a file says: a text, number or truth value, a list of
// those, or a table.
func ConditionOf(v any) (Condition, error) {
	switch v := v.(type) {
	case []any:
		is, err := scalars(v)
		return Condition{Is: is}, err
	case map[string]any:
		return conditionTable(v)
	}
	is, ok := scalarText(v)
	if !ok {
		return Condition{}, fmt.Errorf(`want a value, a list of values, or a table such as { prefix = "/data/" }`)
	}
	return Condition{Is: []Value{Value(is)}}, nil
}

func conditionTable(table map[string]any) (c Condition, err error) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		text, isText := table[key].(string)
		switch key {
		case "is":
			list, isList := table[key].([]any)
			if !isList {
				list = []any{table[key]}
			}
			if c.Is, err = scalars(list); err != nil {
				return c, err
			}
			continue
		case "prefix":
			c.Prefix = text
		case "contains":
			c.Contains = text
		default:
			return c, fmt.Errorf("unknown key %q; known are contains, is, prefix", clip(key))
		}
		if !isText || text == "" {
			return c, fmt.Errorf("%s: want a text that is not empty", key)
		}
	}
	if c.Is == nil && c.Prefix == "" && c.Contains == "" {
		return c, fmt.Errorf("is empty: want contains, is or prefix")
	}
	return c, nil
}

func scalars(list []any) ([]Value, error) {
	is := make([]Value, len(list))
	for i, v := range list {
		text, ok := scalarText(v)
		if !ok {
			return nil, fmt.Errorf("want a list of texts, numbers or truth values")
		}
		is[i] = Value(text)
	}
	return is, nil
}

// scalarText is a text, number or truth value as a text, by which they are compared.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String(), true
		}
		f, err := v.Float64()
		return strconv.FormatFloat(f, 'f', -1, 64), err == nil
	}
	return "", false
}

// decodeNumbers decodes JSON so that no digit of a number is lost.
func decodeNumbers(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

// holds says whether a value meets the condition. One without anything is met by nothing.
func (c *Condition) holds(v any) bool {
	if len(c.Is) == 0 && c.Prefix == "" && c.Contains == "" {
		return false
	}
	text, scalar := scalarText(v)
	if list, ok := v.([]any); ok {
		has := slices.ContainsFunc(list, func(e any) bool {
			t, ok := scalarText(e)
			return ok && t == c.Contains
		})
		return has && c.Contains != "" && len(c.Is) == 0 && c.Prefix == ""
	}
	return scalar && (len(c.Is) == 0 || slices.Contains(c.Is, Value(text))) && strings.HasPrefix(text, c.Prefix) &&
		strings.Contains(text, c.Contains)
}

// Matches says whether the trigger wants a run for what has happened.
func (t *Trigger) Matches(o *Occurrence) bool {
	if t.Event != o.Event {
		return false
	}
	if len(t.Filter) == 0 && t.Path == "" {
		return true
	}
	var payload any
	if len(o.Payload) > 0 && decodeNumbers(o.Payload, &payload) != nil {
		return false
	}
	if t.Path != "" {
		file, _ := valueAt(payload, "path").(string)
		if ok, err := path.Match(t.Path, file); err != nil || !ok {
			return false
		}
	}
	for key, c := range t.Filter {
		var v any
		switch key {
		case FilterSource:
			v = o.Source
		case FilterEvent:
			v = o.Event
		default:
			v = valueAt(payload, strings.TrimPrefix(key, filterPayload))
		}
		if !c.holds(v) {
			return false
		}
	}
	return true
}

// valueAt is the value at a dotted path, nil if there is none.
func valueAt(v any, dotted string) any {
	for key := range strings.SplitSeq(dotted, ".") {
		table, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = table[key]
	}
	return v
}

// Check says what is wrong with what is said to have happened.
func (o *Occurrence) Check() *Fault {
	switch {
	case !ValidName(o.Event):
		return Faultf(Invalid, "%q is no kind of event: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"beginning with a letter or digit", clip(o.Event))
	case !ValidName(string(o.ID)):
		return Faultf(Invalid, "%q is no id: want 1 to 63 letters, digits, '-', '_' and '.', beginning with "+
			"a letter or digit", clip(string(o.ID)))
	case len(o.Source) > sourceMax || !utf8.ValidString(o.Source):
		return Faultf(Invalid, "the source is not a text of at most %d bytes", sourceMax)
	}
	return handed(o.Payload, o.Meta)
}

// handed says what is wrong with what is handed to a run, whatever the run takes.
func handed(payload []byte, meta map[string]string) *Fault {
	if len(payload) > HandedMax {
		return Faultf(Invalid, "the payload is %d bytes long, more than %d", len(payload), HandedMax).
			Hint("put big data into files, and hand over where they are")
	}
	if len(payload) > 0 && !json.Valid(payload) {
		return Faultf(Invalid, "the payload is not JSON: %s", clip(string(payload)))
	}
	if len(meta) > handedMetaMax {
		return Faultf(Invalid, "meta has %d entries, more than %d", len(meta), handedMetaMax)
	}
	v := &validator{}
	v.meta(meta)
	if len(v.faults) > 0 {
		return Faultf(Invalid, "%v", v.faults[0])
	}
	return nil
}

// Takes says why a run cannot be handed those, if it cannot. Without a word of the job on it, it
// takes everything.
func (p *Parameters) Takes(payload []byte, meta map[string]string) *Fault {
	if f := handed(payload, meta); f != nil || p == nil {
		return f
	}
	switch {
	case p.Payload == ParameterRequired && len(payload) == 0:
		return Faultf(Invalid, "the job needs a payload").Hint("--payload-json")
	case p.Payload == ParameterForbidden && len(payload) > 0:
		return Faultf(Invalid, "the job takes no payload")
	}
	for _, key := range p.MetaRequired {
		if _, ok := meta[key]; !ok {
			return Faultf(Invalid, "the job needs the meta %q", key).Hint("--meta %s=…", key)
		}
	}
	known := slices.Concat(p.MetaRequired, p.MetaOptional)
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if slices.Contains(known, key) {
			continue
		}
		f := Faultf(Invalid, "the job takes no meta %q", key)
		if len(known) > 0 {
			f.Hint("it takes %s", strings.Join(known, ", "))
		}
		return f
	}
	return nil
}
