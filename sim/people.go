package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// people are those who ask for things, through whichever node answers them. They
// remember what they were told is done.
type people struct {
	w     *world
	dice  chance
	jobs  map[mesh.JobID]*mesh.Job // as they were submitted first
	edits map[mesh.JobID]int       // how often each was asked to change
	wrote map[mesh.JobID]int       // of these, how often it was submitted
	tried map[mesh.JobID]bool      // it was to run again what had failed
	acked []ack
	asked map[uint64]string // what waits for an answer
	still bool              // they ask for nothing more
	token mesh.Token
	ran   []mesh.JobID // what they have run of the jobs for later
}

// ack is a write that somebody was told is kept.
type ack struct {
	what string
	key  string
	at   time.Duration
	on   []*host // whose disks held it when it was acknowledged
}

func newPeople(w *world) *people {
	return &people{
		w: w, dice: chanceOf(w.options.Seed, "people"), jobs: map[mesh.JobID]*mesh.Job{},
		edits: map[mesh.JobID]int{}, wrote: map[mesh.JobID]int{}, tried: map[mesh.JobID]bool{},
		asked: map[uint64]string{},
		token: mesh.Token{ID: "sim", Hash: []byte("sim"), Uses: NodesMax * 2, ExpiresAt: epoch.Add(lastsMax * 12)},
	}
}

// job is a job that people have submitted, or a run of one, or nil.
func (p *people) job(id mesh.JobID) *mesh.Job {
	if job := p.jobs[id]; job != nil {
		return job
	}
	return p.w.ticks.job[id]
}

// ids are those of the jobs that people have submitted, in order.
func (p *people) ids() []mesh.JobID { return slices.Sorted(maps.Keys(p.jobs)) }

// untouched says whether people have submitted a job once and never again.
func (p *people) untouched(id mesh.JobID) bool { return p.jobs[id] != nil && p.edits[id] == 1 }

// written says whether a job is as people have submitted it: they have paused it at
// most, gone on with it, or tried again what had failed.
func (p *people) written(id mesh.JobID) bool { return p.jobs[id] != nil && p.wrote[id] == 1 }

// counted says whether all that has failed of a job counts: nobody has said anew.
func (p *people) counted(id mesh.JobID) bool { return p.written(id) && !p.tried[id] }

// ask asks a node's agent.
func (p *people) ask(h *host, what string, call core.Call, answer func(core.Reply)) {
	if !h.up() {
		return
	}
	p.w.calls++
	id := p.w.calls
	p.asked[id] = what
	h.agent.calls[id] = func(r core.Reply) {
		delete(p.asked, id)
		if r.Fault != nil {
			p.w.tell(h, "people", "%s: refused: %v", what, r.Fault)
		}
		answer(r)
	}
	h.tell(core.Asked{ID: id, Call: call})
}

// died is the end of an agent that had not answered a call.
func (p *people) died(id uint64) {
	p.w.counts.add(InDoubt)
	delete(p.asked, id)
}

// submit submits a job, or a new version of it.
func (p *people) submit(job *mesh.Job, h *host) {
	id := mesh.JobID(job.Name)
	if p.jobs[id] == nil {
		p.jobs[id] = job
	}
	p.edits[id]++
	p.wrote[id]++
	what := fmt.Sprintf("submit %s with %d copies", id, job.Copies())
	p.w.tell(h, "people", "%s", what)
	call := core.Submit{Job: job, Force: p.w.services.forced[id]}
	p.ask(h, what, call, func(r core.Reply) { p.submitted(h, what, r) })
}

// act has something done to a job that leaves its content as it is.
func (p *people) act(id mesh.JobID, verb mesh.Verb, h *host) {
	p.edits[id]++
	p.tried[id] = p.tried[id] || verb == mesh.VerbRetry
	what := fmt.Sprintf("%s %s", verb, id)
	p.w.tell(h, "people", "%s", what)
	p.ask(h, what, core.Act{Job: id, Verb: verb}, func(r core.Reply) { p.submitted(h, what, r) })
}

// submitted takes an answer: from now on the write must never be lost.
func (p *people) submitted(h *host, what string, r core.Reply) {
	done, ok := r.Value.(core.Submitted)
	if !ok || r.Fault != nil || done.Unchanged {
		return
	}
	v := done.Version
	p.kept(h, fmt.Sprintf("%s: version %d", what, v.Number),
		mesh.KeyJob(mesh.JobID(v.Job.Name), v.Number, v.Hash), done.Copies)
}

// kept is a write that a node has told somebody is on so many disks.
func (p *people) kept(h *host, what, key string, copies int) {
	a := ack{what: what, key: key, at: p.w.now}
	for _, o := range p.w.hosts {
		if !o.gone && o.disk.holds(a.key) {
			a.on = append(a.on, o)
		}
	}
	p.w.counts.add(Acknowledged)
	p.w.tell(h, "people", "%s: acknowledged, on %d disks", what, copies)
	if lost := p.lost(key); len(a.on)+lost < copies {
		p.w.breach("acknowledged-is-durable", "%s was told by %s that %q is on %d disks; it is on %d: %s (%d are lost)",
			what, h.name, a.key, copies, len(a.on), who(a.on), lost)
	}
	p.acked = append(p.acked, a)
}

