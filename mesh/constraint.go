package mesh

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

// Constraint is a condition on the nodes that may run a job, or a task. An attribute has one
// value, several (what the node has of a kind), or none.
type Constraint struct {
	Attribute string   `json:"attribute,omitempty" toml:"attribute"` // see [Attributes]
	Operator  Operator `json:"operator,omitempty" toml:"operator"`   // Equal if unset
	Value     Value    `json:"value,omitempty" toml:"value"`
	Values    []Value  `json:"values,omitempty" toml:"values"` // of the operators that take several
}

// Affinity is a wish for nodes, or against them, which matters only among those that fit.
type Affinity struct {
	Attribute string   `json:"attribute" toml:"attribute"`
	Operator  Operator `json:"operator,omitempty" toml:"operator"`
	Value     Value    `json:"value,omitempty" toml:"value"`
	Values    []Value  `json:"values,omitempty" toml:"values"`
	Weight    int      `json:"weight" toml:"weight"` // -100..100, and not 0
}

// Condition is what the affinity asks of a node.
func (a *Affinity) Condition() Constraint {
	return Constraint{Attribute: a.Attribute, Operator: a.Operator, Value: a.Value, Values: a.Values}
}

// SpreadOver has the copies of each group spread over the values of an attribute.
type SpreadOver struct {
	Attribute string         `json:"attribute" toml:"attribute"`
	Targets   []SpreadTarget `json:"target,omitempty" toml:"target"` // in equal parts if there are none
}

// SpreadTarget is what part of the copies a value is to have. Values that are not named
// share what is left of 100 percent.
type SpreadTarget struct {
	Value   Value `json:"value" toml:"value"`
	Percent int   `json:"percent" toml:"percent"`
}

// Apart keeps copies from each other: at most Limit of them on nodes that have the same
// value of an attribute, or on the same node.
type Apart struct {
	Attribute string // "" for the node itself
	Limit     int
	Job       bool // of all groups of the job together, else of the one group
}

// Value is a text of the job file that may be written as a number.
type Value string

// UnmarshalText takes any text.
func (v *Value) UnmarshalText(b []byte) error {
	*v = Value(b)
	return nil
}

// Operator says how an attribute is compared.
type Operator string

// The operators.
const (
	Equal            Operator = "==" // one of its values is Value
	Unequal          Operator = "!=" // none of them is
	Less             Operator = "<"  // these four compare numbers, and sizes with a unit
	LessOrEqual      Operator = "<="
	Greater          Operator = ">"
	GreaterOrEqual   Operator = ">="
	Contains         Operator = "contains"     // one of its values is Value
	ContainsAll      Operator = "contains_all" // each of Values is among its values
	ContainsAny      Operator = "contains_any" // one of Values is
	In               Operator = "in"           // its value is one of Values
	Exists           Operator = "exists"
	NotExists        Operator = "not_exists"
	Regexp           Operator = "regexp"  // of RE2, anywhere in it
	Version          Operator = "version" // conditions such as ">= 1.2, < 2"
	Semver           Operator = "semver"  // the same of versions that are strictly semantic
	DistinctHosts    Operator = "distinct_hosts"
	DistinctProperty Operator = "distinct_property" // at most Value copies, 1 if unset, for a value of it
)

var operators = []Operator{
	Equal, Unequal, Less, LessOrEqual, Greater, GreaterOrEqual, Contains, ContainsAll, ContainsAny, In, Exists,
	NotExists, Regexp, Version, Semver, DistinctHosts, DistinctProperty,
}

// Relates says whether the operator is about the job's other copies.
func (o Operator) Relates() bool { return o == DistinctHosts || o == DistinctProperty }

// takesValues says whether the operator is given several values.
func (o Operator) takesValues() bool { return o == ContainsAll || o == ContainsAny || o == In }

// LabelAttribute begins the attributes that are a node's labels.
const LabelAttribute = "label."

// Attributes are the attributes that every release knows of a node, besides its labels.
var Attributes = []string{
	"arch", "capabilities", "cpu", "disk", "drivers", "gpu", "gpu.driver", "gpu.memory", "gpu.model", "gpu.vendor",
	"memory", "node.id", "node.name", "node.role", "os", "pool", "release",
}

