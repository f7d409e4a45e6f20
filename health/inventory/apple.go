package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mn/mesh"
)

// apple asks macOS. What it says does not change while a machine is up, except for
// GPUs in boxes of their own.
type apple struct{}

const profiler = "system_profiler"

func (apple) Name() string { return "apple" }

func (apple) Read(ctx context.Context) ([]Reading, error) {
	text, err := ask(ctx, profiler, "-json", "SPDisplaysDataType")
	if errors.Is(err, errAbsent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseProfiler(text)
}

// parseProfiler reads the answer of system_profiler. macOS gives GPUs no ids: they are
// counted.
func parseProfiler(text []byte) ([]Reading, error) {
	var all struct {
		GPUs []struct {
			Name   string `json:"_name"`
			Model  string `json:"sppci_model"`
			Vendor string `json:"spdisplays_vendor"`
			Memory string `json:"spdisplays_vram"` // of those that have their own
			Metal  string `json:"spdisplays_mtlgpufamilysupport"`
			Older  string `json:"spdisplays_metal"` // before macOS 13
		} `json:"SPDisplaysDataType"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("%s: read its answer: %s", profiler, plain(err.Error()))
	}
	var out []Reading
	for i, g := range all.GPUs {
		if i == DevicesMax {
			return out, fmt.Errorf("%s: there are more than %d GPUs", profiler, DevicesMax)
		}
		d := mesh.Device{ID: "metal-" + strconv.Itoa(i), Kind: mesh.GPU, Index: i, Model: known(g.Model)}
		if d.Model == "" {
			d.Model = known(g.Name)
		}
		for _, v := range []string{"apple", "amd", "intel", "nvidia"} {
			if strings.Contains(strings.ToLower(g.Vendor), v) {
				d.Vendor = v
			}
		}
		// Its megabytes are binary ones.
		d.Memory = amount(strings.NewReplacer("GB", "GiB", "MB", "MiB").Replace(g.Memory))
		if g.Metal != "" || g.Older == "spdisplays_supported" {
			d.Driver, d.APIVersion = "metal", strings.TrimPrefix(plain(g.Metal), "spdisplays_metal")
		}
		out = append(out, Reading{Device: d})
	}
	return out, nil
}
