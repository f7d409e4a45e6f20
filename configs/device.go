package configs

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"mn/mesh"
)

// Bounds of the devices in an agent's file.
const (
	devicesMax      = 64
	devicePathMax   = 255 // bytes
	deviceModelMax  = 128 // bytes
	capabilitiesMax = 32  // of a device
)

// Device is one that the node has and that no agent finds by itself: all but GPUs.
type Device struct {
	Kind         string     `toml:"kind"`
	ID           string     `toml:"id"`   // unique on the node
	Path         string     `toml:"path"` // if it has one: without it, the device is not there
	Vendor       string     `toml:"vendor"`
	Model        string     `toml:"model"`
	Memory       mesh.Bytes `toml:"memory"`
	Capabilities []string   `toml:"capabilities"`
}

// Listed are the devices of the file, as inventories have them: those of a kind are
// counted as they are written.
func (c *Daemon) Listed() []mesh.Device {
	var out []mesh.Device
	count := map[string]int{}
	for _, d := range c.Devices {
		out = append(out, mesh.Device{
			ID: d.ID, Kind: d.Kind, Vendor: d.Vendor, Model: d.Model, Index: count[d.Kind], Memory: d.Memory,
			Capabilities: slices.Sorted(slices.Values(d.Capabilities)), Path: d.Path,
		})
		count[d.Kind]++
	}
	return out
}

// devices checks the devices of the file.
func (c *Daemon) devices() []setting {
	if len(c.Devices) > devicesMax {
		return []setting{{"device", fmt.Sprintf("%d devices are more than %d", len(c.Devices), devicesMax)}}
	}
	var out []setting
	first := map[string]int{}
	for i, d := range c.Devices {
		at := element("device", i)
		out = append(out, d.faults(at)...)
		if n, ok := first[d.ID]; ok && d.ID != "" {
			out = append(out, setting{at + ".id", fmt.Sprintf("%q is the id of device %d too", clip(d.ID), n+1)})
			continue
		}
		first[d.ID] = i
	}
	return out
}

func (d Device) faults(at string) []setting {
	var out []setting
	add := func(key, format string, args ...any) {
		out = append(out, setting{at + key, fmt.Sprintf(format, args...)})
	}
	name := func(key, value string) {
		if !mesh.ValidName(value) {
			add(key, "%q is no name: want 1 to 63 of a-z, A-Z, 0-9, '-', '_' and '.', beginning with a letter "+
				"or digit", clip(value))
		}
	}
	switch d.Kind {
	case "":
		add(".kind", "is missing: say what jobs ask for, such as \"serial\"")
	case mesh.GPU:
		add(".kind", "agents find GPUs by themselves; give it another kind")
	default:
		name(".kind", d.Kind)
	}
	if d.ID == "" {
		add(".id", "is missing: give the device a name that no other on the node has")
	} else {
		name(".id", d.ID)
	}
	if d.Vendor != "" {
		name(".vendor", d.Vendor)
	}
	if d.Path != "" && (!path.IsAbs(d.Path) || path.Clean(d.Path) != d.Path || len(d.Path) > devicePathMax ||
		unprintable(d.Path)) {
		add(".path", "%q is no absolute path of at most %d bytes, such as \"/dev/ttyUSB0\"",
			clip(d.Path), devicePathMax)
	}
	if len(d.Model) > deviceModelMax || unprintable(d.Model) {
		add(".model", "want at most %d bytes of plain text", deviceModelMax)
	}
	if len(d.Capabilities) > capabilitiesMax {
		add(".capabilities", "%d capabilities are more than %d", len(d.Capabilities), capabilitiesMax)
		return out
	}
	for i, s := range d.Capabilities {
		name(element(".capabilities", i), s)
		if slices.Index(d.Capabilities, s) < i {
			add(element(".capabilities", i), "%q is there twice", clip(s))
		}
	}
	return out
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}
