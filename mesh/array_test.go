package mesh

import (
	"slices"
	"strings"
	"testing"
)

func TestArrayIsRead(t *testing.T) {
	tests := []struct {
		text    string
		indexes []int
		atOnce  int
	}{
		{"0-3", []int{0, 1, 2, 3}, 0},
		{"7", []int{7}, 0},
		{"1,3,5-7", []int{1, 3, 5, 6, 7}, 0},
		{"9, 1-2", []int{9, 1, 2}, 0},
		{"0-9:4", []int{0, 4, 8}, 0},
		{"5-5", []int{5}, 0},
		{"0-3%2", []int{0, 1, 2, 3}, 2},
		{"999999999%10000", []int{999999999}, 10000},
	}
	for _, tt := range tests {
		a, err := ParseArray(tt.text)
		var indexes []int
		for place := range a.Len() {
			indexes = append(indexes, a.At(place))
		}
		if err != nil || !slices.Equal(indexes, tt.indexes) || a.AtOnce != tt.atOnce {
			t.Errorf("%q: got %v, %d at once, %v; want %v, %d at once",
				tt.text, indexes, a.AtOnce, err, tt.indexes, tt.atOnce)
		}
	}
	if a, err := ParseArray("0-9999"); err != nil || a.Len() != CopiesMax {
		t.Errorf("the greatest: %d indexes, %v", a.Len(), err)
	}
}

func TestArrayIsRefused(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "has an empty part"},
		{"%2", "has an empty part"},
		{"1,,2", "has an empty part"},
		{"a", `"a" is no index below 1000000000`},
		{"1-", `"1-" is no index`},
		{"-1", `"-1" is no index`},
		{"+1", `"+1" is no index`},
		{"1-2-3", `"1-2-3" is no index`},
		{"1000000000", `"1000000000" is no index`},
		{"18446744073709551616", "is no index"},
		{"5:2", `"5:2" is no index`},
		{"0-9:0", `"0-9:0" is no index`},
		{"0-9:", `"0-9:" is no index`},
		{"9-0", `the range "9-0" ends before it begins`},
		{"0-10000", "has more than 10000 indexes"},
		{"0-999999999", "has more than 10000 indexes"},
		{"0-9999,10000", "has more than 10000 indexes"},
		{"0-9%0", `"%0" is no limit: want how many run at once, from %1 to %10000`},
		{"0-9%", `"%" is no limit`},
		{"0-9%x", `"%x" is no limit`},
		{strings.Repeat("1,", 3000), "is 6000 bytes long, more than 4096"},
	}
	for _, tt := range tests {
		if a, err := ParseArray(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, %v; want %q", clip(tt.text), a, err, tt.want)
		}
	}
}

// TestArrayChangesTheCopiesWhoseIndexItChanges, and no others.
func TestArrayChangesTheCopiesWhoseIndexItChanges(t *testing.T) {
	contents := func(array string) []string {
		j := good()
		j.Tasks[0].Array, j.Tasks[1].Array = array, array
		g, _ := j.Group("g")
		var all []string
		for place := range g.Count {
			all = append(all, g.ContentOf(HashGroup(j, "g"), place))
		}
		return all
	}
	before := contents("0-2")
	if more := contents("0-3%2"); len(more) != 4 || !slices.Equal(more[:3], before) {
		t.Errorf("one more, and a limit: %v, and %v before", more, before)
	}
	other := contents("0,5,2")
	if other[0] != before[0] || other[1] == before[1] || other[2] != before[2] {
		t.Errorf("another index in the middle: %v, and %v before", other, before)
	}
}
