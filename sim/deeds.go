package sim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/core"
	"mn/runner"
)

// deeds are what has really become of copies, as the table of processes has it, and how
// they were decided: what the invariants rest on that are about a copy's whole life,
// over all agents and coordinators that it has.
type deeds struct {
	decided map[mesh.AllocID]*decided
	lives   map[lifeKey]*life
	seats   map[place][]*life // in the order in which they began
	jobs    map[mesh.JobID][]*life
	moves   map[place][]time.Duration // when copies were placed after a failure, and have run
	there   map[rankKey]time.Duration // when a copy of a gang was there last, or the gang began
}

func newDeeds() deeds {
	return deeds{
		decided: map[mesh.AllocID]*decided{}, lives: map[lifeKey]*life{}, seats: map[place][]*life{},
		jobs: map[mesh.JobID][]*life{}, moves: map[place][]time.Duration{}, there: map[rankKey]time.Duration{},
	}
}

// place is one of the copies that a job should have.
type place struct {
	job   mesh.JobID
	group string
	index int
	node  mesh.NodeID
}

func placeOf(a *mesh.Alloc) place { return place{a.Job, a.Group, a.Index, a.Target} }

// decided is an allocation as it was placed first.
type decided struct {
	mesh.Alloc
	at      time.Duration
	moved   bool          // whoever placed it knew that the copy before it had failed
	failed  time.Duration // when that one has ended
	overdue bool          // as its time was over
	redo    mesh.AllocID  // a copy of the same place that had completed, as it knew
	begun   bool
	drained bool // it was told to stop when its node was to be drained
	yields  bool // it was told to stop so that its node has room
}

type lifeKey struct {
	host  int
	alloc mesh.AllocID
}

// life is that of an allocation on a node.
type life struct {
	h        *host
	id       mesh.AllocID
	job      *mesh.Job
	group    mesh.Group
	place    place
	tasks    []*stint      // in file order
	order    time.Duration // when its agent wanted the first task to start
	began    time.Duration // and when one has started
	over     string        // why no task but a poststop one may start any more
	timedOut bool          // as its node says
}

// stint is what a task has done in a copy's life.
type stint struct {
	def      *mesh.Task
	p        *process        // while it runs
	ordered  time.Duration   // to start, the last time
	again    []time.Duration // when it was ordered to, but for the first time: its power may have failed before
	first    time.Duration   // when it started first
	starts   int
	end      ending          // the last
	restarts []time.Duration // the ends of the attempts that were followed by another
}

// ending is how an attempt has ended.
type ending struct {
	at   time.Duration
	how  how
	code int
}

type how int

const (
	never   how = iota
	itself      // by itself
	stopped     // as the agent wanted it
	ill         // as its checks had failed, for another to start
	expired     // as its lease has run out
	lost        // with its machine
)

// noteOrders notes which tasks a step wants started.
func (w *world) noteOrders(h *host, r *core.Ready) {
	for _, o := range r.Orders {
		if o.Verb == runner.DoStart {
			w.noteOrder(h, o.Spec)
		}
	}
}

func (w *world) noteOrder(h *host, s *runner.Spec) {
	key := lifeKey{h.place, s.Alloc}
	if l := w.deeds.lives[key]; l != nil {
		t := l.stint(s.Task)
		if t.ordered > 0 {
			t.again = append(t.again, w.now)
		}
		t.ordered = w.now
		return
	}
	d := w.deeds.decided[s.Alloc]
	job := w.people.job(mesh.JobID(variable(*s, mesh.VarJob)))
	if d == nil || job == nil {
		return
	}
	g, ok := job.Group(d.Group)
	if !ok {
		return
	}
	l := &life{h: h, id: s.Alloc, job: job, group: g, place: placeOf(&d.Alloc), order: w.now}
	for i := range g.Tasks {
		l.tasks = append(l.tasks, &stint{def: &g.Tasks[i]})
	}
	w.deeds.lives[key] = l
	l.stint(s.Task).ordered = w.now
}

// stint is that of a task of the copy.
func (l *life) stint(task string) *stint {
	return l.tasks[slices.IndexFunc(l.tasks, func(s *stint) bool { return s.def.Name == task })]
}

// stint is what is known of the task that a process runs, or nil if people have changed
// its job meanwhile.
func (w *world) stint(p *process) (*life, *stint) {
	l := w.deeds.lives[lifeKey{p.h.place, p.spec.Alloc}]
	if l == nil || !w.people.written(p.copy.job) {
		return nil, nil
	}
	return l, l.stint(p.spec.Task)
}

// noteStart holds a start against what has been before, and notes it.
func (w *world) noteStart(p *process) {
	l, s := w.stint(p)
	if l == nil {
		return
	}
	if l.began == 0 {
		w.checkBirth(l)
		l.began = w.now
		w.deeds.seats[l.place] = append(w.deeds.seats[l.place], l)
		w.deeds.jobs[l.place.job] = append(w.deeds.jobs[l.place.job], l)
	}
	w.checkTurn(l, s)
	w.checkRestart(l, s)
	s.p, s.starts = p, s.starts+1
	if s.starts == 1 {
		s.first = w.now
	}
	w.checkBounds(l)
	w.checkShared(l)
	w.checkRanks(l, p)
}

// noteEnd notes the end of a process, however it came about.
func (w *world) noteEnd(p *process, code int, how how) {
	l, s := w.stint(p)
	if l == nil {
		return
	}
	switch {
	case how == lost:
	case p.expired:
		how = expired
	case p.dying && p.unwell:
		how = ill
	case p.dying:
		how = stopped
	}
	s.p, s.end = nil, ending{w.now, how, code}
	w.foreseeEnd(l, s)
}

