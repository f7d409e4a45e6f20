package mesh

import (
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

const (
	portsMax          = 64
	portMax           = 1<<16 - 1
	deviceRequestsMax = 16
	devicesMax        = 64 // of one request, and of a node
)

var (
	protocols       = []Protocol{ProtocolTCP, ProtocolUDP, ProtocolHTTP, ProtocolGRPC}
	deviceOperators = []DeviceOperator{AtLeast, MoreThan, Exactly}
)

// LabelVariable is the end of the names of the variables that tell a task of what has a
// label: in capitals, and "_" for what no such name has.
func LabelVariable(label string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, strings.ToUpper(label))
}

func (v *validator) ports(all []PortRequest) {
	if len(all) > portsMax {
		v.fault("has %d entries, more than %d", len(all), portsMax).at("port")
		return
	}
	for i := range all {
		p, at := &all[i], strconv.Itoa(i)
		v.name("the port's label", p.Label, "port", at, "label")
		oneOf(v, p.Protocol, protocols, "port", at, "protocol")
		if p.Number < 0 || p.Number > portMax {
			v.fault("must be from 1 to %d, not %d", portMax, p.Number).at("port", at, "port")
		}
	}
}

// groupPorts finds labels and ports that the tasks of a group would share.
func (v *validator) groupPorts(tasks []Task) {
	type place struct{ group, what string }
	labels, numbers := map[place]string{}, map[place]string{}
	for i := range tasks {
		t := &tasks[i]
		v.prefix, v.task = []string{"task", strconv.Itoa(i)}, clip(t.Name)
		for j := range t.Ports {
			p, at := &t.Ports[j], strconv.Itoa(j)
			label := place{t.group(), LabelVariable(p.Label)}
			if by, taken := labels[label]; taken && p.Label != "" {
				v.fault("is MN_PORT_%s, as is that of task %q", label.what, by).at("port", at, "label")
			}
			labels[label] = clip(t.Name)
			number := place{t.group(), strconv.Itoa(p.Number) + "/" + string(p.Protocol.Transport())}
			if by, taken := numbers[number]; taken && p.Number > 0 {
				v.fault("%s is that of task %q too", number.what, by).at("port", at, "port")
			}
			numbers[number] = clip(t.Name)
		}
	}
}

func (v *validator) devices(all []DeviceRequest) {
	if len(all) > deviceRequestsMax {
		v.fault("has %d entries, more than %d", len(all), deviceRequestsMax).at("device")
		return
	}
	for i := range all {
		v.device(&all[i], "device", strconv.Itoa(i))
	}
}

func (v *validator) device(d *DeviceRequest, keys ...string) {
	at := func(key string) []string { return append(slices.Clone(keys), key) }
	if d.Kind != "" {
		v.name("the device's kind", d.Kind, at("kind")...)
	}
	if d.Count < 0 || d.Count > devicesMax {
		v.fault("must be from 1 to %d, not %d", devicesMax, d.Count).at(at("count")...)
	}
	if n := len(d.IDs); n > 0 && d.Count > n {
		v.fault("is %d, and there are only %d ids", d.Count, n).at(at("count")...)
	}
	for _, of := range []struct{ key, text string }{{"vendor", d.Vendor}, {"model", d.Model}, {"driver", d.Driver}} {
		if len(of.text) > valueMax {
			v.fault("is %d bytes long, more than %d", len(of.text), valueMax).at(at(of.key)...)
		}
	}
	oneOf(v, d.MemoryRule, deviceOperators, at("memory_operator")...)
	oneOf(v, d.APIRule, deviceOperators, at("api_version_operator")...)
	switch {
	case d.MemoryRule != "" && d.MinMemory == 0:
		v.fault("compares min_memory, which is not there").at(at("memory_operator")...)
	case d.APIRule != "" && d.MinAPIVersion == "":
		v.fault("compares min_api_version, which is not there").at(at("api_version_operator")...)
	}
	if d.MinAPIVersion != "" {
		if _, err := version.NewVersion(d.MinAPIVersion); err != nil {
			v.fault("%q is no version, such as \"12.4\"", clip(d.MinAPIVersion)).at(at("min_api_version")...)
		}
	}
	switch {
	case d.MinMemory < 0 || d.MinMemory > bytesMax:
		v.fault("is more than any device has").at(at("min_memory")...)
	case d.Memory < 0 || d.Memory > bytesMax:
		v.fault("is more than any device has").at(at("memory")...)
	case d.Memory > 0 && d.Share > 0:
		v.fault("is another way to say how much of a device it is: want memory, or share").at(at("share")...)
	case d.Share < 0 || d.Share > WholeShare:
		v.fault("must be a part of 1, not %v", d.Share).at(at("share")...)
	}
	for _, list := range []struct {
		key    string
		values []string
	}{{"capabilities", d.Capabilities}, {"ids", d.IDs}} {
		if len(list.values) > devicesMax {
			v.fault("has %d entries, more than %d", len(list.values), devicesMax).at(at(list.key)...)
			continue
		}
		if slices.ContainsFunc(list.values, func(s string) bool { return s == "" || len(s) > valueMax }) {
			v.fault("has an entry that is empty or too long").at(at(list.key)...)
		}
	}
}
