package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// Fault is something that goes wrong: at an instant after the mesh has formed,
// for a while, to some nodes. What a kind takes beside that is in its row of
// [kinds].
type Fault struct {
	At    mesh.Duration `toml:"at"`
	Do    string        `toml:"do"`
	Who   string        `toml:"who"` // see choose; any node if empty
	For   mesh.Duration `toml:"for"` // drawn if 0
	By    mesh.Duration `toml:"by"`  // how far, how long
	PPM   int           `toml:"ppm"`
	Share Share         `toml:"share"`
	Times int           `toml:"times"` // again, so often
	Every mesh.Duration `toml:"every"` // so long after each other
}

// kind is a kind of fault. How long one lasts is drawn between its two times,
// where the scenario does not say. A calm one costs nobody what was promised,
// and is drawn by a chaos that names no kinds.
type kind struct {
	name        string
	short, long time.Duration
	calm        bool
	begin       func(b *blow) (end func())
	about       string
}

// blow is a fault that happens.
type blow struct {
	w     *world
	f     *Fault
	dice  chance
	hosts []*host
	said  string // what is to be told of it beyond its kind and whom it hits
}

// kinds are all kinds of faults.
func kinds() []kind {
	const ms, sec = time.Millisecond, time.Second
	return []kind{
		{"kill", 100 * ms, 15 * sec, true, kill, "kill -9 of the agent, between two steps or in the middle of one"},
		{"power", 1 * sec, 30 * sec, true, power, "power cut; the machine boots again afterwards"},
		{"wipe", 2 * sec, 20 * sec, false, wipe, "power cut that takes the disk along; the machine joins anew"},
		{"restore", 1 * sec, 10 * sec, false, restore, "power cut, and the disk comes back as it was before"},
		{"pause", 500 * ms, 20 * sec, true, pause, "SIGSTOP of the agent, and SIGCONT"},
		{"suspend", 500 * ms, 30 * sec, true, suspend, "the machine sleeps: nothing runs, but for its boot clock"},
		{"slow", 1 * sec, 20 * sec, true, slow, "short of CPU: everything that it does and hears is late"},
		{"cut", 500 * ms, 30 * sec, true, cut, "cut off from all others, both ways"},
		{"mute", 500 * ms, 20 * sec, true, mute, "what it sends reaches nobody; it still hears"},
		{"deaf", 500 * ms, 20 * sec, true, deaf, "what is sent to it does not arrive; others hear it"},
		{"split", 1 * sec, 40 * sec, true, split, "the nodes fall into groups that do not hear each other"},
		{"flap", 1 * sec, 20 * sec, true, flap, "its links come and go"},
		{"loss", 1 * sec, 20 * sec, true, loss, "messages are lost, anywhere"},
		{"delay", 1 * sec, 20 * sec, true, delay, "messages take longer, anywhere"},
		{"skew", 5 * sec, 40 * sec, true, skew, "its wall clock is set wrong, and right again"},
		{"drift", 5 * sec, 60 * sec, true, drift, "its clocks run at another rate"},
		{"unplug", 5 * sec, 40 * sec, false, unplug, "its last GPU is lost, and back again"},
		{"occupy", 5 * sec, 40 * sec, false, occupy, "a program that is not of the mesh listens on a port"},
		{"disk_full", 1 * sec, 20 * sec, true, diskFull, "its disk takes no write"},
		{"disk_slow", 1 * sec, 20 * sec, true, diskSlow, "its disk takes seconds to write"},
		{"disk_spoilt", 100 * ms, 5 * sec, false, diskSpoilt, "its disk has lost records when its agent starts again"},
		{"sicken", 2 * sec, 40 * sec, false, sicken, "the services of its tasks fail, or hang"},
		{"quit", 1 * sec, 60 * sec, true, quit, "its agent ends with a goodbye, as for an upgrade; its tasks go on"},
		{"leave", 5 * sec, 30 * sec, true, leave, "it says goodbye and is turned off; it comes back"},
		{"remove", 0, 0, false, remove, "it is turned off for good"},
		{"evict", 2 * sec, 20 * sec, false, evict, "people evict it; a new machine takes its place"},
		{"burn", 20 * sec, 60 * sec, false, burn, "gone for good; at the end people vouch for that, and others go on"},
		{"drain", 5 * sec, 40 * sec, false, drain, "people drain it, and take it into service again"},
		{"join", 0, 0, true, enter, "a new machine joins"},
	}
}

