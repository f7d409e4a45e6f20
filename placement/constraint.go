package placement

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"

	"mn/mesh"
)

// attribute is what a node has of one, sorted: nothing, one value, or several.
func attribute(n *mesh.Node, name string) []string {
	switch name {
	case "arch":
		return some(n.Arch)
	case "capabilities":
		return capabilities(n)
	case "cpu":
		return []string{n.Capacity.CPU.String()}
	case "disk":
		return []string{amount(n.Capacity.Disk)}
	case "drivers":
		return n.Drivers
	case "gpu":
		return []string{strconv.Itoa(len(gpus(n)))}
	case "gpu.driver":
		return ofGPUs(n, func(d *mesh.Device) string { return d.Driver })
	case "gpu.memory":
		return ofGPUs(n, func(d *mesh.Device) string { return amount(d.Memory) })
	case "gpu.model":
		return ofGPUs(n, func(d *mesh.Device) string { return d.Model })
	case "gpu.vendor":
		return ofGPUs(n, func(d *mesh.Device) string { return d.Vendor })
	case "memory":
		return []string{amount(n.Capacity.Memory)}
	case "node.id":
		return some(string(n.ID))
	case "node.name":
		return some(n.Name)
	case "node.role":
		return some(string(n.Role))
	case "os":
		return some(n.OS)
	case "pool":
		return []string{poolOf(n)}
	case "release":
		return some(n.Release)
	}
	if label, ok := strings.CutPrefix(name, mesh.LabelAttribute); ok {
		if value, ok := n.Labels[label]; ok {
			return []string{value}
		}
	}
	return nil
}

func some(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func amount(b mesh.Bytes) string { return strconv.FormatInt(int64(b), 10) }

func poolOf(n *mesh.Node) string {
	if n.Pool == "" {
		return mesh.DefaultPool
	}
	return n.Pool
}

// capabilities are the drivers of a node, the kinds, drivers and capabilities of its
// devices, and its labels that are "true".
func capabilities(n *mesh.Node) []string {
	all := slices.Clone(n.Drivers)
	for i := range n.Devices {
		d := &n.Devices[i]
		all = append(append(all, some(d.Kind)...), some(d.Driver)...)
		all = append(all, d.Capabilities...)
	}
	for label, value := range n.Labels {
		if value == "true" {
			all = append(all, label)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// gpus are the GPUs of a node, also those that are sick: they are what the node is.
func gpus(n *mesh.Node) []*mesh.Device {
	var all []*mesh.Device
	for i := range n.Devices {
		if n.Devices[i].Kind == mesh.GPU {
			all = append(all, &n.Devices[i])
		}
	}
	return all
}

func ofGPUs(n *mesh.Node, of func(*mesh.Device) string) []string {
	var all []string
	for _, d := range gpus(n) {
		all = append(all, some(of(d))...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// condition is a constraint that is ready to be asked of many nodes.
type condition struct {
	mesh.Constraint
	test func(has []string) bool
}

// met says whether a node meets the condition.
func (c *condition) met(n *mesh.Node) bool { return c.test(attribute(n, c.Attribute)) }

// conditions makes constraints ready. What validation would have refused is met by no node.
func conditions(all []mesh.Constraint) []condition {
	var out []condition
	for _, c := range all {
		out = append(out, condition{c, test(&c)})
	}
	return out
}

// test is how the values of an attribute are held against a constraint.
func test(c *mesh.Constraint) func(has []string) bool {
	is := equality(c.Attribute)
	anyOf := func(has []string) bool {
		return slices.ContainsFunc(has, func(h string) bool {
			return slices.ContainsFunc(c.Values, func(v mesh.Value) bool { return is(h, v) })
		})
	}
	one := func(has []string) bool {
		return slices.ContainsFunc(has, func(h string) bool { return is(h, c.Value) })
	}
	switch c.Operator {
	case mesh.Equal, mesh.Contains, "":
		return one
	case mesh.Unequal:
		return func(has []string) bool { return !one(has) }
	case mesh.Less, mesh.LessOrEqual, mesh.Greater, mesh.GreaterOrEqual:
		return ordered(c)
	case mesh.ContainsAll:
		return func(has []string) bool {
			return !slices.ContainsFunc(c.Values, func(v mesh.Value) bool {
				return !slices.ContainsFunc(has, func(h string) bool { return is(h, v) })
			})
		}
	case mesh.ContainsAny, mesh.In:
		return anyOf
	case mesh.Exists:
		return func(has []string) bool { return len(has) > 0 }
	case mesh.NotExists:
		return func(has []string) bool { return len(has) == 0 }
	case mesh.Regexp:
		if re, err := regexp.Compile(string(c.Value)); err == nil {
			return func(has []string) bool { return slices.ContainsFunc(has, re.MatchString) }
		}
	case mesh.Version, mesh.Semver:
		return versioned(c)
	case mesh.DistinctHosts, mesh.DistinctProperty: // never among a group's constraints
	}
	return func([]string) bool { return false }
}

// equality compares amounts as numbers, and all else as texts: version 1.10 is not 1.1.
func equality(name string) func(has string, want mesh.Value) bool {
	if !mesh.IsAmount(name) {
		return func(has string, want mesh.Value) bool { return has == string(want) }
	}
	return func(has string, want mesh.Value) bool {
		a, ok := mesh.Value(has).Number()
		b, also := want.Number()
		return ok && also && a == b
	}
}

func ordered(c *mesh.Constraint) func(has []string) bool {
	want, ok := c.Value.Number()
	return func(has []string) bool {
		return ok && slices.ContainsFunc(has, func(h string) bool {
			n, ok := mesh.Value(h).Number()
			switch {
			case !ok:
				return false
			case c.Operator == mesh.Less:
				return n < want
			case c.Operator == mesh.LessOrEqual:
				return n <= want
			case c.Operator == mesh.Greater:
				return n > want
			}
			return n >= want
		})
	}
}

func versioned(c *mesh.Constraint) func(has []string) bool {
	rule, err := c.Value.VersionRule()
	parse := func(s string) (*version.Version, error) { return version.NewVersion(s) }
	if c.Operator == mesh.Semver {
		parse = version.NewSemver
	}
	return func(has []string) bool {
		return err == nil && slices.ContainsFunc(has, func(h string) bool {
			v, err := parse(h)
			return err == nil && rule.Check(v)
		})
	}
}

// unmet is why a node does not meet a condition: what is wanted, and what it has.
func (c *condition) unmet(n *mesh.Node) string {
	op := c.Operator
	if op == "" {
		op = mesh.Equal
	}
	wanted := fmt.Sprintf("%s %s", c.Attribute, op)
	if c.Value != "" {
		wanted += " " + string(c.Value)
	}
	if len(c.Values) > 0 {
		wanted += " " + list(texts(c.Values))
	}
	has := attribute(n, c.Attribute)
	if len(has) == 0 {
		return fmt.Sprintf("constraint %s: it has none", wanted)
	}
	return fmt.Sprintf("constraint %s: it has %s", wanted, list(has))
}

func texts(values []mesh.Value) []string {
	var all []string
	for _, v := range values {
		all = append(all, string(v))
	}
	return all
}
