package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"mn/mesh"
)

func files(texts map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range texts {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

// machine is one with a server's card of AMD, a desktop's card, one of Intel, a chip
// that shares the machine's memory, and a card that nobody computes on.
func machine() fstest.MapFS {
	return files(map[string]string{
		"proc/sys/kernel/osrelease":  "6.8.0-45-generic\n",
		"opt/rocm/.info/version":     "6.1.2-119\n",
		"dev/kfd":                    "",
		"usr/share/hwdata/pci.ids":   "# list\n1001  Other\n\t73bf  Not this\n1002  AMD\n\t73be  Navi\n\t\t1002 73bf  Sub\n\t73bf  Navi 21 [Radeon RX 6800]\n1003  X\n8086  Intel\n\t9a49  TigerLake-LP GT2\n",
		"sys/class/drm/version":      "drm 1.1.0\n",
		"sys/class/drm/card1-DP-1/x": "",
		"sys/class/drm/renderD128/x": "",

		"sys/class/drm/card10/device/uevent":              "DRIVER=amdgpu\nPCI_ID=1002:740C\nPCI_SLOT_NAME=0000:83:00.0\n",
		"sys/class/drm/card10/device/unique_id":           "79ccd55167a2124a\n",
		"sys/class/drm/card10/device/product_name":        "AMD INSTINCT MI250X\n",
		"sys/class/drm/card10/device/mem_info_vram_total": "68702699520\n",
		"sys/class/drm/card10/device/mem_info_vram_used":  "11059200\n",
		"sys/class/drm/card10/device/gpu_busy_percent":    "83\n",
		"sys/class/drm/card10/device/drm/renderD138/dev":  "226:138\n",
		"sys/class/drm/card10/device/ras/umc_err_count":   "ue: 2\nce: 40\n",
		"sys/class/drm/card10/device/ras/gfx_err_count":   "ue: 1\nce: 0\nde: 3\n",
		"sys/class/drm/card10/device/ras/features":        "ue: 100\n",

		"sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 32\ndrm_render_minor 0\ngfx_target_version 0\n",
		"sys/class/kfd/kfd/topology/nodes/1/properties": "simd_count 440\ndrm_render_minor 138\ngfx_target_version 90010\n",

		"sys/class/drm/card2/device/uevent":              "DRIVER=amdgpu\nPCI_ID=1002:73BF\nPCI_SLOT_NAME=0000:0b:00.0\n",
		"sys/class/drm/card2/device/mem_info_vram_total": "17163091968\n",
		"sys/class/drm/card2/device/mem_info_vram_used":  "1564491776\n",
		"sys/module/amdgpu/version":                      "6.7.0\n",

		"sys/class/drm/card3/device/uevent":     "DRIVER=xe\nPCI_ID=8086:56A0\nPCI_SLOT_NAME=0000:0c:00.0\n",
		"sys/class/drm/card3/lmem_total_bytes":  "17095983104\n",
		"sys/class/drm/card3/lmem_avail_bytes":  "17000000000\n",
		"sys/class/drm/card0/device/uevent":     "DRIVER=i915\nPCI_ID=8086:9A49\nPCI_SLOT_NAME=0000:00:02.0\n",
		"sys/class/drm/card4/device/uevent":     "DRIVER=ast\nPCI_ID=1A03:2000\nPCI_SLOT_NAME=0000:02:00.0\n",
		"sys/class/drm/card5/device/uevent":     "DRIVER=amdgpu\nPCI_SLOT_NAME=../../etc\n",
		"sys/class/drm/card6/device/tile0/none": "",
	})
}

func TestCardsOfAMDAndIntel(t *testing.T) {
	want := []Reading{
		{Device: mesh.Device{
			ID: "pci-0000:00:02.0", Kind: mesh.GPU, Vendor: "intel", Model: "TigerLake-LP GT2",
			DriverVersion: "6.8.0-45-generic",
		}},
		{
			Device: mesh.Device{
				ID: "pci-0000:0b:00.0", Kind: mesh.GPU, Vendor: "amd", Model: "Navi 21 [Radeon RX 6800]", Driver: "rocm",
				DriverVersion: "6.7.0", APIVersion: "6.1.2", Memory: 17163091968,
			},
			Used: 1564491776,
		},
		{
			Device: mesh.Device{
				ID: "pci-0000:0c:00.0", Kind: mesh.GPU, Vendor: "intel", Model: "8086:56a0",
				DriverVersion: "6.8.0-45-generic", Index: 1, Memory: 17095983104,
			},
			Used: 95983104,
		},
		{
			Device: mesh.Device{
				ID: "GPU-79ccd55167a2124a", Kind: mesh.GPU, Vendor: "amd", Model: "AMD INSTINCT MI250X", Driver: "rocm",
				DriverVersion: "6.7.0", APIVersion: "6.1.2", Index: 1, Memory: 68702699520,
				Capabilities: []string{"gfx90a"}, Path: "/dev/dri/renderD138",
			},
			Errors: 3, Busy: busy(83), Used: 11059200,
		},
	}
	source := &cards{root: machine()}
	for range 2 {
		got, err := source.Read(t.Context())
		if err != nil || len(got) != len(want) {
			t.Fatalf("got %d cards, error %v, want %d", len(got), err, len(want))
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("got  %+v\nwant %+v", got[i], want[i])
			}
		}
	}
}

func TestACardOfXeHasTheMemoryOfItsTiles(t *testing.T) {
	source := &cards{root: files(map[string]string{
		"sys/class/drm/card0/device/uevent":                         "DRIVER=xe\nPCI_SLOT_NAME=0000:0c:00.0\n",
		"sys/class/drm/card0/device/tile0/physical_vram_size_bytes": "1073741824\n",
		"sys/class/drm/card0/device/tile1/physical_vram_size_bytes": "1073741824\n",
	})}
	got, err := source.Read(t.Context())
	if err != nil || len(got) != 1 || got[0].Device.Memory != 2*mesh.GiB {
		t.Errorf("got %+v, error %v", got, err)
	}
}

// broken is a machine of which one file cannot be read.
type broken struct {
	fs.FS
	name string
	err  error
}

func (b broken) Open(name string) (fs.File, error) {
	if name == b.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: b.err}
	}
	return b.FS.Open(name)
}