func (v *validator) fault(i int, f *Fault) {
	place := func(key string) []string { return []string{"fault", fmt.Sprint(i), key} }
	v.known(f.Do, names(Glossary().Faults), "fault").at(place("do")...)
	v.lasts(f.At, place("at")...)
	v.lasts(f.For, place("for")...)
	v.lasts(f.Every, place("every")...)
	v.rate(f.PPM, place("ppm")...)
	v.is(f.Times >= 0 && f.Times <= faultsMax,
		"must be from 0 to %d, not %d", faultsMax, f.Times).at(place("times")...)
	v.is(f.By.Std() <= lastsMax && f.By.Std() >= -lastsMax,
		"%v is more than %v", f.By, mesh.Duration(lastsMax)).at(place("by")...)
}

// faults is what goes wrong in a run: what the scenario says, then what the
// seed draws. Each has a number, under which it can be left out.
type faults struct {
	w    *world
	list []Fault
	told []Struck // those that have happened
	ends []func() // of those that have begun and not ended, by number; nil else
}

func newFaults(w *world) *faults {
	f := &faults{w: w}
	for _, fault := range w.scenario.Faults {
		for n := range max(fault.Times, 1) {
			one := fault
			one.At += mesh.Duration(n) * fault.Every
			f.list = append(f.list, one)
		}
	}
	f.list = append(f.list, w.drawFaults()...)
	slices.SortStableFunc(f.list, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	f.list = f.list[:min(len(f.list), faultsMax)]
	f.ends = make([]func(), len(f.list))
	return f
}

// drawFaults draws the faults of the scenario's chaos.
func (w *world) drawFaults() []Fault {
	c := &w.scenario.Chaos
	if c.Every == 0 {
		return nil
	}
	dice := chanceOf(w.options.Seed, "faults")
	names := c.Faults
	for _, k := range kinds() {
		if len(c.Faults) == 0 && k.calm {
			names = append(names, k.name)
		}
	}
	var list []Fault
	at := c.After.Std() + dice.about(c.Every.Std())
	for at < w.scenario.For.Std() && len(list) < faultsMax {
		list = append(list, Fault{At: mesh.Duration(at), Do: pick(dice, names)})
		at += dice.about(c.Every.Std())
	}
	return list
}

// begin plans all faults.
func (f *faults) begin() {
	for i := range f.list {
		if slices.Contains(f.w.options.Without, i) {
			continue
		}
		fault := &f.list[i]
		if fault.Do == "restore" {
			age := chanceOf(f.w.options.Seed, "backup", uint64(i)).upTo(backupMax)
			f.w.plan(fault.At.Std()-age, f.w.backUp)
			if age > heardAfter {
				f.w.plan(fault.At.Std()-heardAfter, f.w.lookAhead)
			}
		}
		f.w.plan(fault.At.Std(), func() { f.strike(i) })
	}
}

// heardAfter is after what time others have heard what a node has promised and
// written, if it is up and reaches them.
const heardAfter = 4 * time.Second

// backupMax is how old a backup is that comes back.
const backupMax = 20 * time.Second

// strike is the moment of a fault.
func (f *faults) strike(i int) {
	fault := &f.list[i]
	k := kindOf(fault.Do)
	b := &blow{w: f.w, f: fault, dice: chanceOf(f.w.options.Seed, "fault", uint64(i))}
	b.hosts = f.w.choose(fault.Who, b.dice)
	lasts := fault.For.Std()
	if lasts == 0 {
		lasts = b.dice.between(k.short, k.long)
	}
	// Faults end before the time of troubles does.
	lasts = min(lasts, max(f.w.from+f.w.scenario.For.Std()-f.w.now-time.Millisecond, 0))
	f.w.lookAround() // before it changes who reaches whom
	end := k.begin(b)
	text := strings.TrimSpace(k.name + " " + who(b.hosts))
	if b.said != "" {
		text += ": " + b.said
	}
	if end != nil {
		text += fmt.Sprintf(", for %v", lasts.Round(time.Millisecond))
	}
	f.told = append(f.told, Struck{i, mesh.Duration(f.w.now), text})
	f.w.tell(nil, "fault", "%d: %s", i, text)
	if end == nil {
		return
	}
	hit := append([]*host{nil}, b.hosts...)
	for _, h := range hit {
		f.w.spans.begin(f.w.now, h, Faulty, "%d %s", i, k.name)
	}
	f.ends[i] = func() {
		f.w.tell(nil, "fault", "%d: %s ends", i, k.name)
		for _, h := range hit {
			f.w.spans.end(f.w.now, h, Faulty, "%d %s", i, k.name)
		}
		f.w.lookAround()
		end()
	}
	f.w.plan(lasts, func() { f.over(i) })
}

// over ends a fault, if it has not ended.
func (f *faults) over(i int) {
	if end := f.ends[i]; end != nil {
		f.ends[i] = nil
		end()
	}
}

// end ends all faults that have not ended.
func (f *faults) end() {
	for i := range f.ends {
		f.over(i)
	}
	for _, h := range f.w.hosts {
		h.doomed = false
		if h.joined && !h.gone && !h.on {
			h.powerOn()
		}
		if h.joined && !h.gone && h.agent == nil {
			h.start()
		}
	}
}

func kindOf(name string) kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k kind) bool { return k.name == name })]
}

