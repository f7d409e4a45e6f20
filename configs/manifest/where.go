package manifest

import (
	"fmt"
	"slices"
	"strings"

	"mn/mesh"
)

// operatorNames are those of manifests that are not the job file's.
var operatorNames = map[string]mesh.Operator{
	"":             mesh.Equal,
	"=":            mesh.Equal,
	"is":           mesh.Equal,
	"not":          mesh.Unequal,
	"set_contains": mesh.Contains,
	"is_set":       mesh.Exists,
	"is_not_set":   mesh.NotExists,
}

// attributeNames are those of manifests that are not the job file's.
var attributeNames = map[string]string{"profile": capabilities, "profiles": capabilities, "name": "node.name"}

const capabilities = "capabilities"

// constraints are the conditions on nodes at some places: a text is something that a node
// must be able to do.
func constraints(places ...object) []mesh.Constraint {
	var all []mesh.Constraint
	for _, o := range places {
		v, at := o.take("constraints")
		list, ok := v.([]any)
		if at != "" && !ok {
			o.wrong(at, "list")
		}
		for i, e := range list {
			path := fmt.Sprintf("%s[%d]", at, i)
			switch e := e.(type) {
			case string:
				can := mesh.Constraint{Attribute: capabilities, Operator: mesh.Contains, Value: mesh.Value(e)}
				all = append(all, can)
			case map[string]any:
				if c := constraint(object{path, e, o.notes}); c.Attribute != "node.status" {
					all = append(all, c)
				} else {
					o.notes.add("%s: is left out: work is only placed on nodes that are healthy", path)
				}
			default:
				o.wrong(path, "text and no table")
			}
		}
	}
	return all
}

func constraint(o object) mesh.Constraint {
	c := mesh.Constraint{Attribute: o.text("attribute", "target", "l_target")}
	if name, ok := attributeNames[c.Attribute]; ok {
		c.Attribute = name
	}
	if label, ok := strings.CutPrefix(c.Attribute, "labels."); ok {
		c.Attribute = mesh.LabelAttribute + label
	}
	operator := o.text("operator", "operand")
	c.Operator = mesh.Operator(operator)
	if name, ok := operatorNames[operator]; ok {
		c.Operator = name
	}
	several := []mesh.Operator{mesh.ContainsAll, mesh.ContainsAny, mesh.In}
	v, at := o.take("value", "r_target")
	values, isList := v.([]any)
	if !isList && at != "" {
		values = []any{v}
	}
	for _, e := range values {
		if s, ok := plain(e); ok {
			c.Values = append(c.Values, mesh.Value(s))
		} else {
			o.wrong(at, "text, number or list of these")
		}
	}
	if !slices.Contains(several, c.Operator) && len(c.Values) > 0 {
		c.Value, c.Values = c.Values[0], nil
	}
	o.rest(nowhere)
	return c
}

// preferred is a wish for the node that an agent would best be on.
func preferred(places ...object) []mesh.Affinity {
	var all []mesh.Affinity
	for _, o := range places {
		if name := o.text("preferred_node"); name != "" {
			all = append(all, mesh.Affinity{Attribute: "node.name", Value: mesh.Value(name), Weight: 100})
		}
	}
	return all
}