// amounts are the attributes that are numbers, or sizes in bytes.
var amounts = []string{"cpu", "disk", "gpu", "gpu.memory", "memory"}

// IsAmount says whether an attribute is a number: two ways to write it are equal.
func IsAmount(attribute string) bool { return slices.Contains(amounts, attribute) }

// Number reads a number, or a size with a unit in bytes.
func (v Value) Number() (n float64, ok bool) {
	n, err := strconv.ParseFloat(string(v), 64)
	if err == nil {
		return n, n == n // NaN is below and above nothing
	}
	var b Bytes
	if b.UnmarshalText([]byte(v)) != nil {
		return 0, false
	}
	return float64(b), true
}

// VersionRule reads the value of [Version] and [Semver]: conditions on a version.
func (v Value) VersionRule() (version.Constraints, error) { return version.NewConstraint(string(v)) }

// DefaultPool is the pool of nodes and jobs that name none, AnyPool that of jobs for all nodes.
const (
	DefaultPool = "default"
	AnyPool     = "all"
)

// apart is what the constraints say about other copies, and fit what of the node.
func apart(all []Constraint, job bool) (relations []Apart, fit []Constraint) {
	for _, c := range all {
		switch c.Operator {
		case DistinctHosts:
			relations = append(relations, Apart{Limit: 1, Job: job})
		case DistinctProperty:
			limit, err := strconv.Atoi(string(c.Value))
			if err != nil {
				limit = 1
			}
			relations = append(relations, Apart{Attribute: c.Attribute, Limit: limit, Job: job})
		default:
			fit = append(fit, c)
		}
	}
	return relations, fit
}

const (
	constraintsMax = 64
	valuesMax      = 256
	valueMax       = 1024 // bytes
	weightMax      = 100
	percentMax     = 100
)

func (v *validator) constraints(all []Constraint) {
	if len(all) > constraintsMax {
		v.fault("has %d entries, more than %d", len(all), constraintsMax).at("constraint")
		return
	}
	for i := range all {
		v.constraint(&all[i], "constraint", strconv.Itoa(i))
	}
}

func (v *validator) affinities(all []Affinity) {
	if len(all) > constraintsMax {
		v.fault("has %d entries, more than %d", len(all), constraintsMax).at("affinity")
		return
	}
	for i := range all {
		a, at := &all[i], strconv.Itoa(i)
		c := a.Condition()
		if c.Operator.Relates() {
			v.fault("%q is no wish for nodes: want it in [[constraint]]", c.Operator).at("affinity", at, "operator")
			continue
		}
		v.constraint(&c, "affinity", at)
		if a.Weight == 0 || a.Weight < -weightMax || a.Weight > weightMax {
			v.fault("must be from -%d to -1, or from 1 to %d, not %d", weightMax, weightMax, a.Weight).
				at("affinity", at, "weight")
		}
	}
}

func (v *validator) spreads(all []SpreadOver) {
	if len(all) > constraintsMax {
		v.fault("has %d entries, more than %d", len(all), constraintsMax).at("spread")
		return
	}
	for i := range all {
		s, at := &all[i], strconv.Itoa(i)
		v.attribute(s.Attribute, "spread", at, "attribute")
		if len(s.Targets) > valuesMax {
			v.fault("has %d entries, more than %d", len(s.Targets), valuesMax).at("spread", at, "target")
			continue
		}
		sum, seen := 0, map[Value]bool{}
		for j, t := range s.Targets {
			where := []string{"spread", at, "target", strconv.Itoa(j)}
			switch {
			case t.Value == "":
				v.fault("is missing: want a value of %s", s.Attribute).at(append(where, "value")...)
			case seen[t.Value]:
				v.fault("has %q twice", clip(string(t.Value))).at(append(where, "value")...)
			case t.Percent < 1 || t.Percent > percentMax:
				v.fault("must be from 1 to %d, not %d", percentMax, t.Percent).at(append(where, "percent")...)
			default:
				sum += t.Percent
			}
			seen[t.Value] = true
		}
		if sum > percentMax {
			v.fault("has %d percent in all, more than %d", sum, percentMax).at("spread", at, "target")
		}
	}
}

