package sim

import (
	"fmt"
	"strings"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// world is a run: everything there is, and true time, which no core can see.
type world struct {
	scenario Scenario
	options  Options
	now      time.Duration
	queue    queue
	steps    int

	hosts    []*host // by place
	byID     map[mesh.NodeID]*host
	network  *network
	tasks    chance
	people   *people
	faults   *faults
	checker  *checker
	words    words
	deeds    deeds
	yields   map[mesh.JobID]map[copyID]mesh.AllocID // down for another version, since they ran
	trace    *trace
	spans    *spans
	counts   counts
	clocks   watches
	saves    saves
	services services
	said     int // hints, by anybody
	ticks    ticks
	pids     int
	restored bool // a disk went back in time: copies may differ until that is repaired
	calls    uint64
	values   values
	came     int         // hosts that have joined, from the first on
	changes  int         // of tasks that run
	failed   int         // the check of pending that failed last
	doubt    func() bool // whether what was in the way of calm last still is: see well

	from   time.Duration // when things began to go wrong
	calm   time.Duration // from the end of faults to everything being well
	broken *Violation

	resting bool // faults are over
}

// formMax is how long a mesh may take to form, and its jobs to run.
const formMax = 3 * time.Minute

func newWorld(s Scenario, o Options) *world {
	w := &world{
		options: o, byID: map[mesh.NodeID]*host{}, trace: newTrace(o), counts: counts{},
		tasks: chanceOf(o.Seed, "tasks"), checker: newChecker(), words: newWords(), deeds: newDeeds(),
		yields: map[mesh.JobID]map[copyID]mesh.AllocID{},
		spans:  newSpans(o.Timeline),
	}
	w.values = values{w, map[string][]byte{}}
	w.scenario = climate(s, o)
	w.network = newNetwork(w, w.scenario.Network)
	w.people = newPeople(w)
	w.faults = newFaults(w)
	w.clocks, w.saves, w.ticks, w.services = newWatches(), newSaves(o.Seed), newTicks(), newServices(&w.scenario)
	return w
}

// plan does something after d, at an instant after all that is planned for it.
func (w *world) plan(d time.Duration, do func()) { w.queue.plan(w.now+max(d, 0), do) }

func (w *world) at(when time.Duration, do func()) { w.queue.plan(max(when, w.now), do) }

// until lets the world go on to an instant, or until something is broken or
// done says that it is enough.
func (w *world) until(end time.Duration, done func() bool) {
	if stop := w.options.Until; stop > 0 {
		end = min(end, stop)
	}
	for !w.ended() && (done == nil || !done()) {
		e, ok := w.queue.next(end)
		if !ok {
			w.now = max(w.now, end)
			return
		}
		w.now = e.at
		e.do()
	}
}

// ended says whether the run is over: a promise was broken, or only a prefix
// was asked for.
func (w *world) ended() bool {
	return w.broken != nil || w.options.Until > 0 && w.now >= w.options.Until
}

// breach notes that a promise was broken. The first one counts.
func (w *world) breach(invariant, format string, args ...any) {
	if w.broken != nil {
		return
	}
	w.broken = &Violation{
		Invariant: invariant, At: mesh.Duration(w.now), Step: w.steps, Text: fmt.Sprintf(format, args...),
	}
	w.tell(nil, "violation", "%s: %s", invariant, w.broken.Text)
}

// form makes the mesh, as people do: one node founds it, the others join. Then
// the jobs of the scenario are submitted, and run.
func (w *world) form() {
	for i := range w.scenario.Nodes {
		w.newHost(w.machine(i))
	}
	first := w.hosts[0]
	w.tell(first, "people", "founds the mesh")
	w.founding(first)
	w.until(time.Second, nil)
	for _, h := range w.hosts[1:] {
		w.join(h, first)
	}
	w.until(formMax, func() bool { return w.formed() && w.grown() })
	for i := range w.scenario.Jobs {
		if !w.scenario.Jobs[i].Template() { // else it is due before the mesh is well
			w.people.submit(&w.scenario.Jobs[i], w.hosts[i%len(w.hosts)])
		}
	}
	w.until(w.now+formMax, func() bool { return w.formed() && w.well() })
	if why := w.pending(); why != "" && !w.ended() {
		w.breach("forms", "after %v: %s", formMax, why)
	}
}

// formed says whether all nodes have joined. Who has joined once has for good.
func (w *world) formed() bool {
	for w.came < len(w.hosts) && w.hosts[w.came].joined {
		w.came++
	}
	return w.came == len(w.hosts)
}

// grown says whether there are as many voters as a mesh of this size has.
func (w *world) grown() bool {
	want := 7
	for _, step := range []struct{ nodes, voters int }{{8, 5}, {4, 3}, {2, 1}} {
		if len(w.hosts) <= step.nodes {
			want = step.voters
		}
	}
	return len(w.hosts[0].agent.core.Roster().Voters) >= want
}

// machine is what the scenario says of its i-th node.
func (w *world) machine(i int) (name string, m Machine) {
	if i < len(w.scenario.Machines) {
		m = w.scenario.Machines[i]
	}
	if m.Name == "" {
		m.Name = fmt.Sprintf("n%d", i+1)
	}
	return m.Name, m
}

// founding makes a mesh of which h is the only node.
func (w *world) founding(h *host) {
	h.joined = true
	h.start()
	a := h.agent
	h.do(a, func() core.Ready {
		ready, err := a.core.Bootstrap(h.now(), h.member())
		if err != nil {
			w.breach("forms", "%s cannot found a mesh: %v", h.name, err)
		}
		return ready
	})
}

// join lets a new machine in: a member gives it a token's worth of trust, it
// gets the roster with its certificate, and starts.
func (w *world) join(h *host, by *host) {
	w.people.admit(h, by, func() {
		if h.joined || !h.on || by.agent == nil {
			return
		}
		h.joined = true
		h.letIn = by.agent.core.Chain()
		w.counts.add(Joins)
		w.tell(h, "people", "joins the mesh by way of %s", by.name)
		h.start()
	})
}

// adopt gives a machine that was let in its roster, and again if a crash has undone that:
// its directory belongs to no mesh before.
func (w *world) adopt(h *host) {
	a := h.agent
	if len(a.core.Chain()) > 0 || h.letIn == nil {
		h.letIn = nil
		return
	}
	h.do(a, func() core.Ready {
		ready, err := a.core.Adopt(h.now(), h.letIn)
		if err != nil {
			w.breach("forms", "%s cannot join: %v", h.name, err)
		}
		return ready
	})
}

// trouble is the time in which things go wrong.
func (w *world) trouble() {
	w.from = w.now
	w.faults.begin()
	w.people.begin()
	w.beginTicks()
	w.everySecond()
	w.until(w.now+w.scenario.For.Std(), nil)
}

// rest ends all faults, and demands that everything comes right in time and
// stays so.
func (w *world) rest() {
	if w.ended() {
		return
	}
	w.tell(nil, "fault", "all faults end; within %v everything must be well", w.scenario.Settle)
	w.people.quiet()
	w.resting = true
	w.faults.end()
	w.mend()
	w.endTicks()
	w.network.base.Late = 0 // by seconds: nodes would be taken for dead for ever
	from := w.now
	last := from + w.scenario.Settle.Std()
	for w.now < last && !w.ended() {
		w.until(min(w.now+time.Second/4, last), nil)
		if w.pending() == "" {
			break
		}
	}
	w.calm = w.now - from
	if why := w.pending(); why != "" && !w.ended() {
		w.breach("settles", "%v after the last fault: %s", w.calm, why)
	}
	w.until(w.now+stays, nil)
	// A task may just have ended, and its end be on its way, which may take some tries. What follows its
	// service begins when one is there, and goes one copy after the other.
	again := w.now + 4*stays
	if w.services.any {
		again = max(again, last)
	}
	w.until(again, w.well)
	if why := w.pending(); why != "" && !w.ended() {
		w.breach("settles", "everything was well, and is so no longer: %s", why)
	}
	if !w.ended() {
		w.checkEnd()
	}
}

// stays is how long everything must stay well.
const stays = 5 * time.Second

// everySecond makes the checks that are too costly for every step.
func (w *world) everySecond() {
	w.plan(time.Second, func() {
		w.checkSecond()
		w.checkLimits()
		w.checkCutOff()
		w.checkTogether()
		w.checkCatalogs()
		w.checkTicks()
		w.checkLonely()
		w.everySecond()
	})
}

// who are the names of hosts.
func who(hosts []*host) string {
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.name
	}
	return strings.Join(names, " ")
}

