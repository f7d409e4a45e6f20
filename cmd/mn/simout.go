package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"mn/mesh"
	"mn/sim"
)

// The limits of what a simulation prints.
const (
	storyMax  = 5000 // lines of a timeline; the last ones count
	tailMax   = 40   // of them before a violation, with --quiet
	shrinkMax = 30 * time.Second
	alikeMax  = 3 // lines of one kind at one time
)

// simulateOne runs a scenario once, and tells its story.
func (c *command) simulateOne(s sim.Scenario, f *simFlags) error {
	o := sim.Options{
		Seed: f.seed, Nodes: f.nodes, Without: f.without, Until: f.until,
		Timeline: !c.asJSON || f.svg != "", Messages: f.messages,
	}
	r := sim.Run(s, o)
	if f.svg != "" {
		if err := os.WriteFile(f.svg, []byte(r.SVG()), 0o644); err != nil {
			return fmt.Errorf("write the picture: %w", err)
		}
	}
	if c.asJSON {
		if f.quiet {
			r.Timeline = nil
		}
		if err := c.json(r, false); err != nil {
			return err
		}
	} else {
		c.story(&r, f)
		c.printf("\n")
		c.simHead(&r)
		c.simNumbers(sim.Sum([]sim.Result{r}))
	}
	c.provesNothing(s, []sim.Result{r})
	if r.Violation == nil {
		return nil
	}
	return c.simBroken(s, o, r)
}

// story prints the timeline: what a person wants to know, or with messages all.
func (c *command) story(r *sim.Result, f *simFlags) {
	lines := r.Timeline
	if f.quiet {
		if r.Violation == nil {
			return
		}
		lines = lines[max(0, len(lines)-tailMax):]
	}
	if more := len(lines) - storyMax; more > 0 {
		c.printf("... %s before\n", mesh.Counted(more, "line", "lines"))
		lines = lines[more:]
	}
	for len(lines) > 0 {
		n := alike(lines)
		for _, l := range lines[:min(n, alikeMax)] {
			c.storyLine(l.At, l.Node, lineColour(l.Kind), lineText(l))
		}
		if more := n - alikeMax; more > 0 {
			c.storyLine(lines[0].At, lines[0].Node, faint, fmt.Sprintf("and %d more of these", more))
		}
		lines = lines[n:]
	}
}

func (c *command) storyLine(at mesh.Duration, node string, tint colour, text string) {
	c.printf("%11s  %-6s %s\n", seconds(at), node, c.paint(tint, text))
}

// alike is how many lines at the beginning are of one kind, node and time.
func alike(lines []sim.Line) int {
	n, first := 1, lines[0]
	for n < len(lines) && lines[n].Kind == first.Kind && lines[n].Node == first.Node &&
		seconds(lines[n].At) == seconds(first.At) {
		n++
	}
	return n
}

// seconds is a virtual time as minutes, seconds and milliseconds.
func seconds(d mesh.Duration) string {
	t := d.Std().Round(time.Millisecond)
	return fmt.Sprintf("%d:%02d.%03d", t/time.Minute, t%time.Minute/time.Second, t%time.Second/time.Millisecond)
}

// lineText is a line without its place.
func lineText(l sim.Line) string {
	return strings.ReplaceAll(l.Kind, "_", " ") + "  " + l.Text
}

func lineColour(kind string) colour {
	switch kind {
	case "violation":
		return red
	case "fault":
		return yellow
	case "people":
		return green
	case "message", "order", "gossip":
		return faint
	}
	return plain
}

// simHead says what was run, and what came of it.
func (c *command) simHead(r *sim.Result) {
	verdict := c.paint(green, "passed: every promise was kept")
	if r.Violation != nil {
		verdict = c.paint(red, "violates "+r.Violation.Invariant)
	}
	c.field("scenario", "%s, seed %d, %d nodes", r.Scenario, r.Seed, r.Nodes)
	c.field("result", "%s", verdict)
	c.field("time", "%v of virtual time in %d steps", mesh.Duration(r.Virtual.Std().Round(time.Millisecond)), r.Steps)
	c.field("trace", "%s", r.Trace)
}

// simNumbers prints what runs have met and measured.
func (c *command) simNumbers(sum sim.Total) {
	b := newTable("SOMETIMES", "TIMES")
	for _, n := range sum.Sometimes {
		tint := plain
		if n.Times == 0 {
			tint = faint
		}
		b.add(cell{string(n.Name), tint}, cell{fmt.Sprint(n.Times), tint})
	}
	c.printf("\n")
	c.table(b)
	f := sum.Figures
	c.printf("\n")
	b = newTable("FIGURE", "MEDIAN", "WORST", "OF")
	for _, row := range []struct {
		name string
		s    sim.Spread
	}{
		{"failover of an eager copy after a power cut", f.Failover},
		{"takeover of a slot whose coordinator died", f.Takeover},
		{"calm after the last fault", f.Calm},
	} {
		if row.s.Count > 0 {
			b.add(row.name, milli(row.s.Median), milli(row.s.Worst), row.s.Count)
		}
	}
	c.table(b)
	c.printf("\n")
	b = newTable("TRAFFIC", "MESSAGES/NODE/S", "BYTES/NODE/S", "MESSAGES", "BYTES")
	for _, u := range f.Traffic {
		b.add(u.Class, fmt.Sprintf("%.2f", u.NodeMessages), u.NodeBytes, u.Messages, mesh.Bytes(u.Bytes))
	}
	c.table(b)
}

func milli(d mesh.Duration) string { return mesh.Duration(d.Std().Round(time.Millisecond)).String() }

// provesNothing warns of what a scenario is about and its runs have not met.
func (c *command) provesNothing(s sim.Scenario, runs []sim.Result) {
	var zero []string
	for _, n := range sim.Unproven(s, runs) {
		zero = append(zero, string(n))
	}
	if len(zero) > 0 {
		c.say("warning: %s: %d runs have proven nothing about %s", s.Name, len(runs), strings.Join(zero, ", "))
	}
}

// simBroken says which promise was broken, and how to see it again.
func (c *command) simBroken(s sim.Scenario, o sim.Options, r sim.Result) error {
	c.say("seed %d breaks %q; looking for the shortest way to show it", r.Seed, r.Violation.Invariant)
	began := time.Now()
	o, r = sim.Shrink(s, o, r, func() bool { return time.Since(began) < shrinkMax })
	f := mesh.Faultf(mesh.Internal, "%s, seed %d: %s is broken at %s, after step %d\n%s",
		r.Scenario, r.Seed, r.Violation.Invariant, seconds(r.Violation.At), r.Violation.Step, r.Violation.Text)
	for _, fault := range r.Faults {
		f.Text += fmt.Sprintf("\nfault %d at %s: %s", fault.Number, seconds(fault.At), fault.Text)
	}
	replay := fmt.Sprintf("mn sim run %s --seed %d", r.Scenario, r.Seed)
	if o.Nodes > 0 {
		replay += fmt.Sprintf(" --nodes %d", o.Nodes)
	}
	if len(o.Without) > 0 {
		replay += " --without " + strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Without), " ", ","), "[]")
	}
	return f.Hint("replay the shortest way there: %s --until %v --messages", replay, o.Until)
}