// does says whether a task of a copy runs.
func (l *life) does(which func(*mesh.Task) bool) bool {
	for _, s := range l.tasks {
		if s.p != nil && which(s.def) {
			return true
		}
	}
	return false
}

func anyTask(*mesh.Task) bool { return true }

func isMain(t *mesh.Task) bool { return t.Lifecycle == "" }

// succeeded says whether the last attempt of a task has done its work.
func (s *stint) succeeded() bool {
	return s.p == nil && s.end.how == itself && s.def.Succeeds(s.end.code)
}

// completed says whether a copy has done its work, and when.
func (l *life) completed() (at time.Duration, ok bool) {
	if l.job.Type.Long() {
		return 0, false
	}
	for _, s := range l.tasks {
		if isMain(s.def) {
			if !s.succeeded() {
				return 0, false
			}
			at = max(at, s.end.at)
		}
	}
	return at, true
}

// fell says whether a copy has ended other than it should: a task of it has failed, or
// was lost with its machine, or it was stopped as its time was over.
func (l *life) fell() bool {
	if l.does(anyTask) {
		return false
	}
	for _, s := range l.tasks {
		bad := s.end.how == lost || s.end.how == itself && !(s.def.Succeeds(s.end.code) && !l.job.Type.Long())
		if s.def.Lifecycle != mesh.Poststop && bad {
			return true
		}
	}
	return l.timedOut
}

// ended is when the last of a copy's tasks has ended.
func (l *life) ended() time.Duration {
	var at time.Duration
	for _, s := range l.tasks {
		at = max(at, s.end.at)
	}
	return at
}

// neverTwo says whether a job promises that there are never two of a copy, also while
// the network is split.
func neverTwo(j *mesh.Job) bool { return j.Recovery.Partition() != mesh.Eager }

// noteDecisions notes what a step has placed, and what it stops on nodes to be drained.
func (w *world) noteDecisions(h *host, r *core.Ready) {
	var placed []*decided
	for i := range r.Keep.Put {
		e := &r.Keep.Put[i]
		kind := mesh.Kind(e.Key)
		if e.Deleted || e.Dot.Origin != string(h.self.ID) || kind != mesh.PrefixAlloc && kind != mesh.PrefixDegraded {
			continue
		}
		var d mesh.DegradedAlloc // an Alloc is the beginning of one
		if err := crdt.Decode(e.Value, &d); err != nil {
			continue
		}
		was := w.deeds.decided[d.ID]
		if was != nil && d.Want == mesh.WantStop && w.byID[d.Node] != nil {
			was.drained = was.drained || w.byID[d.Node].drained()
			was.yields = was.yields || d.Leaves
		}
		if d.Want != mesh.WantRun || was != nil {
			continue
		}
		placed = append(placed, &decided{Alloc: d.Alloc, at: w.now})
	}
	for _, d := range placed {
		w.deeds.decided[d.ID] = d
		if !w.people.written(d.Job) {
			continue
		}
		w.know(h, d)
	}
	w.noteUsable(h, r)
	for _, d := range placed {
		w.checkNeeds(h, d, placed)
	}
	if len(placed) > 0 {
		w.checkGangs(h, placed)
	}
}

// inOrderOfWriting is what a step keeps, its own writes in the order in which it has made
// them.
func inOrderOfWriting(r *core.Ready) []*crdt.Entry {
	entries := make([]*crdt.Entry, len(r.Keep.Put))
	for i := range r.Keep.Put {
		entries[i] = &r.Keep.Put[i]
	}
	slices.SortStableFunc(entries, func(a, b *crdt.Entry) int { return cmp.Compare(a.Dot.Seq, b.Dot.Seq) })
	return entries
}

// know notes what whoever placed a copy knew of those before it.
func (w *world) know(h *host, d *decided) {
	job := w.people.job(d.Job)
	allocs := h.agent.core.View().AllocsOf(d.Job)
	for i := range allocs {
		a := &allocs[i]
		before := placeOf(&a.Alloc) == placeOf(&d.Alloc)
		switch state := a.State(); {
		case a.ID == d.ID || a.Status == nil:
		case before && state == mesh.Complete && !job.Type.Long() && !job.Gang:
			d.redo = a.ID
		case job.Gang && a.Generation == d.Generation-1, !job.Gang && before && a.ID == d.Replaces:
			failed := state == mesh.Failed || state == mesh.TimedOut || state == mesh.Complete && job.Type.Long()
			// One that was lost when it was planned may turn out to have failed.
			if failed && a.Want == mesh.WantRun && strings.Contains(d.Reason, "failed on ") {
				d.moved, d.overdue = true, d.overdue || state == mesh.TimedOut
				if at := w.endOf(a); at > 0 && (d.failed == 0 || at < d.failed) {
					d.failed = at
				}
			}
		}
	}
}

// endOf is when an allocation has ended on its node; 0 if that is not known.
func (w *world) endOf(a *mesh.AllocView) time.Duration {
	if h := w.byID[a.Node]; h != nil && w.deeds.lives[lifeKey{h.place, a.ID}] != nil {
		return w.deeds.lives[lifeKey{h.place, a.ID}].ended()
	}
	return 0
}

// alive are the lives of a job of which something runs, on machines that are awake.
func (w *world) alive(job mesh.JobID) []*life {
	return slices.DeleteFunc(slices.Clone(w.deeds.jobs[job]), func(l *life) bool {
		return l.h.asleep > 0 || !l.does(anyTask)
	})
}
