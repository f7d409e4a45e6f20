package inventory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mn/mesh"
)

// nvidia asks nvidia-smi for all that it knows, as XML. Its lists of single fields
// are shorter, but take two calls, one for devices and one for processes, and fail
// as a whole over a field that the driver's version does not know.
type nvidia struct{ root fs.FS }

const smi = "nvidia-smi"

// Exit codes of nvidia-smi with which it says that there is no device: none was
// found, no driver is loaded, there is no library to talk to one.
var smiNone = []int{6, 9, 12}

func (nvidia) Name() string { return "nvidia" }

func (n nvidia) Read(ctx context.Context) ([]Reading, error) {
	text, err := ask(ctx, smi, "-q", "-x")
	var f *failed
	switch {
	case errors.Is(err, errAbsent), errors.As(err, &f) && slices.Contains(smiNone, f.code):
		return nil, nil
	case err == nil:
		return parseSMI(text)
	case f == nil:
		return nil, err
	}
	// One device that is lost may take the answer about all others with it.
	if got, wrong := parseSMI(text); wrong == nil && len(got) > 0 {
		return got, err
	}
	return n.single(ctx), err
}

// single asks about each device alone, by the addresses that the kernel's driver has.
func (n nvidia) single(ctx context.Context) []Reading {
	const gpus = "proc/driver/nvidia/gpus"
	entries, err := fs.ReadDir(n.root, gpus)
	if err != nil {
		return nil
	}
	var out []Reading
	index := -1
	for _, e := range entries[:min(len(entries), DevicesMax)] {
		at := address(e.Name())
		if at == "" {
			continue
		}
		index++
		text, err := ask(ctx, smi, "-q", "-x", "-i", at)
		if err != nil {
			continue // the error about all says it
		}
		if got, err := parseSMI(text); err == nil && len(got) == 1 {
			got[0].Device.Index = index
			out = append(out, got[0])
		}
	}
	return out
}

// smiGPU is a <gpu>. Versions of the driver differ in what they say, and in how;
// where two fields mean the same, one of them is empty.
type smiGPU struct {
	Bus          string    `xml:"id,attr"`
	Name         string    `xml:"product_name"`
	Architecture string    `xml:"product_architecture"`
	UUID         string    `xml:"uuid"`
	Minor        string    `xml:"minor_number"`
	Total        string    `xml:"fb_memory_usage>total"`
	Used         string    `xml:"fb_memory_usage>used"`
	Busy         string    `xml:"utilization>gpu_util"`
	MIG          string    `xml:"mig_mode>current_mig"`
	Instances    []string  `xml:"mig_devices>mig_device>fb_memory_usage>total"`
	ECC          string    `xml:"ecc_mode>current_ecc"`
	Errors       smiErrors `xml:"ecc_errors>volatile"`
	Reset        string    `xml:"gpu_reset_status>reset_required"`
	Recovery     string    `xml:"gpu_recovery_action"`
	Remap        string    `xml:"remapped_rows>remapped_row_failure"`
	Temperature  string    `xml:"temperature>gpu_temp"`
	HotOld       string    `xml:"clocks_throttle_reasons>clocks_throttle_reason_hw_thermal_slowdown"`
	Hot          string    `xml:"clocks_event_reasons>clocks_event_reason_hw_thermal_slowdown"`
	Processes    []struct {
		PID    string `xml:"pid"`
		Memory string `xml:"used_memory"`
	} `xml:"processes>process_info"`
}

// smiErrors are those since the driver was loaded that were not corrected.
type smiErrors struct {
	Double string `xml:"double_bit>total"` // before Turing, this one alone
	DRAM   string `xml:"dram_uncorrectable"`
	SRAM   string `xml:"sram_uncorrectable"`
	Parity string `xml:"sram_uncorrectable_parity"` // with SECDED in place of SRAM
	SECDED string `xml:"sram_uncorrectable_secded"`
}

// parseSMI reads the answer of nvidia-smi.
func parseSMI(text []byte) ([]Reading, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.Map(inXML, smiNames.ReplaceAll(text, nil))))
	d.Strict = false
	if err := smiRoot(d); err != nil {
		return nil, err
	}
	var out []Reading
	var errs []error
	var driver, cuda string
	for index := 0; ; {
		token, err := d.Token()
		if err != nil {
			return out, errors.Join(append(errs, because(err))...)
		}
		e, ok := token.(xml.StartElement)
		if _, end := token.(xml.EndElement); end {
			return out, errors.Join(errs...)
		}
		switch {
		case !ok:
			continue
		case e.Name.Local == "driver_version":
			err = d.DecodeElement(&driver, &e)
		case e.Name.Local == "cuda_version":
			err = d.DecodeElement(&cuda, &e)
		case e.Name.Local != "gpu":
			err = d.Skip()
		case index == DevicesMax:
			return out, fmt.Errorf("%s: there are more than %d GPUs", smi, DevicesMax)
		default:
			var g smiGPU
			if err = d.DecodeElement(&g, &e); err == nil {
				r, wrong := g.reading(index)
				if wrong == nil {
					r.Device.DriverVersion, r.Device.APIVersion = known(driver), known(cuda)
					out = append(out, r)
				} else {
					errs = append(errs, wrong)
				}
				index++
			}
		}
		if err != nil {
			return out, errors.Join(append(errs, because(err))...)
		}
	}
}

