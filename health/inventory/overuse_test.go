package inventory

import (
	"fmt"
	"slices"
	"testing"

	"mn/mesh"
)

func TestOveruse(t *testing.T) {
	const gib = mesh.GiB
	given := func(alloc mesh.AllocID, task, device string, part mesh.Bytes) mesh.Claim {
		return mesh.Claim{Alloc: alloc, Grants: mesh.Grants{Devices: []mesh.DeviceGrant{
			{Task: task, Given: []mesh.GivenDevice{{ID: device, Part: part}}},
		}}}
	}
	claims := []mesh.Claim{
		given("a", "train", "g0", 4*gib), given("b", "serve", "g0", 4*gib), given("c", "all", "g1", 0),
		given("d", "train", "g2", gib), given("d", "train", "g2", gib), // two parts of one
	}
	// Processes 10-19 are a's, 20-29 b's, and so on; those of 90 and more are nobody's.
	owner := func(pid int) (mesh.AllocID, string, bool) {
		task := map[int]string{1: "train", 2: "serve", 3: "all", 4: "train", 5: "none"}[pid/10]
		return mesh.AllocID(rune('a' + pid/10 - 1)), task, task != ""
	}
	var over Overuse
	for i, tt := range []struct {
		uses []Use
		want []string
	}{
		{[]Use{{"g0", User{10, 3 * gib}}, {"g0", User{11, gib}}, {"g0", User{90, 9 * gib}}, {"g1", User{30, 80 * gib}}}, nil},
		{
			[]Use{{"g0", User{10, 3 * gib}}, {"g0", User{11, 2 * gib}}, {"g0", User{20, 4 * gib}}},
			[]string{"a/train g0 5 GiB of 4 GiB first"},
		},
		{[]Use{{"g0", User{10, 4 * gib}}}, nil}, // it gave it back
		{[]Use{{"g0", User{10, 5 * gib}}, {"g2", User{40, 2 * gib}}}, []string{"a/train g0 5 GiB of 4 GiB first"}},
		{[]Use{{"g0", User{10, 5 * gib}}, {"g0", User{11, -1}}}, []string{"a/train g0 5 GiB of 4 GiB"}},
		{[]Use{{"g0", User{10, 6 * gib}}, {"g1", User{50, gib}}, {"g3", User{50, gib}}}, // g3 is nobody's
			[]string{"a/train g0 6 GiB of 4 GiB last", "e/none g1 1 GiB of 0 B first"}},
		{[]Use{{"g0", User{10, 6 * gib}}}, []string{"a/train g0 6 GiB of 4 GiB last"}}, // until it has ended
	} {
		var got []string
		for _, e := range over.Look(claims, tt.uses, owner) {
			s := fmt.Sprintf("%s/%s %s %v of %v", e.Alloc, e.Task, e.Device, e.Has, e.Part)
			if e.First {
				s += " first"
			}
			if e.Last {
				s += " last"
			}
			got = append(got, s)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("look %d: %q, want %q", i, got, tt.want)
		}
	}
}