// lost counts the disks that held a write and are no more: one may have been lost
// while its word was on the way.
func (p *people) lost(key string) int {
	n := 0
	for _, h := range p.w.hosts {
		if !h.disk.holds(key) && slices.ContainsFunc(h.past, func(d *disk) bool { return d.holds(key) }) {
			n++
		}
	}
	return n
}

// admit has a member let a new node in.
func (p *people) admit(h, by *host, done func()) {
	admit := core.Admit{Member: h.member(), Secret: p.token.Hash}
	admit.Member.Token = p.token.ID
	p.ask(by, "make a token", core.PutToken{Token: p.token}, func(r core.Reply) {
		p.ask(by, "admit "+h.name, admit, func(r core.Reply) {
			if r.Fault == nil {
				done()
			}
		})
	})
}

// evict tells the mesh, by way of a node, to do without another.
func (p *people) evict(h, by *host) {
	what := "evict " + h.name
	p.w.tell(by, "people", "%s", what)
	p.ask(by, what, core.Evict{Node: h.self.ID, Reason: "in the way"}, func(r core.Reply) {
		if done, ok := r.Value.(core.Kept); ok && r.Fault == nil {
			p.kept(by, what, mesh.KeyEvicted(h.self.ID), done.Copies)
		}
	})
}

// begin has people ask for things from now on.
func (p *people) begin() {
	every := p.w.scenario.People.Every.Std()
	if every == 0 {
		return
	}
	p.w.plan(p.dice.about(every), func() {
		if !p.still {
			p.want()
			p.begin()
		}
	})
}

// quiet ends all requests.
func (p *people) quiet() { p.still = true }

// usual are the requests of people that a scenario does not say.
var usual = []string{"submit", "scale", "change", "stop"}

// want asks some node for something.
func (p *people) want() {
	nodes := p.w.running()
	if len(nodes) == 0 {
		return
	}
	h := pick(p.dice, nodes)
	kinds := p.w.scenario.People.Do
	if len(kinds) == 0 {
		kinds = usual
	}
	name := fmt.Sprintf("user-%d", p.dice.IntN(p.w.scenario.People.Jobs)+1)
	job := p.jobs[mesh.JobID(name)]
	switch kind := pick(p.dice, kinds); {
	case kind == "approve":
		p.approve(h)
	case kind == "run":
		p.run(h)
	case kind == "force":
		p.force(h)
	case len(p.w.scenario.Later) > 0 && kind != "submit":
		if id := p.ofLater(); id != "" {
			p.act(id, mesh.Verb(kind), h)
		}
	case job == nil, kind == "submit":
		p.submit(p.draw(name, job), h)
	case kind == "scale":
		next := clone(job)
		next.Tasks[0].Count = p.dice.IntN(5) + 1
		p.submit(next, h)
	case kind == "change":
		next := clone(job)
		p.change(next)
		p.submit(next, h)
		p.holdSoon(mesh.JobID(name), h)
	case kind == "go-back":
		p.goBack(mesh.JobID(name), h)
	case steers[kind] != "":
		p.steer(mesh.JobID(name), steers[kind], h)
	default:
		p.act(mesh.JobID(name), mesh.Verb(kind), h)
	}
}

// draw makes up a job. What it promises in a partition stays as it was, if
// there was a job of that name before.
func (p *people) draw(name string, before *mesh.Job) *mesh.Job {
	j := &mesh.Job{Name: name, Type: mesh.Service, Tasks: []mesh.Task{{
		Name: "task", Count: p.dice.IntN(4) + 1, Command: []string{"run"},
		Resources: mesh.Resources{CPU: mesh.Core / 4, Memory: 128 * mesh.MiB},
	}}}
	j.Recovery.OnPartition = pick(p.dice, []mesh.OnPartition{mesh.Eager, mesh.Majority, mesh.Keep})
	if p.dice.IntN(4) == 0 {
		j.Type = mesh.Batch
	}
	if p.dice.IntN(2) == 0 {
		j.Strategy = mesh.Spread
	}
	if before != nil {
		j.Type, j.Recovery = before.Type, before.Recovery
	}
	if p.w.scenario.People.Equipped {
		p.equipped(j)
	}
	if p.w.scenario.People.Rolled {
		p.rolled(j, before)
	}
	j.Defaults()
	return j
}

func clone(j *mesh.Job) *mesh.Job {
	next := *j
	next.Tasks = slices.Clone(j.Tasks)
	for i := range next.Tasks {
		next.Tasks[i].Env = maps.Clone(next.Tasks[i].Env)
	}
	return &next
}

// checkKept demands that each acknowledged write is on every node's disk at the
// end, unless all the disks are lost that held it when it was acknowledged.
func (p *people) checkKept() {
	for _, a := range p.acked {
		excused := !slices.ContainsFunc(a.on, func(h *host) bool { return !h.gone && !h.restored(a.at) })
		for _, h := range p.w.members() {
			if !h.disk.holds(a.key) && !excused {
				p.w.breach("acknowledged-is-kept", "%s, acknowledged at %v on %s, is not on %s: no %q",
					a.what, a.at, who(a.on), h.name, a.key)
				return
			}
		}
	}
}