func TestACardWhoseDriverDoesNotAnswerIsSick(t *testing.T) {
	const name = "sys/class/drm/card2/device/mem_info_vram_total"
	for err, want := range map[error]string{
		errors.New("no such device"): "its driver does not say how much memory it has: no such device",
		fs.ErrPermission:             "",
	} {
		got, readErr := (&cards{root: broken{machine(), name, err}}).Read(t.Context())
		if readErr != nil || len(got) != 4 || got[1].Device.Sick != want {
			t.Errorf("%v: got %+v, error %v", err, got, readErr)
		}
	}
}

func TestTooManyCards(t *testing.T) {
	root := fstest.MapFS{}
	for i := range DevicesMax + 2 {
		root[fmt.Sprintf("sys/class/drm/card%d/device/uevent", i)] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "DRIVER=xe\nPCI_SLOT_NAME=0000:%02x:00.0\n", i),
		}
	}
	got, err := (&cards{root: root}).Read(t.Context())
	if len(got) != DevicesMax || err == nil || err.Error() != "/sys/class/drm: there are more than 64 GPUs" {
		t.Errorf("got %d cards, error %v", len(got), err)
	}
}

func FuzzCards(f *testing.F) {
	f.Add("DRIVER=amdgpu\nPCI_ID=1002:73BF\nPCI_SLOT_NAME=0000:0b:00.0", "17163091968", "ue: 1", "1002  A\n\t73bf  B")
	f.Add("DRIVER=xe\nPCI_SLOT_NAME=0000:0b:00.0", "1e18", "ue: -1", "\t\t\n\x00")
	f.Fuzz(func(t *testing.T, uevent, number, ras, list string) {
		const card = "sys/class/drm/card0/"
		source := &cards{root: files(map[string]string{
			card + "device/uevent": uevent, card + "device/ras/umc_err_count": ras, "usr/share/misc/pci.ids": list,
			card + "device/mem_info_vram_total": number, card + "device/mem_info_vram_used": number,
			card + "device/unique_id": number, card + "lmem_total_bytes": number, card + "lmem_avail_bytes": ras,
			card + "device/product_name": ras, "dev/kfd": "", "opt/rocm/.info/version": list,
			"sys/class/kfd/kfd/topology/nodes/1/properties": list, card + "device/drm/renderD128/dev": "",
		})}
		got, _ := source.Read(t.Context())
		sane(t, got)
	})
}

func TestApple(t *testing.T) {
	tests := map[string][]mesh.Device{
		"apple-m2.json": {{
			ID: "metal-0", Kind: mesh.GPU, Vendor: "apple", Model: "Apple M2 Max", Driver: "metal", APIVersion: "3",
		}},
		"apple-intel.json": {
			{ID: "metal-0", Kind: mesh.GPU, Vendor: "intel", Model: "Intel UHD Graphics 630", Driver: "metal"},
			{
				ID: "metal-1", Kind: mesh.GPU, Vendor: "amd", Model: "AMD Radeon Pro 5500M", Driver: "metal",
				APIVersion: "3", Index: 1, Memory: 4 * mesh.GiB,
			},
		},
	}
	for name, want := range tests {
		put := fake(t, profiler)
		put("answer", string(recorded(t, name)))
		readings, err := apple{}.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []mesh.Device
		for _, r := range readings {
			got = append(got, r.Device)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
	many := `{"SPDisplaysDataType":[{}` + strings.Repeat(",{}", DevicesMax) + `]}`
	if got, err := parseProfiler([]byte(many)); len(got) != DevicesMax || err == nil {
		t.Errorf("got %d GPUs, error %v", len(got), err)
	}
	if _, err := parseProfiler([]byte("no")); err == nil || !strings.HasPrefix(err.Error(), "system_profiler: read its answer: ") {
		t.Errorf("got error %v", err)
	}
}

func FuzzApple(f *testing.F) {
	f.Add(recorded(f, "apple-m2.json"))
	f.Add(recorded(f, "apple-intel.json"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, _ := parseProfiler(text)
		sane(t, got)
	})
}

func TestListedDevicesAreThereWhileTheirPathsAre(t *testing.T) {
	root := files(map[string]string{"dev/ttyUSB0": ""})
	source := list{root, []mesh.Device{
		{ID: "a", Kind: "serial", Path: "/dev/ttyUSB0"},
		{ID: "b", Kind: "serial", Path: "/dev/ttyUSB1"},
		{ID: "c", Kind: "fpga"},
		{ID: "d", Kind: "machine", Path: "/"},
	}}
	ids := func() (out string) {
		got, err := source.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			out += r.Device.ID
		}
		return out
	}
	if got := ids(); got != "acd" {
		t.Errorf("got %q, want %q", got, "acd")
	}
	delete(root, "dev/ttyUSB0")
	root["dev/ttyUSB1"] = &fstest.MapFile{}
	if got := ids(); got != "bcd" {
		t.Errorf("got %q, want %q", got, "bcd")
	}
}
