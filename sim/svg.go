package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// The measures of a picture, in its own units.
const (
	svgWidth  = 1200
	svgLeft   = 70 // of the names
	svgTop    = 56
	svgRow    = 11 // of a task
	svgGap    = 10 // between nodes
	svgLanes  = 40 // nodes at most
	svgTicks  = 12 // of the axis, about
	svgColour = `#4e79a7 #59a14f #b07aa1 #9c755f #76b7b2 #edc948 #ff9da7 #86bcb6 #d4a6c8 #bab0ac`
)

// picture draws a run: a lane for each node, with what ran on it, when it was
// down, and what faults hit it.
type picture struct {
	r      *Result
	out    strings.Builder
	lanes  []lane
	faults [][]Span // rows of faults that do not overlap
	top    int      // of the first lane
	end    time.Duration
	height int
	tints  map[string]string // by job
}

// lane is a node's part of the picture.
type lane struct {
	node string
	y    int
	rows []string // tasks
}

// SVG draws the run, which must have kept its timeline.
func (r *Result) SVG() string {
	p := &picture{r: r, end: max(r.Virtual.Std(), time.Second), tints: map[string]string{}}
	p.layOut()
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="10">`,
		svgWidth, p.height)
	p.printf(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	verdict := "passed"
	if r.Violation != nil {
		verdict = "violates " + r.Violation.Invariant
	}
	p.printf(`<text x="%d" y="20" font-size="14">%s, seed %d, %d nodes: %s</text>`,
		svgLeft, escape(r.Scenario), r.Seed, r.Nodes, verdict)
	p.axis()
	for i := range p.lanes {
		p.lane(&p.lanes[i])
	}
	p.drawFaults()
	p.breach()
	p.legend()
	p.printf(`</svg>`)
	return p.out.String()
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.out, format+"\n", args...) }

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(s)
}

// layOut finds the lanes and their rows.
func (p *picture) layOut() {
	at := map[string]int{}
	for _, s := range p.r.Spans {
		i, known := at[s.Node]
		if s.Node == "" {
			p.stack(s)
			continue
		}
		if !known {
			i = len(p.lanes)
			at[s.Node] = i
			p.lanes = append(p.lanes, lane{node: s.Node})
		}
		if l := &p.lanes[i]; s.What == Runs && !slices.Contains(l.rows, s.Text) {
			l.rows = append(l.rows, s.Text)
		}
	}
	slices.SortFunc(p.lanes, func(a, b lane) int { return natural(a.node, b.node) })
	p.lanes = p.lanes[:min(len(p.lanes), svgLanes)]
	p.top = svgTop + svgRow*len(p.faults)
	y := p.top
	for i := range p.lanes {
		l := &p.lanes[i]
		slices.Sort(l.rows)
		l.y = y
		y += l.height() + svgGap
	}
	p.height = y + 40
}

// stack finds a row for a fault in which it overlaps no other.
func (p *picture) stack(s Span) {
	for i, row := range p.faults {
		if row[len(row)-1].To <= s.From {
			p.faults[i] = append(row, s)
			return
		}
	}
	p.faults = append(p.faults, []Span{s})
}

// natural orders n2 before n10.
func natural(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (l *lane) height() int { return svgRow * max(len(l.rows), 1) }

func (p *picture) x(d mesh.Duration) int {
	const span = svgWidth - svgLeft - 20
	return svgLeft + int(int64(span)*int64(d.Std()/time.Millisecond)/int64(p.end/time.Millisecond))
}

// axis draws the seconds.
func (p *picture) axis() {
	step := time.Second
	for _, s := range []time.Duration{
		2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
		5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour,
	} {
		if p.end/step > svgTicks {
			step = s
		}
	}
	for t := time.Duration(0); t <= p.end; t += step {
		x := p.x(mesh.Duration(t))
		p.printf(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#e5e5e5"/>`, x, svgTop-6, x, p.height-34)
		p.printf(`<text x="%d" y="%d" fill="#777" text-anchor="middle">%v</text>`, x, svgTop-10, mesh.Duration(t))
	}
}

// lane draws a node.
func (p *picture) lane(l *lane) {
	p.printf(`<text x="8" y="%d">%s</text>`, l.y+9, escape(l.node))
	p.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="#f7f7f7"/>`,
		svgLeft, l.y, p.x(mesh.Duration(p.end))-svgLeft, l.height())
	for _, s := range p.r.Spans {
		if s.Node != l.node {
			continue
		}
		from, wide := p.x(s.From), max(p.x(s.To)-p.x(s.From), 1)
		switch s.What {
		case Down:
			p.bar(from, l.y, wide, l.height(), "#bbb", "agent down", s)
		case Faulty:
			p.bar(from, l.y+l.height(), wide, 4, "#e15759", s.Text, s)
		case Runs:
			y := l.y + svgRow*slices.Index(l.rows, s.Text)
			p.bar(from, y+1, wide, svgRow-2, p.tint(s.Text), s.Text, s)
		}
	}
}

func (p *picture) bar(x, y, wide, high int, colour, text string, s Span) {
	p.printf(`<rect x="%d" y="%d" width="%d" height="%d" fill="%s"><title>%s on %s, %v to %v</title></rect>`,
		x, y, wide, high, colour, escape(text), escape(s.Node), s.From, s.To)
}

// tint is the colour of a job's tasks.
func (p *picture) tint(task string) string {
	job, _, _ := strings.Cut(task, "[")
	if p.tints[job] == "" {
		colours := strings.Fields(svgColour)
		p.tints[job] = colours[len(p.tints)%len(colours)]
	}
	return p.tints[job]
}

// drawFaults draws what went wrong, over everything else.
func (p *picture) drawFaults() {
	for i, row := range p.faults {
		for _, s := range row {
			x, y := p.x(s.From), svgTop+svgRow*i
			p.bar(x, y, max(p.x(s.To)-x, 1), svgRow-2, "#f4c7c7", s.Text, s)
			p.printf(`<text x="%d" y="%d" fill="#a00" font-size="9">%s</text>`, x+2, y+8, escape(s.Text))
		}
	}
	for _, f := range p.r.Faults {
		x := p.x(f.At)
		p.printf(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#e15759" stroke-dasharray="2 3">`+
			`<title>%d: %s</title></line>`, x, svgTop-4, x, p.height-34, f.Number, escape(f.Text))
	}
}

// breach marks where a promise broke.
func (p *picture) breach() {
	if v := p.r.Violation; v != nil {
		x := p.x(v.At)
		p.printf(`<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#c00" stroke-width="2">`+
			`<title>%s</title></line>`, x, svgTop-6, x, p.height-34, escape(v.Text))
	}
}

// legend names the colours.
func (p *picture) legend() {
	x := svgLeft
	entry := func(colour, text string) {
		p.printf(`<rect x="%d" y="%d" width="10" height="10" fill="%s"/>`, x, p.height-22, colour)
		p.printf(`<text x="%d" y="%d">%s</text>`, x+14, p.height-13, escape(text))
		x += 30 + 6*len(text)
	}
	for _, job := range sortedKeys(p.tints) {
		entry(p.tints[job], job)
	}
	entry("#bbb", "agent down")
	entry("#e15759", "fault")
}