// choose finds the nodes that are meant: names, or one of
//
//	any              a node
//	some             a few, fewer than half
//	most             more than half
//	all
//	voter            one of the voters
//	coordinator JOB  the node that holds the lease of the job's slot
//	runs JOB         a node on which a task of the job runs
//	a b | c d        groups of names, for a split
func (w *world) choose(text string, dice chance) []*host {
	nodes := w.members()
	if len(nodes) == 0 {
		return nil
	}
	dice.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	words := strings.Fields(text)
	if len(words) == 0 {
		words = []string{"any"}
	}
	about := mesh.JobID("")
	if len(words) > 1 {
		about = mesh.JobID(words[1])
	}
	var found []*host
	switch words[0] {
	case "any":
		found = nodes[:1]
	case "some":
		found = nodes[:max(1, dice.IntN((len(nodes)+1)/2))]
	case "most":
		found = nodes[:len(nodes)/2+1]
	case "all":
		found = nodes
	case "voter":
		found = first(nodes, (*host).votes)
	case "coordinator":
		found = first(nodes, func(h *host) bool { return h == w.coordinator(mesh.SlotOf(about)) })
	case "runs":
		found = first(nodes, func(h *host) bool { return h.runs(about) })
	default:
		found = slices.DeleteFunc(nodes, func(h *host) bool { return !slices.Contains(words, h.name) })
	}
	if len(found) == 0 {
		found = nodes[:1]
	}
	slices.SortFunc(found, func(a, b *host) int { return cmp.Compare(a.place, b.place) })
	return found
}

func first(hosts []*host, is func(*host) bool) []*host {
	for _, h := range hosts {
		if is(h) {
			return []*host{h}
		}
	}
	return nil
}

// votes says whether the host is a voter, as far as it knows itself.
func (h *host) votes() bool { return h.agent != nil && h.agent.core.Roster().Seat(h.self.ID) >= 0 }

// coordinator is the node that holds a slot now, or nil.
func (w *world) coordinator(s mesh.Slot) *host {
	for _, h := range w.hosts {
		if h.agent != nil {
			if _, held := h.agent.core.Held(h.now(), s); held {
				return h
			}
		}
	}
	return nil
}

// runs says whether a task of a job runs on the host.
func (h *host) runs(job mesh.JobID) bool {
	for _, p := range h.tasks {
		if p.copy.job == job {
			return true
		}
	}
	return false
}
