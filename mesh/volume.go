package mesh

import (
	"fmt"
	"path"
	"strings"
)

// Volume is a folder that a task has besides its own.
type Volume struct {
	Name   string     `json:"name" toml:"name"`
	Type   VolumeType `json:"type,omitempty" toml:"type"`     // VolumeHost if unset
	Source string     `json:"source" toml:"source"`           // absolute, on whichever node
	Target string     `json:"target,omitempty" toml:"target"` // absolute: where one contained has it; Source if unset
	Mode   VolumeMode `json:"mode,omitempty" toml:"mode"`     // ReadOnly if unset
}

// VolumeType says where a volume comes from.
type VolumeType string

// VolumeHost is a folder of the node, which is there already.
const VolumeHost VolumeType = "host"

// VolumeMode says what a task may do with a volume.
type VolumeMode string

// The modes.
const (
	ReadOnly  VolumeMode = "ro" // the default
	ReadWrite VolumeMode = "rw"
)

// At is where a task finds the volume. One that is contained has it where it wants it.
func (v *Volume) At(contained bool) string {
	if contained && v.Target != "" {
		return v.Target
	}
	return v.Source
}

// Variable is the name of the variable that says where it is.
func (v *Volume) Variable() string {
	return VarVolume + LabelVariable(v.Name)
}

// Within says whether a path is a folder or something below it, by their names.
// Both are absolute and clean.
func Within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/")
}

// Lender is the shared folder which has a source of a volume, or "".
func Lender(shares []string, source string) string {
	for _, s := range shares {
		if Within(source, s) {
			return s
		}
	}
	return ""
}

// Lends says which volume of a task a node does not let it have, or "".
func (n *Node) Lends(t *Task) string {
	for i := range t.Volumes {
		if v := &t.Volumes[i]; Lender(n.Volumes, v.Source) == "" {
			return fmt.Sprintf("volume %q: %q is in no folder that it shares", v.Name, v.Source)
		}
	}
	return ""
}

// volumesMax bounds the volumes of a task.
const volumesMax = 32

// volumes checks what can be known of volumes before a node has seen them.
func (v *validator) volumes(t *Task) {
	if len(t.Volumes) > volumesMax {
		v.fault("has %d entries, more than %d", len(t.Volumes), volumesMax).at("volume")
		return
	}
	names, places := map[string]string{}, map[string]string{}
	for i := range t.Volumes {
		vol := &t.Volumes[i]
		at := func(key string) []string { return []string{"volume", fmt.Sprint(i), key} }
		v.name("the volume's name", vol.Name, at("name")...)
		oneOf(v, vol.Type, volumeTypes, at("type")...)
		oneOf(v, vol.Mode, volumeModes, at("mode")...)
		v.place(vol.Source, at("source")...)
		if vol.Target != "" {
			v.place(vol.Target, at("target")...)
		}
		if other, taken := names[vol.Variable()]; taken {
			v.fault("is as good as that of volume %q: both would be told as %s",
				clip(other), clip(vol.Variable())).at(at("name")...)
		}
		if other, taken := places[vol.At(t.Contained())]; taken && t.Contained() {
			v.fault("volume %q is there too", clip(other)).at(at("target")...)
		}
		if t.Driver == ContainerDriver {
			v.mounted(vol.Source, at("source")...)
			v.mounted(vol.Target, at("target")...)
		}
		names[vol.Variable()], places[vol.At(t.Contained())] = vol.Name, vol.Name
		if t.Contained() {
			continue
		}
		if vol.Target != "" && vol.Target != vol.Source {
			v.fault("only a sandbox shows a volume elsewhere: leave it out, or set isolation").at(at("target")...)
		}
		if vol.Mode != ReadWrite {
			v.fault(`nothing keeps a plain process from writing: set isolation = "sandbox", or mode = "rw"`).
				at(at("mode")...)
		}
	}
}

// place checks where a volume comes from, or where a sandbox shows it.
func (v *validator) place(name string, keys ...string) {
	switch {
	case name == "":
		v.fault("is missing: want the absolute path of a folder").at(keys...)
	case !path.IsAbs(name) || path.Clean(name) != name:
		v.fault("%q is not an absolute path without . and ..", clip(name)).at(keys...)
	case name == "/" || Within(name, "/proc") || Within(name, "/dev"):
		v.fault("%q is nothing that can be a volume", clip(name)).at(keys...)
	case len(name) > pathMax:
		v.fault("is longer than %d bytes", pathMax).at(keys...)
	}
}

// NoMount are characters that no path may have which an engine of containers is told to mount:
// it would be taken for more than a path.
const NoMount = ",\"\n\r"

// mounted checks a path that an engine of containers is told to mount.
func (v *validator) mounted(name string, keys ...string) {
	if strings.ContainsAny(name, NoMount) {
		v.fault("%q has a comma, a quote or a new line, which engines of containers take for something else: "+
			"rename the folder", clip(name)).at(keys...)
	}
}

// pathMax bounds a path, as the kernel does.
const pathMax = 4095
