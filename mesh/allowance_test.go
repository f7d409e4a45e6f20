package mesh

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestAllowanceIsOfEachResource(t *testing.T) {
	all := Resources{CPU: 8 * Core, Memory: 32 * GiB, Disk: math.MaxInt64}
	tests := []struct {
		a    Allowance
		want Resources
		text string
	}{
		{Allowance{}, all, "all"},
		{Allowance{CPU: 75, Memory: 50}, Resources{6 * Core, 16 * GiB, math.MaxInt64}, "cpu 75 %, memory 50 %"},
		{Allowance{CPU: 1, Disk: 99}, Resources{80, 32 * GiB, 9131138316486228048}, "cpu 1 %, disk 99 %"},
		{Allowance{GPU: 50}, all, "gpu 50 %"},
	}
	for _, tt := range tests {
		if got := tt.a.Of(all); got != tt.want || tt.a.String() != tt.text {
			t.Errorf("%+v: got %+v, %q, want %+v, %q", tt.a, got, tt.a, tt.want, tt.text)
		}
	}
	for _, tt := range [][3]int{{0, 4, 4}, {50, 4, 2}, {50, 3, 1}, {1, 3, 1}, {100, 3, 3}, {50, 0, 0}, {99, 1, 1}} {
		if got := (Allowance{GPU: tt[0]}).GPUs(tt[1]); got != tt[2] {
			t.Errorf("%d %% of %d GPUs: got %d, want %d", tt[0], tt[1], got, tt[2])
		}
	}
	if f := (Allowance{CPU: 100, Memory: 1}).Check(); f != nil {
		t.Error(f)
	}
	for _, a := range []Allowance{{CPU: 101}, {Memory: -1}, {Disk: 1000}, {GPU: -100}} {
		if f := a.Check(); f == nil || f.Kind != Invalid {
			t.Errorf("%+v: got %v, want it refused", a, f)
		}
	}
	got := Allowance{CPU: 75, Memory: 50}.With(Allowance{Memory: 100, GPU: 25, Disk: 100})
	if want := (Allowance{CPU: 75, GPU: 25}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLabelsGoOverThoseOfTheAgent(t *testing.T) {
	told := map[string]string{"rack": "a", "ssd": "true"}
	l := Labels{Node: "n"}
	steps := []struct {
		set    map[string]string
		remove []string
		want   string // of the node, or part of the fault
	}{
		{map[string]string{"rack": "b", "room": ""}, nil, "map[rack:b room: ssd:true]"},
		{nil, []string{"ssd", "room"}, "map[rack:b]"},
		{nil, []string{"room"}, `has no label "room"`},
		{map[string]string{"x": "1"}, []string{"x"}, "to be set and to be removed"},
		{map[string]string{"-": "1"}, nil, `label "-": want a name`},
		{map[string]string{"x": strings.Repeat("x", LabelMax+1)}, nil, "at most 256 bytes"},
		{nil, []string{"rack"}, "map[]"}, // it does not come back as the agent's
		{map[string]string{"ssd": "no"}, nil, "map[ssd:no]"},
	}
	for i, s := range steps {
		next, f := l.Change(told, s.set, s.remove)
		if f != nil {
			if !strings.Contains(f.Text, s.want) {
				t.Errorf("step %d: got %q, want %q", i, f.Text, s.want)
			}
			continue
		}
		l = next
		if got := fmt.Sprint(l.Over(told)); got != s.want {
			t.Errorf("step %d: got %s, want %s", i, got, s.want)
		}
	}
	many := map[string]string{}
	for i := range LabelsMax + 1 {
		many[fmt.Sprint("l", i)] = "x"
	}
	if _, f := l.Change(told, many, nil); f == nil || f.Kind != Invalid {
		t.Errorf("%d labels: got %v, want them refused", len(many), f)
	}
}

// TestLabelsCanBeShown on any terminal.
func TestLabelsCanBeShown(t *testing.T) {
	for _, value := range []string{"a\x1b[2J", "\xff", "two\nlines", "\u202eabc"} {
		if _, f := (&Labels{}).Change(nil, map[string]string{"rack": value}, nil); f == nil || f.Kind != Invalid {
			t.Errorf("%q: got %v", value, f)
		}
	}
	if _, f := (&Labels{}).Change(nil, map[string]string{"rack": "Zürich, 2"}, nil); f != nil {
		t.Error(f)
	}
}
