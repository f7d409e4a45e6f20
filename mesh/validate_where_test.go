package mesh

import (
	"strings"
	"testing"
)

func TestValidateFindsWhatNoNodeCanBe(t *testing.T) {
	checkFaults(t, []spoiled{
		{"pool", func(j *Job) { j.Pool = "a b" }, `pool: "a b" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit`},
		{
			"attributes", func(j *Job) {
				j.Constraints = []Constraint{
					{Value: "linux"},
					{Attribute: "arhc", Value: "arm64"},
					{Attribute: "shoe.size", Value: "46"},
					{Attribute: "label.", Value: "x"},
					{Attribute: "label.rack", Value: "3"},
				}
			},
			`constraint.0.attribute: is missing: want one such as "os" or "label.rack"` + "\n" +
				`constraint.1.attribute: no node has the attribute "arhc"; did you mean "arch"?` + "\n" +
				`constraint.2.attribute: no node has the attribute "shoe.size"; known are ` + strings.Join(Attributes, ", ") + ", and label.NAME\n" +
				`constraint.3.attribute: no node has the attribute "label."; known are ` + strings.Join(Attributes, ", ") + ", and label.NAME",
		},
		{
			"operators and their values", func(j *Job) {
				j.Tasks[0].Constraints = []Constraint{
					{Attribute: "os", Operator: "~", Value: "x"},
					{Attribute: "os"},
					{Attribute: "os", Operator: In, Value: "linux"},
					{Attribute: "os", Operator: Equal, Value: "linux", Values: []Value{"x"}},
					{Attribute: "os", Operator: Exists, Value: "x"},
					{Attribute: "cpu", Operator: GreaterOrEqual, Value: "many"},
					{Attribute: "os", Operator: Regexp, Value: "("},
					{Attribute: "release", Operator: Version, Value: "new"},
					{Attribute: "os", Operator: DistinctHosts},
					{Operator: DistinctHosts},
					{Attribute: "label.rack", Operator: DistinctProperty, Value: "0"},
					{Attribute: "label.rack", Operator: DistinctProperty},
					{Attribute: "memory", Operator: GreaterOrEqual, Value: "1.5GiB"},
					{Attribute: "os", Value: Value(strings.Repeat("x", 1025))},
				}
			},
			`task "web": constraint.0.operator: has unsupported value "~"; supported: "==", "!=", "<", "<=", ">", ">=", "contains", ` +
				`"contains_all", "contains_any", "in", "exists", "not_exists", "regexp", "version", "semver", "distinct_hosts", "distinct_property"` + "\n" +
				`task "web": constraint.1.value: is missing: what is the attribute compared with?` + "\n" +
				`task "web": constraint.2.operator: "in" takes values: want them in values = [...]` + "\n" +
				`task "web": constraint.3.values: is for contains_all, contains_any and in: want value` + "\n" +
				`task "web": constraint.4.value: "exists" takes no value` + "\n" +
				`task "web": constraint.5.value: "many" is no number, and no size such as "16GiB"` + "\n" +
				"task \"web\": constraint.6.value: \"(\" is no regular expression: error parsing regexp: missing closing ): `(`\n" +
				`task "web": constraint.7.value: "new" says nothing of a version: want conditions such as ">= 1.2, < 2"` + "\n" +
				`task "web": constraint.8.operator: takes neither attribute nor value` + "\n" +
				`task "web": constraint.10.value: must be from 1 to 10000 copies, not "0"` + "\n" +
				`task "web": constraint.13.value: is 1025 bytes long, more than 1024`,
		},
		{
			"too many constraints", func(j *Job) { j.Constraints = make([]Constraint, 65) },
			"constraint: has 65 entries, more than 64",
		},
		{
			"affinities", func(j *Job) {
				j.Affinities = []Affinity{
					{Attribute: "os", Value: "linux"},
					{Attribute: "os", Value: "linux", Weight: 101},
					{Operator: DistinctHosts, Weight: 1},
					{Attribute: "os", Value: "linux", Weight: -100},
				}
			},
			"affinity.0.weight: must be from -100 to -1, or from 1 to 100, not 0\n" +
				"affinity.1.weight: must be from -100 to -1, or from 1 to 100, not 101\n" +
				`affinity.2.operator: "distinct_hosts" is no wish for nodes: want it in [[constraint]]`,
		},
		{
			"ports", func(j *Job) {
				j.Tasks[0].Ports = []PortRequest{
					{Label: "a b"}, {Label: "api", Number: 80}, {Label: "web", Number: 70000}, {Label: "x", Protocol: "smtp"},
				}
				// They share a node, and a protocol is no transport.
				j.Tasks[1].Ports = []PortRequest{
					{Label: "API"}, {Label: "http", Number: 80, Protocol: ProtocolHTTP}, {Label: "dns", Number: 80, Protocol: ProtocolUDP},
				}
			},
			`task "web": port.0.label: "a b" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit` + "\n" +
				`task "web": port.2.port: must be from 1 to 65535, not 70000` + "\n" +
				`task "web": port.3.protocol: has unsupported value "smtp"; supported: "tcp", "udp", "http", "grpc"` + "\n" +
				`task "side": port.0.label: is MN_PORT_API, as is that of task "web"` + "\n" +
				`task "side": port.1.port: 80/tcp is that of task "web" too`,
		},
		{
			"ports of two groups", func(j *Job) {
				j.Tasks[1].Group = "other"
				j.Tasks[0].Ports = []PortRequest{{Label: "api", Number: 80}}
				j.Tasks[1].Ports = []PortRequest{{Label: "api", Number: 80}}
				j.Tasks[0].Command = []string{"${MN_PORT_API}", "${MN_PORT_WEB}"}
			},
			`task "web": command.1: unknown variable ${MN_PORT_WEB}; did you mean ${MN_PORT_API}?`,
		},
		{
			"devices", func(j *Job) {
				j.Tasks[0].Devices = []DeviceRequest{
					{Kind: "a b", Count: -1},
					{Count: 65, MemoryRule: Exactly, APIRule: "~"},
					{MinAPIVersion: "new", Memory: GiB, Share: 500},
					{Memory: -1, IDs: []string{""}, Capabilities: make([]string, 65)},
					{MinMemory: GiB, MemoryRule: MoreThan, MinAPIVersion: "12.4", APIRule: Exactly, Share: 250, IDs: []string{"GPU-1"}},
				}
			},
			`task "web": device.0.kind: "a b" is not a name: want 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit` + "\n" +
				`task "web": device.0.count: must be from 1 to 64, not -1` + "\n" +
				`task "web": device.1.count: must be from 1 to 64, not 65` + "\n" +
				`task "web": device.1.api_version_operator: has unsupported value "~"; supported: ">=", ">", "=="` + "\n" +
				`task "web": device.1.memory_operator: compares min_memory, which is not there` + "\n" +
				`task "web": device.2.min_api_version: "new" is no version, such as "12.4"` + "\n" +
				`task "web": device.2.share: is another way to say how much of a device it is: want memory, or share` + "\n" +
				`task "web": device.3.memory: is more than any device has` + "\n" +
				`task "web": device.3.capabilities: has 65 entries, more than 64` + "\n" +
				`task "web": device.3.ids: has an entry that is empty or too long`,
		},
		{
			"spreads", func(j *Job) {
				j.Spreads = []SpreadOver{
					{Attribute: "rack"},
					{Attribute: "label.rack", Targets: []SpreadTarget{{"", 10}, {"a", 60}, {"a", 10}, {"b", 0}, {"c", 50}}},
					{Attribute: "label.rack", Targets: []SpreadTarget{{"a", 60}, {"b", 40}}},
				}
			},
			`spread.0.attribute: no node has the attribute "rack"; known are ` + strings.Join(Attributes, ", ") + ", and label.NAME\n" +
				"spread.1.target.0.value: is missing: want a value of label.rack\n" +
				`spread.1.target.2.value: has "a" twice` + "\n" +
				"spread.1.target.3.percent: must be from 1 to 100, not 0\n" +
				"spread.1.target: has 110 percent in all, more than 100",
		},
	})
}