// smiNames are lines with the name of a process: they have it as it is, not as XML, and
// so anyone's process could break the answer, or write its own.
var smiNames = regexp.MustCompile(`(?m)^.*<process_name>.*$`)

// inXML leaves out characters that XML does not have.
func inXML(r rune) rune {
	if r < ' ' && r != '\n' && r != '\t' || r == '\ufffe' || r == '\uffff' {
		return -1
	}
	return r
}

// smiRoot goes to what is in the root element.
func smiRoot(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if err != nil {
			return because(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			if e.Name.Local == "nvidia_smi_log" {
				return nil
			}
			return fmt.Errorf("%s: its answer is no nvidia_smi_log", smi)
		}
	}
}

func because(err error) error { return fmt.Errorf("%s: read its answer: %s", smi, plain(err.Error())) }

// smiID is what programs may be told to use a device by.
var smiID = regexp.MustCompile(`^GPU-[0-9A-Za-z-]{1,60}$`)

// reading is what is said of the GPU that is the index-th. One without an id cannot be
// told from others.
func (g *smiGPU) reading(index int) (Reading, error) {
	sick := g.sick()
	id := strings.TrimSpace(g.UUID)
	if !smiID.MatchString(id) {
		return Reading{}, fmt.Errorf("%s: GPU %s has no UUID: %s", smi, cmp.Or(address(g.Bus), strconv.Itoa(index)),
			cmp.Or(sick, plain(g.UUID), "it says nothing"))
	}
	r := Reading{
		Device: mesh.Device{
			ID: id, Kind: mesh.GPU, Vendor: "nvidia", Model: known(g.Name), Driver: "cuda", Index: index,
			Memory: amount(g.Total), Sick: sick,
		},
		Errors: count(g.Errors.Double) + count(g.Errors.DRAM) + count(g.Errors.SRAM) + count(g.Errors.Parity) +
			count(g.Errors.SECDED),
		Used: amount(g.Used),
		Busy: percent(strings.TrimSuffix(known(g.Busy), "%")),
	}
	if minor, err := strconv.ParseUint(strings.TrimSpace(g.Minor), 10, 16); err == nil {
		r.Device.Path = "/dev/nvidia" + strconv.FormatUint(minor, 10)
	}
	if a := strings.ToLower(known(g.Architecture)); mesh.ValidName(a) {
		r.Device.Capabilities = append(r.Device.Capabilities, a)
	}
	if on(g.ECC) {
		r.Device.Capabilities = append(r.Device.Capabilities, "ecc")
	}
	if on(g.MIG) {
		// A program that is given the whole sees the first instance, and nothing else.
		r.Device.Capabilities = append(r.Device.Capabilities, "mig")
		r.Device.Memory = 0
		if len(g.Instances) > 0 {
			r.Device.Memory = amount(g.Instances[0])
		}
	}
	slices.Sort(r.Device.Capabilities)
	for _, p := range g.Processes[:min(len(g.Processes), usersMax)] {
		pid, err := strconv.ParseInt(strings.TrimSpace(p.PID), 10, 32)
		if err != nil || pid <= 0 {
			continue
		}
		u := User{PID: int(pid), Memory: -1}
		if b, ok := size(p.Memory); ok {
			u.Memory = b
		}
		r.Users = append(r.Users, u)
	}
	return r, nil
}

// smiTrouble is what stands in place of values that the driver could not get.
var smiTrouble = []string{"gpu is lost", "gpu requires reset", "unknown error", "err!"}

// sick is what the driver says is wrong now, apart from the errors that it counts.
func (g *smiGPU) sick() string {
	for _, v := range []string{g.UUID, g.Name, g.Total, g.Used, g.Temperature} {
		v = strings.Trim(plain(v), "[]")
		if slices.ContainsFunc(smiTrouble, func(s string) bool { return strings.Contains(strings.ToLower(v), s) }) {
			return "its driver says: " + v
		}
	}
	switch recovery := known(g.Recovery); {
	case recovery != "":
		return "its driver asks for: " + recovery
	case yes(g.Reset):
		return "it must be reset"
	case yes(g.Remap):
		return "it has run out of spare memory for what is broken"
	case active(g.Hot) || active(g.HotOld):
		return "it is too hot, and has slowed itself down"
	case on(g.MIG) && len(g.Instances) == 0:
		return "MIG is on, and there is no instance that programs could use"
	}
	return ""
}

func on(s string) bool     { return strings.TrimSpace(s) == "Enabled" }
func yes(s string) bool    { return strings.TrimSpace(s) == "Yes" }
func active(s string) bool { return strings.TrimSpace(s) == "Active" }
