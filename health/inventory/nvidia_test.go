package inventory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"mn/mesh"
)

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ampere is the i-th GPU of the machine with five of them.
func ampere(i int, change func(*mesh.Device)) mesh.Device {
	d := mesh.Device{
		ID: fmt.Sprintf("GPU-7c9e6679-7425-40de-944b-e07fc1f9000%d", i), Kind: mesh.GPU, Vendor: "nvidia",
		Model: "NVIDIA A100-SXM4-40GB", Driver: "cuda", DriverVersion: "535.161.08", APIVersion: "12.2", Index: i,
		Memory: 40 * mesh.GiB, Capabilities: []string{"ampere", "ecc"}, Path: fmt.Sprintf("/dev/nvidia%d", i),
	}
	change(&d)
	return d
}

func hopper(i int, change func(*mesh.Device)) mesh.Device {
	d := mesh.Device{
		ID: fmt.Sprintf("GPU-7c9e6679-7425-40de-944b-e07fc1f9000%d", 5+i), Kind: mesh.GPU, Vendor: "nvidia",
		Model: "NVIDIA H100 80GB HBM3", Driver: "cuda", DriverVersion: "570.86.15", APIVersion: "12.8", Index: i,
		Memory: 81559 * mesh.MiB, Capabilities: []string{"ecc", "hopper"}, Path: fmt.Sprintf("/dev/nvidia%d", i),
	}
	change(&d)
	return d
}

func busy(percent int) *int { return &percent }

func TestNvidiaOfManyVersions(t *testing.T) {
	k80 := mesh.Device{
		ID: "GPU-5a3f2c11-7d1e-8b44-0c59-9b2d7be1f001", Kind: mesh.GPU, Vendor: "nvidia", Model: "Tesla K80",
		Driver: "cuda", DriverVersion: "418.67", APIVersion: "10.1", Memory: 11441 * mesh.MiB,
		Capabilities: []string{"ecc"}, Path: "/dev/nvidia0",
	}
	other := k80
	other.ID, other.Index, other.Path = "GPU-5a3f2c11-7d1e-8b44-0c59-9b2d7be1f002", 1, "/dev/nvidia1"
	same := func(*mesh.Device) {}
	tests := map[string][]Reading{
		"geforce-390.xml": {{
			Device: mesh.Device{
				ID: "GPU-0b1f7a52-66c0-4d0e-9f3a-2a8b4c5d6e7f", Kind: mesh.GPU, Vendor: "nvidia",
				Model: "GeForce GTX 1070", Driver: "cuda", DriverVersion: "390.132", Memory: 8118 * mesh.MiB,
				Path: "/dev/nvidia0",
			},
			Used:  731 * mesh.MiB,
			Users: []User{{1312, 214 * mesh.MiB}, {20411, 505 * mesh.MiB}},
		}},
		"tesla-418.xml": {{Device: k80}, {Device: other, Errors: 2}},
		"ampere-535.xml": {
			{
				Device: ampere(0, same), Busy: busy(97), Used: 21033 * mesh.MiB,
				Users: []User{{4021, 16 * mesh.GiB}, {4022, 4 * mesh.GiB}},
			},
			{
				Device: ampere(1, func(d *mesh.Device) {
					d.Capabilities, d.Memory = []string{"ampere", "ecc", "mig"}, 9728*mesh.MiB
				}),
				Used: 37 * mesh.MiB, Users: []User{{777, -1}},
			},
			{Device: ampere(2, func(d *mesh.Device) {
				d.Sick = "it has run out of spare memory for what is broken"
			}), Used: 4 * mesh.MiB},
			{Device: ampere(3, func(d *mesh.Device) {
				d.Sick = "it is too hot, and has slowed itself down"
			}), Busy: busy(0), Used: 4 * mesh.MiB},
			{Device: ampere(4, func(d *mesh.Device) { d.Sick = "it must be reset" }), Used: 4 * mesh.MiB},
		},
		"hopper-570.xml": {
			{Device: hopper(0, same), Errors: 7, Busy: busy(0), Used: mesh.MiB},
			{Device: hopper(1, func(d *mesh.Device) {
				d.Sick = "its driver asks for: Drain and Reset"
			}), Busy: busy(100), Used: mesh.MiB},
			{Device: hopper(2, func(d *mesh.Device) {
				d.Sick, d.Memory, d.Capabilities = "its driver says: GPU is lost", 0, []string{"ecc"}
				d.Model = "[GPU is lost]"
			})},
		},
		"blackwell-580.xml": {{Device: mesh.Device{
			ID: "GPU-7c9e6679-7425-40de-944b-e07fc1f90008", Kind: mesh.GPU, Vendor: "nvidia", Model: "NVIDIA GB10",
			Driver: "cuda", DriverVersion: "580.95.05", APIVersion: "13.0", Capabilities: []string{"blackwell"},
			Path: "/dev/nvidia0",
		}}},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseSMI(recorded(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("got %d GPUs, want %d", len(got), len(want))
			}
			for i := range want {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("got  %+v\nwant %+v", got[i], want[i])
				}
			}
		})
	}
}

