package sim

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
)

// Shipped are the scenarios that come with mn, in the folder "scenarios",
// each named after what it shows.
//
//go:embed scenarios/*.toml
var Shipped embed.FS

// The limits of a scenario.
const (
	NodesMax  = 1000
	faultsMax = 1000
	lastsMax  = 30 * 24 * time.Hour
	ppmMax    = 100_000
)

// Scenario is a mesh, what people ask of it, and what happens to it: a TOML
// file. Zero values mean what Defaults fills in, or that it does not happen.
type Scenario struct {
	Name   string   `toml:"-"`
	About  string   `toml:"about"`  // what it shows, in a sentence
	Proves []string `toml:"proves"` // counts that must not all be zero, or it has shown nothing

	Nodes    int           `toml:"nodes"`
	NodesMax int           `toml:"nodes_max"` // drawn between Nodes and this, if set
	Machines []Machine     `toml:"machine"`   // the first nodes, where they are not like the others
	For      mesh.Duration `toml:"for"`       // how long things may go wrong
	Settle   mesh.Duration `toml:"settle"`    // within which all must be well afterwards

	Mesh    Settings   `toml:"mesh"`
	Network Network    `toml:"network"`
	Disk    Disk       `toml:"disk"`
	Tasks   Tasks      `toml:"tasks"`
	Chaos   Chaos      `toml:"chaos"`
	People  People     `toml:"people"`
	Faults  []Fault    `toml:"fault"`
	Jobs    []mesh.Job `toml:"job"`

	Later    []mesh.Job `toml:"later"`   // jobs that people submit when they "run" one
	Programs []Program  `toml:"program"` // that tasks run by the first word of their command
}

// Machine is a node that is not like the others.
type Machine struct {
	Name      string            `toml:"name"`
	Role      mesh.Role         `toml:"role"`
	Labels    map[string]string `toml:"labels"`
	Resources mesh.Resources    `toml:"resources"`
	GPUs      int               `toml:"gpus"` // of 16 GiB each
	PPM       int               `toml:"ppm"`  // of its clocks
}

// Settings are those of the mesh that a run may want to shorten.
type Settings struct {
	Lease   mesh.Duration `toml:"lease"`   // length of a slot's lease
	Horizon mesh.Duration `toml:"horizon"` // how long deletes wait for a node out of sight
	Replace mesh.Duration `toml:"replace"` // how long a voter may be lost before another takes its place
}

// Network is how messages fare while nothing is wrong with it in particular.
type Network struct {
	Delay     mesh.Duration `toml:"delay"`     // the least time of a message
	Jitter    mesh.Duration `toml:"jitter"`    // up to so much more
	Late      Share         `toml:"late"`      // of messages, until the faults end: up to
	LateBy    mesh.Duration `toml:"late_by"`   // LateBy more, so that others overtake
	Loss      Share         `toml:"loss"`      // of messages
	Duplicate Share         `toml:"duplicate"` // of messages come twice
}

// Disk is how a disk fares.
type Disk struct {
	Sync mesh.Duration `toml:"sync"` // up to which a write takes to be durable
}

// Tasks is how the programs behave that jobs start.
type Tasks struct {
	Start    mesh.Duration `toml:"start"`    // up to which a start takes
	Stop     mesh.Duration `toml:"stop"`     // up to which a task takes to end when told
	Stubborn Share         `toml:"stubborn"` // of tasks end only when killed
	Work     mesh.Duration `toml:"work"`     // about how long a batch task runs
	Fail     Share         `toml:"fail"`     // of batch tasks end with exit code 1
	Crash    mesh.Duration `toml:"crash"`    // about how long a service runs until it crashes; 0: for ever
	Save     mesh.Duration `toml:"save"`     // up to which it takes to save a task; 1 s if 0
	Fetch    mesh.Duration `toml:"fetch"`    // up to which it takes to fetch what was saved; 3 s if 0
}

// Chaos is what the seed adds to the faults of the file.
type Chaos struct {
	Every   mesh.Duration `toml:"every"`   // mean time between two faults
	After   mesh.Duration `toml:"after"`   // nothing goes wrong before
	Faults  []string      `toml:"faults"`  // kinds; all that are harmless to what people have asked for if empty
	Climate bool          `toml:"climate"` // network, disks, tasks and clocks are drawn too
}

// People is what is asked of the mesh while it runs, besides the jobs of the
// file: those are submitted at the start and never touched.
type People struct {
	Every mesh.Duration `toml:"every"` // mean time between two requests; 0: nobody asks
	Jobs  int           `toml:"jobs"`  // how many jobs they have
	Do    []string      `toml:"do"`    // kinds of requests; submit, scale, change and stop if empty
	// Equipped: their jobs ask for GPUs and ports, and have priorities.
	Equipped bool `toml:"equipped"`
	// Rolled: the versions of their jobs take each other's place step by step, by update policies.
	Rolled bool `toml:"rolled"`
}

// Share is a share of cases, in parts per million. Files write "1%".
type Share int

// Whole is every case.
const Whole Share = million

// UnmarshalText reads "1%", "0.5%".
func (s *Share) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || n < 0 || n > 100 {
		return fmt.Errorf("share %q: want a percentage, such as \"1%%\"", text)
	}
	*s = Share(n * million / 100)
	return nil
}