// attribute finds a name that no node has anything of, which would make a job wait for ever.
func (v *validator) attribute(name string, keys ...string) {
	label, isLabel := strings.CutPrefix(name, LabelAttribute)
	switch {
	case name == "":
		v.fault("is missing: want one such as \"os\" or \"label.rack\"").at(keys...)
	case isLabel && ValidName(label), slices.Contains(Attributes, name):
	default:
		hint := "; known are " + strings.Join(Attributes, ", ") + ", and label.NAME"
		if near := Nearest(name, Attributes); near != "" {
			hint = "; did you mean " + strconv.Quote(near) + "?"
		}
		v.fault("no node has the attribute %q%s", clip(name), hint).at(keys...)
	}
}

func (v *validator) constraint(c *Constraint, keys ...string) {
	at := func(key string) []string { return append(slices.Clone(keys), key) }
	oneOf(v, c.Operator, operators, at("operator")...)
	if c.Operator == DistinctHosts {
		if c.Attribute != "" || c.Value != "" || len(c.Values) > 0 {
			v.fault("takes neither attribute nor value").at(at("operator")...)
		}
		return
	}
	v.attribute(c.Attribute, at("attribute")...)
	alone := c.Operator == Exists || c.Operator == NotExists
	switch {
	case c.Operator.takesValues() && (len(c.Values) == 0 || c.Value != ""):
		v.fault("%q takes values: want them in values = [...]", c.Operator).at(at("operator")...)
	case len(c.Values) > valuesMax:
		v.fault("has %d entries, more than %d", len(c.Values), valuesMax).at(at("values")...)
	case !c.Operator.takesValues() && len(c.Values) > 0:
		v.fault("is for %s, %s and %s: want value", ContainsAll, ContainsAny, In).at(at("values")...)
	case alone && c.Value != "":
		v.fault("%q takes no value", c.Operator).at(at("value")...)
	case c.Value == "" && !alone && !c.Operator.takesValues() && c.Operator != DistinctProperty:
		v.fault("is missing: what is the attribute compared with?").at(at("value")...)
	default:
		v.operand(c, at("value")...)
	}
	for _, value := range append(c.Values, c.Value) {
		if len(value) > valueMax {
			v.fault("is %d bytes long, more than %d", len(value), valueMax).at(at("value")...)
		}
	}
}

// operand finds a value that its operator cannot be given.
func (v *validator) operand(c *Constraint, keys ...string) {
	label := strings.HasPrefix(c.Attribute, LabelAttribute)
	switch c.Operator {
	case Equal, "", In, Unequal:
		for _, value := range append(slices.Clone(c.Values), c.Value) {
			if _, ok := value.Number(); value != "" && !ok && IsAmount(c.Attribute) {
				v.fault("%q is no number, and no size such as \"16GiB\"", clip(string(value))).at(keys...)
			}
		}
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		if !label && !IsAmount(c.Attribute) {
			v.fault("%q compares numbers, and %s is none: want %q, or %q", c.Operator, c.Attribute, Version, Regexp).
				at(append(keys[:len(keys)-1:len(keys)-1], "operator")...)
		} else if _, ok := c.Value.Number(); !ok {
			v.fault("%q is no number, and no size such as \"16GiB\"", clip(string(c.Value))).at(keys...)
		}
	case Regexp:
		if _, err := regexp.Compile(string(c.Value)); err != nil {
			v.fault("%q is no regular expression: %v", clip(string(c.Value)), err).at(keys...)
		}
	case Version, Semver:
		if _, err := c.Value.VersionRule(); err != nil {
			v.fault("%q says nothing of a version: want conditions such as \">= 1.2, < 2\"", clip(string(c.Value))).
				at(keys...)
		}
	case DistinctProperty:
		n, err := strconv.Atoi(string(c.Value))
		if c.Value != "" && (err != nil || n < 1 || n > CopiesMax) {
			v.fault("must be from 1 to %d copies, not %q", CopiesMax, clip(string(c.Value))).at(keys...)
		}
	}
}