func TestWhatMakesAnNvidiaGPUSick(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"<product_name>A & B</product_name>": "",
		"<temperature><gpu_temp>Unknown Error</gpu_temp></temperature>":             "its driver says: Unknown Error",
		"<fb_memory_usage><used>[GPU requires reset]</used></fb_memory_usage>":      "its driver says: GPU requires reset",
		"<fb_memory_usage><total>ERR!</total></fb_memory_usage>":                    "its driver says: ERR!",
		"<power_readings><power_draw>[Unknown Error]</power_draw></power_readings>": "",
		"<gpu_recovery_action>Reboot</gpu_recovery_action>":                         "its driver asks for: Reboot",
		"<clocks_throttle_reasons><clocks_throttle_reason_hw_thermal_slowdown>Active" +
			"</clocks_throttle_reason_hw_thermal_slowdown></clocks_throttle_reasons>": "it is too hot, and has slowed itself down",
		"<clocks_throttle_reasons><clocks_throttle_reason_sw_thermal_slowdown>Active" +
			"</clocks_throttle_reason_sw_thermal_slowdown></clocks_throttle_reasons>": "",
		"<fb_memory_usage><total>8 GiB</total></fb_memory_usage><mig_mode><current_mig>Enabled</current_mig></mig_mode>" +
			"<mig_devices>None</mig_devices>": "MIG is on, and there is no instance that programs could use",
	} {
		got, err := parseSMI([]byte("<nvidia_smi_log><gpu><uuid>GPU-1</uuid>" + text + "</gpu></nvidia_smi_log>"))
		if err != nil || len(got) != 1 || got[0].Device.Sick != want || got[0].Device.Memory != 0 {
			t.Errorf("%s: got %+v, error %v, want %q", text, got, err, want)
		}
	}
}

func TestNvidiaAnswersThatAreCutOrOdd(t *testing.T) {
	gpu := func(i int) string { return fmt.Sprintf("<gpu id='0000:01:00.0'><uuid>GPU-%d</uuid></gpu>", i) }
	var many strings.Builder
	for i := range DevicesMax + 1 {
		many.WriteString(gpu(i))
	}
	tests := []struct {
		name, text string
		devices    int
		err        string
	}{
		{"nothing", "", 0, "nvidia-smi: read its answer: EOF"},
		{"no XML", "NVIDIA-SMI has failed", 0, "nvidia-smi: read its answer: EOF"},
		{"other XML", "<log></log>", 0, "nvidia-smi: its answer is no nvidia_smi_log"},
		{"no GPUs", "<nvidia_smi_log><attached_gpus>0</attached_gpus></nvidia_smi_log>", 0, ""},
		{
			"broken off", "<nvidia_smi_log>" + gpu(1) + "<gpu><uuid>GPU-2</uuid>", 1,
			"nvidia-smi: read its answer: XML syntax error on line 1: unexpected EOF",
		},
		{
			"too many", "<nvidia_smi_log>" + many.String() + "</nvidia_smi_log>", DevicesMax,
			"nvidia-smi: there are more than 64 GPUs",
		},
		{
			"no id", "<nvidia_smi_log><gpu id='00000000:04:00.0'><uuid>Unknown Error</uuid></gpu>" + gpu(1) +
				"</nvidia_smi_log>", 1,
			"nvidia-smi: GPU 0000:04:00.0 has no UUID: its driver says: Unknown Error",
		},
		{
			"an id that is none", "<nvidia_smi_log><gpu><uuid>GPU-1,GPU-2</uuid></gpu></nvidia_smi_log>", 0,
			"nvidia-smi: GPU 0 has no UUID: GPU-1,GPU-2",
		},
		{"a byte that is no text", "<nvidia_smi_log>" + gpu(1) + "<x>\x00\xff</x></nvidia_smi_log>", 1, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSMI([]byte(tt.text))
			if said := fmt.Sprint(err); len(got) != tt.devices || (err != nil || tt.err != "") && said != tt.err {
				t.Errorf("got %d GPUs, error %v, want %d, %q", len(got), err, tt.devices, tt.err)
			}
		})
	}
}

