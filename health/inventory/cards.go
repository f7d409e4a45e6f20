package inventory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// cards finds GPUs of AMD and Intel where the kernel's drivers show them, in
// /sys/class/drm: no tool of the vendor is needed. The kernel names no processes
// that use them.
type cards struct {
	root  fs.FS
	names map[string]string // of models by their PCI ids, once looked up; at most DevicesMax
}

func (*cards) Name() string { return "drm" }

const drm = "sys/class/drm"

// cardName is that of a card; others beside them are its connectors.
var cardName = regexp.MustCompile(`^card(\d{1,6})$`)

func (c *cards) Read(context.Context) ([]Reading, error) {
	entries, err := fs.ReadDir(c.root, drm)
	if err != nil {
		return nil, nil // a kernel without graphics
	}
	var numbers []int
	for _, e := range entries {
		if m := cardName.FindStringSubmatch(e.Name()); m != nil {
			n, _ := strconv.Atoi(m[1])
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	var out []Reading
	index := map[string]int{}
	for _, n := range numbers {
		r, ok := c.card(path.Join(drm, "card"+strconv.Itoa(n), "device"))
		if !ok {
			continue
		}
		if len(out) == DevicesMax {
			return out, fmt.Errorf("/%s: there are more than %d GPUs", drm, DevicesMax)
		}
		r.Device.Index = index[r.Device.Vendor]
		index[r.Device.Vendor]++
		out = append(out, r)
	}
	return out, nil
}

// card reads about the device in dir; false if it is none of ours to read.
func (c *cards) card(dir string) (Reading, bool) {
	about := map[string]string{}
	for line := range strings.Lines(value(c.root, path.Join(dir, "uevent"))) {
		key, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		about[key] = v
	}
	at := address(about["PCI_SLOT_NAME"])
	if at == "" {
		return Reading{}, false
	}
	r := Reading{Device: mesh.Device{
		ID: "pci-" + at, Kind: mesh.GPU, Model: c.model(dir, about["PCI_ID"]), Path: c.path(dir),
		DriverVersion: plain(value(c.root, "proc/sys/kernel/osrelease")),
	}}
	switch about["DRIVER"] {
	case "amdgpu":
		c.amd(dir, &r)
	case "i915", "xe":
		c.intel(dir, &r)
	default:
		return Reading{}, false
	}
	return r, true
}

// path is the file in /dev by which programs compute on the device of dir.
func (c *cards) path(dir string) string {
	entries, err := fs.ReadDir(c.root, path.Join(dir, "drm"))
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "renderD") && mesh.ValidName(e.Name()) {
			return "/dev/dri/" + e.Name()
		}
	}
	return ""
}

// memory reads an amount. That a driver has no such file is no fault, that it cannot
// answer is.
func (c *cards) memory(name string, d *mesh.Device) mesh.Bytes {
	text, err := content(c.root, name)
	switch {
	case err == nil:
		return amount(text)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
	case d.Sick == "":
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		d.Sick = "its driver does not say how much memory it has: " + plain(err.Error())
	}
	return 0
}

// uniqueID is what the driver calls a device, on cards that have an id.
var uniqueID = regexp.MustCompile(`^[0-9a-f]{1,16}$`)

func (c *cards) amd(dir string, r *Reading) {
	d := &r.Device
	d.Vendor = "amd"
	// ROCm calls it so, and programs may be told to use it by that name.
	if id := value(c.root, path.Join(dir, "unique_id")); uniqueID.MatchString(id) && strings.Trim(id, "0") != "" {
		d.ID = "GPU-" + strings.Repeat("0", 16-len(id)) + id
	}
	d.Memory = c.memory(path.Join(dir, "mem_info_vram_total"), d)
	r.Used = c.memory(path.Join(dir, "mem_info_vram_used"), d)
	r.Busy = percent(value(c.root, path.Join(dir, "gpu_busy_percent")))
	if v := plain(value(c.root, "sys/module/amdgpu/version")); v != "" {
		d.DriverVersion = v
	}
	if _, err := fs.Stat(c.root, "dev/kfd"); err == nil {
		d.Driver = "rocm"
		d.APIVersion, _, _ = strings.Cut(plain(value(c.root, "opt/rocm/.info/version")), "-")
		if g := c.gfx(d.Path); g != "" {
			d.Capabilities = []string{g}
		}
	}
	r.Errors = c.ras(path.Join(dir, "ras"))
}