// String is the share as a percentage.
func (s Share) String() string {
	return strconv.FormatFloat(float64(s)*100/million, 'f', -1, 64) + "%"
}

// Defaults fills in what a file has left out.
func (s *Scenario) Defaults() {
	setIfZero(&s.Nodes, 5)
	setIfZero(&s.For, mesh.Duration(time.Minute))
	setIfZero(&s.Settle, mesh.Duration(time.Minute))
	setIfZero(&s.Network.Delay, mesh.Duration(200*time.Microsecond))
	setIfZero(&s.Network.Jitter, mesh.Duration(time.Millisecond))
	setIfZero(&s.Network.LateBy, mesh.Duration(2*time.Second))
	setIfZero(&s.Disk.Sync, mesh.Duration(2*time.Millisecond))
	setIfZero(&s.Tasks.Start, mesh.Duration(20*time.Millisecond))
	setIfZero(&s.Tasks.Stop, mesh.Duration(100*time.Millisecond))
	setIfZero(&s.Tasks.Work, mesh.Duration(10*time.Second))
	setIfZero(&s.People.Jobs, 3)
	for i := range s.Jobs {
		s.Jobs[i].Defaults()
	}
	for i := range s.Later {
		s.Later[i].Defaults()
	}
}

func setIfZero[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// Validate finds everything that is wrong with the scenario.
func (s *Scenario) Validate() []mesh.FieldFault {
	v := &validator{}
	v.is(s.Nodes >= 0 && s.Nodes <= NodesMax, "must be from 1 to %d, not %d", NodesMax, s.Nodes).at("nodes")
	v.is(s.NodesMax == 0 || s.NodesMax >= s.Nodes && s.NodesMax <= NodesMax,
		"must be from nodes (%d) to %d, not %d", s.Nodes, NodesMax, s.NodesMax).at("nodes_max")
	v.lasts(s.For, "for")
	v.lasts(s.Settle, "settle")
	for i, name := range s.Proves {
		v.known(name, names(Glossary().Counts), "count").at("proves", fmt.Sprint(i))
	}
	v.is(len(s.Faults) <= faultsMax, "there are %d faults, more than %d", len(s.Faults), faultsMax).at("fault")
	for i := range s.Faults {
		v.fault(i, &s.Faults[i])
	}
	for i := range s.Machines {
		m := &s.Machines[i]
		v.is(m.Name == "" || mesh.ValidName(m.Name), "%q is not a name", m.Name).at("machine", fmt.Sprint(i), "name")
		v.rate(m.PPM, "machine", fmt.Sprint(i), "ppm")
	}
	for i, kind := range s.Chaos.Faults {
		v.known(kind, names(Glossary().Faults), "fault").at("chaos", "faults", fmt.Sprint(i))
	}
	v.lasts(s.Chaos.Every, "chaos", "every")
	v.lasts(s.Chaos.After, "chaos", "after")
	for i, kind := range s.People.Do {
		v.known(kind, names(requests()), "request").at("people", "do", fmt.Sprint(i))
	}
	v.lasts(s.People.Every, "people", "every")
	v.jobs(s.Jobs, "job")
	v.jobs(s.Later, "later")
	for i := range s.Programs {
		p := &s.Programs[i]
		v.is(p.Name != "", "is missing").at("program", fmt.Sprint(i), "name")
		v.lasts(p.Work, "program", fmt.Sprint(i), "work")
		v.lasts(p.Saves, "program", fmt.Sprint(i), "saves")
		v.lasts(p.Boots, "program", fmt.Sprint(i), "boots")
		v.lasts(p.Flips, "program", fmt.Sprint(i), "flips")
	}
	return v.faults
}

func (v *validator) jobs(jobs []mesh.Job, key string) {
	for i := range jobs {
		for _, f := range jobs[i].Validate() {
			f.Path = append([]string{key, fmt.Sprint(i)}, f.Path...)
			v.faults = append(v.faults, f)
		}
	}
}

// validator collects what is wrong.
type validator struct{ faults []mesh.FieldFault }

// finding is a fault that still has to be given its place; nil is none.
type finding struct {
	v    *validator
	text string
}

func (v *validator) is(right bool, format string, args ...any) *finding {
	if right {
		return nil
	}
	return &finding{v, fmt.Sprintf(format, args...)}
}

func (f *finding) at(path ...string) {
	if f != nil {
		f.v.faults = append(f.v.faults, mesh.FieldFault{Path: path, Text: f.text})
	}
}

func (v *validator) known(name string, names []string, what string) *finding {
	if slices.Contains(names, name) {
		return nil
	}
	text := fmt.Sprintf("%q is no %s", name, what)
	if near := mesh.Nearest(name, names); near != "" {
		return &finding{v, text + fmt.Sprintf("; did you mean %q?", near)}
	}
	return &finding{v, text + "; known are " + strings.Join(names, ", ")}
}

func (v *validator) lasts(d mesh.Duration, path ...string) {
	v.is(d >= 0 && d.Std() <= lastsMax, "must be from 0 to %v, not %v", mesh.Duration(lastsMax), d).at(path...)
}

func (v *validator) rate(ppm int, path ...string) {
	v.is(ppm > -ppmMax && ppm < ppmMax, "must be within %d parts per million, not %d", ppmMax, ppm).at(path...)
}