func FuzzNvidia(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.xml")
	for _, name := range names {
		f.Add(recorded(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, _ := parseSMI(text)
		sane(t, got)
	})
}

// sane checks what is to be so of the devices that any source finds.
func sane(t *testing.T, readings []Reading) {
	t.Helper()
	if len(readings) > DevicesMax {
		t.Errorf("got %d devices", len(readings))
	}
	for _, r := range readings {
		d := r.Device
		for _, s := range append(d.Capabilities, d.ID, d.Vendor, d.Model, d.Driver, d.DriverVersion, d.APIVersion, d.Path, d.Sick) {
			if len(s) > 2*textMax || strings.ContainsAny(s, "\n\x00\x1b") {
				t.Errorf("got text %q", s)
			}
		}
		if !mesh.ValidName(strings.ReplaceAll(d.ID, ":", ".")) {
			t.Errorf("got id %q", d.ID)
		}
		if d.Memory < 0 || r.Used < 0 || len(r.Users) > usersMax {
			t.Errorf("got %+v", r)
		}
		if f := (Ours{}).foreign(r); f < 0 || d.Memory > 0 && f > d.Memory {
			t.Errorf("got foreign %v of %v", f, d.Memory)
		}
	}
}

// fake puts a tool in front of all others: it says what is in the file "answer" and ends
// with the code in the file "code", or does what is in the file "does".
func fake(t *testing.T, tool string) (put func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	put = func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	put(tool, `#!/bin/sh
cd "${0%/*}" || exit 99
echo "$*" >>asked
test ! -e does || . ./does
cat answer
exit "$(cat code)"
`)
	put("code", "0")
	return put
}

func TestFakeDriver(t *testing.T) {
	source := nvidia{fstest.MapFS{}}
	put := fake(t, smi)
	read := func() ([]Reading, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return source.Read(ctx)
	}
	put("answer", string(recorded(t, "ampere-535.xml")))
	if got, err := read(); err != nil || len(got) != 5 {
		t.Errorf("got %d GPUs, error %v, want 5", len(got), err)
	}
	for _, code := range []string{"6", "9", "12"} {
		put("answer", "No devices were found\n")
		put("code", code)
		if got, err := read(); err != nil || len(got) != 0 {
			t.Errorf("code %s: got %d GPUs, error %v, want none", code, len(got), err)
		}
	}
	// It warns, and answers.
	put("answer", string(recorded(t, "tesla-418.xml")))
	put("code", "14")
	if got, err := read(); err == nil || len(got) != 2 {
		t.Errorf("got %d GPUs, error %v, want 2 and an error", len(got), err)
	}
	put("answer", "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.86\n")
	put("code", "18")
	want := "nvidia-smi: exit code 18: Failed to initialize NVML: Driver/library version mismatch"
	if got, err := read(); err == nil || err.Error() != want || len(got) != 0 {
		t.Errorf("got %d GPUs, error %v, want none and %q", len(got), err, want)
	}
}

// A GPU that is lost takes the answer about all with it; the others are asked for one
// by one.
func TestALostGPUDoesNotHideTheOthers(t *testing.T) {
	put := fake(t, smi)
	const lost = "Unable to determine the device handle for GPU0000:41:00.0: GPU is lost. Reboot the system"
	put("does", `case "$*" in
*0000:01:00.0|*0000:81:00.0)
	echo "<nvidia_smi_log><driver_version>535.54</driver_version>"
	echo "<gpu id='0000$4'><uuid>GPU-$4</uuid></gpu></nvidia_smi_log>" | tr :. --
	exit 0 ;;
esac
echo "`+lost+`"
exit 15
`)
	gpus := fstest.MapFS{}
	for _, at := range []string{"0000:01:00.0", "0000:41:00.0", "0000:81:00.0"} {
		gpus["proc/driver/nvidia/gpus/"+at+"/information"] = &fstest.MapFile{}
	}
	gpus["proc/driver/nvidia/gpus/--help/information"] = &fstest.MapFile{}
	got, err := nvidia{gpus}.Read(t.Context())
	if want := "nvidia-smi: exit code 15: " + lost; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
	var ids []string
	for _, r := range got {
		ids = append(ids, fmt.Sprint(r.Device.Index, " ", r.Device.ID))
	}
	if want := []string{"0 GPU-0000-01-00-0", "2 GPU-0000-81-00-0"}; !slices.Equal(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
}

func TestATaskThatNamesItsProcessLikeXML(t *testing.T) {
	const text = `<nvidia_smi_log><gpu><uuid>GPU-1</uuid><processes>
<process_info><pid>7</pid>
<process_name>x</process_name><pid>8</pid></process_info></processes></gpu><gpu></process_name>
<used_memory>5 MiB</used_memory></process_info>
</processes></gpu></nvidia_smi_log>`
	got, err := parseSMI([]byte(text))
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0].Users, []User{{7, 5 * mesh.MiB}}) {
		t.Errorf("got %+v, error %v", got, err)
	}
}