// ras is how many errors the blocks of a device have seen that were not corrected.
func (c *cards) ras(dir string) uint64 {
	entries, err := fs.ReadDir(c.root, dir)
	if err != nil {
		return 0 // the device does not count
	}
	var sum uint64
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_err_count") {
			continue
		}
		for line := range strings.Lines(value(c.root, path.Join(dir, e.Name()))) {
			if n, ok := strings.CutPrefix(line, "ue:"); ok {
				sum += count(n)
			}
		}
	}
	return sum
}

// gfx is what ROCm compiles for, for the device of a path: "gfx90a".
func (c *cards) gfx(file string) string {
	const nodes = "sys/class/kfd/kfd/topology/nodes"
	minor, ok := strings.CutPrefix(file, "/dev/dri/renderD")
	entries, err := fs.ReadDir(c.root, nodes)
	if err != nil || !ok {
		return ""
	}
	for _, e := range entries {
		about := map[string]string{}
		for line := range strings.Lines(value(c.root, path.Join(nodes, e.Name(), "properties"))) {
			if f := strings.Fields(line); len(f) == 2 {
				about[f[0]] = f[1]
			}
		}
		if v := count(about["gfx_target_version"]); about["drm_render_minor"] == minor && v > 0 {
			return fmt.Sprintf("gfx%d%x%x", v/10000, v/100%100, v%100)
		}
	}
	return ""
}

// intel knows the memory of cards that have their own, where the driver's version
// tells; otherwise it is 0, as for those that share the machine's.
func (c *cards) intel(dir string, r *Reading) {
	d := &r.Device
	d.Vendor = "intel"
	card := path.Dir(dir)
	if d.Memory = c.memory(path.Join(card, "lmem_total_bytes"), d); d.Memory > 0 {
		if free, ok := size(value(c.root, path.Join(card, "lmem_avail_bytes"))); ok {
			r.Used = max(d.Memory-free, 0)
		}
		return
	}
	const tilesMax = 8
	for i := range tilesMax {
		d.Memory += c.memory(path.Join(dir, "tile"+strconv.Itoa(i), "physical_vram_size_bytes"), d)
	}
}

// pciID is the vendor and the device that a card says it is.
var pciID = regexp.MustCompile(`^([0-9A-F]{4}):([0-9A-F]{4})$`)

// model is what people call a card: as its maker has written it in, or as the list
// of PCI ids has it, on machines where there is one.
func (c *cards) model(dir, id string) string {
	if name := known(value(c.root, path.Join(dir, "product_name"))); name != "" {
		return name
	}
	m := pciID.FindStringSubmatch(id)
	if m == nil {
		return ""
	}
	name, ok := c.names[id]
	if !ok {
		name = c.lookUp(strings.ToLower(m[1]), strings.ToLower(m[2]))
		if c.names == nil || len(c.names) >= DevicesMax {
			c.names = map[string]string{}
		}
		c.names[id] = name
	}
	if name == "" {
		return strings.ToLower(id)
	}
	return name
}

// lookUp is a device's name in the list of PCI ids; "" if it has none.
func (c *cards) lookUp(vendor, device string) string {
	const listMax = 16 << 20
	for _, name := range []string{"usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids"} {
		f, err := c.root.Open(name)
		if err != nil {
			continue
		}
		defer f.Close()
		// Vendors are at the left edge, their devices one tab from it.
		here := false
		for lines := bufio.NewScanner(io.LimitReader(f, listMax)); lines.Scan(); {
			line := lines.Text()
			switch rest, ok := strings.CutPrefix(line, "\t"+device+"  "); {
			case ok && here:
				return plain(rest)
			case here && line != "" && line[0] != '\t' && line[0] != '#':
				return ""
			case strings.HasPrefix(line, vendor+"  "):
				here = true
			}
		}
		return ""
	}
	return ""
}