// members are the hosts that are part of the mesh for good.
func (w *world) members() []*host {
	var list []*host
	for _, h := range w.hosts {
		if h.joined && !h.gone {
			list = append(list, h)
		}
	}
	return list
}

// running are the members whose agents can be expected to answer.
func (w *world) running() []*host {
	var list []*host
	for _, h := range w.hosts {
		if h.joined && h.up() {
			list = append(list, h)
		}
	}
	return list
}

// result sums up.
func (w *world) result() Result {
	span := int64(len(w.members())) * int64(w.now/time.Millisecond)
	traffic := w.network.total()
	return Result{
		Scenario: w.scenario.Name, Seed: w.options.Seed, Nodes: w.scenario.Nodes,
		Virtual: mesh.Duration(w.now), Steps: w.steps, Trace: w.trace.digest(),
		Faults: w.faults.told, Violation: w.broken, Sometimes: w.counts.list(),
		Figures: Figures{
			Failover: spreadOf(w.clocks.failovers), Takeover: spreadOf(w.clocks.takeovers),
			Calm: mesh.Duration(w.calm), Moves: w.counts[Replaced],
			Traffic: usage(traffic, span),
		},
		Timeline: w.trace.lines, Spans: w.spans.all(w.now),
		failovers: w.clocks.failovers, takeovers: w.clocks.takeovers,
		traffic: traffic, span: span,
	}
}
