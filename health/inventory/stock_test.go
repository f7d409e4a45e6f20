package inventory

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mn/mesh"
)

// named is a source with a name only.
type named string

func (n named) Name() string                          { return string(n) }
func (named) Read(context.Context) ([]Reading, error) { return nil, nil }

func gpu(id string, index int) Reading {
	return Reading{Device: mesh.Device{ID: id, Kind: mesh.GPU, Vendor: "nvidia", Index: index, Memory: 8 * mesh.GiB}}
}

// said is a state in short: "a b:lost | fault".
func said(s State) string {
	out := ""
	for _, d := range s.Devices {
		out += d.ID
		if d.Sick != "" {
			sick, _, testing := strings.Cut(d.Sick, "; in self-test")
			out += ":" + sick
			if testing {
				out += "?"
			}
		}
		out += " "
	}
	for _, f := range s.Faults {
		out += "| " + f
	}
	return out
}

func TestOnlyTheDeviceThatFailsIsAway(t *testing.T) {
	s := newStock([]Source{named("x")}, Ours{})
	a, b := gpu("a", 0), gpu("b", 1)
	lost := b
	lost.Device.Sick = "lost"
	steps := []struct {
		readings []Reading
		err      error
		want     string
	}{
		{[]Reading{b, a}, nil, "a b "},
		{[]Reading{a, lost}, nil, "a b:lost "},
		{[]Reading{a, b}, nil, "a b:lost? "},
		{[]Reading{a}, errors.New("b fell off"), "a b:b fell off | b fell off"},
		{nil, errors.New("hangs"), "a:hangs b:hangs | hangs"},
		{[]Reading{a, b, a, a}, nil, "a:hangs? b:hangs? "},
		{[]Reading{a, b}, nil, "a:hangs? b:hangs? "},
		{[]Reading{a, b}, nil, "a:hangs? b:hangs? "},
		{[]Reading{a, b}, nil, "a b "},
		{[]Reading{a, lost}, nil, "a b:lost "},
		{[]Reading{a}, nil, "a "},
		{nil, errors.New("hangs"), "a:hangs | hangs"},
		{[]Reading{b}, nil, "b:lost? "}, // it comes back as sick as it went
		{nil, nil, ""},
	}
	for i, step := range steps {
		s.take(0, step.readings, step.err)
		if got := said(s.state()); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
}

func TestADeviceOfTwoSourcesIsThereOnce(t *testing.T) {
	s := newStock([]Source{named("x"), named("y")}, Ours{})
	s.take(0, []Reading{gpu("a", 1), gpu("b", 0), gpu("b", 0)}, nil)
	s.take(1, []Reading{gpu("c", 0), gpu("a", 1)}, nil)
	if got, want := said(s.state()), `b a c | y: device "a" is one of x too`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	s := newStock([]Source{named("x"), named("y")}, Ours{})
	for round := range 20 {
		var many []Reading
		for i := range 2 * DevicesMax {
			r := gpu(fmt.Sprint("d", round, "-", i), i)
			r.Device.Sick = "lost"
			many = append(many, r)
		}
		s.take(0, many, nil)
		s.take(1, many[:1], nil)
		s.take(1, many[DevicesMax:], nil)
		got := s.state()
		faults := []string{"128 devices are more than 64: the last ones are left out"}
		if len(got.Devices) != DevicesMax || !slices.Equal(got.Faults, faults) {
			t.Fatalf("got %d devices, faults %q, want %d, %q", len(got.Devices), got.Faults, DevicesMax, faults)
		}
		if n := len(s.sources[0].items); n > itemsMax {
			t.Fatalf("%d devices are remembered", n)
		}
	}
	for range 4 * passesMax {
		s.take(0, nil, nil)
	}
	s.take(0, []Reading{gpu("a", 0)}, nil)
	s.take(0, nil, nil)
	if _, ok := s.sources[0].items["a"]; ok {
		t.Error("a device that was well is remembered though it is gone")
	}
}

// TestHowBusyADeviceIs is known only as long as its driver says so.
func TestHowBusyADeviceIs(t *testing.T) {
	s := newStock([]Source{named("x")}, Ours{})
	quiet, works, mute := gpu("a", 0), gpu("b", 1), gpu("c", 2)
	quiet.Busy, works.Busy = busy(0), busy(70)
	s.take(0, []Reading{quiet, works, mute}, nil)
	if got := s.busy(); !reflect.DeepEqual(got, map[string]int{"a": 0, "b": 70}) {
		t.Errorf("got %v", got)
	}
	s.take(0, []Reading{works}, errors.New("its driver hangs"))
	if got := s.busy(); !reflect.DeepEqual(got, map[string]int{"b": 70}) {
		t.Errorf("of one that is not heard of: %v", got)
	}
	s.take(0, nil, nil)
	if got := s.busy(); len(got) > 0 {
		t.Errorf("of those that are gone: %v", got)
	}
}

func TestForeignMemoryIsOfTheDevice(t *testing.T) {
	s := newStock([]Source{named("x")}, Ours{Process: func(pid int) bool { return pid == 1 }})
	r := gpu("a", 0)
	r.Used, r.Users = 3*mesh.GiB, []User{{1, mesh.GiB}, {2, 2*mesh.GiB - mesh.MiB}}
	want := r.Device
	want.Foreign, want.ForeignBy = 2*mesh.GiB, []string{"?/2"}
	s.take(0, []Reading{r}, nil)
	r.Users[1].Memory -= 100 * mesh.MiB
	s.take(0, []Reading{r}, nil)
	if got := s.state().Devices; !reflect.DeepEqual(got, []mesh.Device{want}) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
