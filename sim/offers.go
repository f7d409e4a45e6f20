package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/crdt"
	"mn/health"
	"mn/mesh"
	"mn/mesh/core"
)

// services is what the invariants about services rest on. In a run without any nobody pays for them.
type services struct {
	any    bool // some job offers one, or needs one
	knew   map[offerKey]knowledge
	forced map[mesh.JobID]bool // people have had them begin without what they require
}

// offerKey is a service of a copy as a host knows of it.
type offerKey struct {
	host          int
	alloc         mesh.AllocID
	task, service string
}

// knowledge is that others can be sent there, or could until an instant.
type knowledge struct {
	health.Instance
	until time.Duration // 0 as long as they can
}

func newServices(s *Scenario) services {
	deals := func(j mesh.Job) bool { return len(j.OfferedNames())+len(j.NeededNames()) > 0 }
	return services{
		slices.ContainsFunc(s.Jobs, deals) || slices.ContainsFunc(s.Later, deals),
		map[offerKey]knowledge{},
		map[mesh.JobID]bool{},
	}
}

// hintsFor is how long a hint may count, as mesh/core has it.
const hintsFor = 30 * time.Second

// sayings is what an agent has heard of services, as its steps took it, and when the last one was.
type sayings struct {
	of      map[mesh.ServiceKey][]heardOf
	stepped time.Duration // by the boot clock
}

type heardOf struct {
	at    time.Time // by the clock of who said it
	heard time.Duration
	fails bool
}

// noteSayings notes the hints that a step takes.
func (w *world) noteSayings(h *host, batch []core.Event) {
	if !w.services.any {
		return
	}
	s := &h.agent.sayings
	if s.stepped = h.now().Boot; s.of == nil {
		s.of = map[mesh.ServiceKey][]heardOf{}
	}
	for _, ev := range batch {
		if said, ok := ev.(core.Hinted); ok {
			s.note(said.Fail, heardOf{said.At, s.stepped, true})
			s.note(said.Pass, heardOf{said.At, s.stepped, false})
		}
	}
}

func (s *sayings) note(keys []mesh.ServiceKey, said heardOf) {
	for _, key := range keys {
		s.of[key] = append(slices.DeleteFunc(s.of[key], s.old), said)
	}
}

func (s *sayings) old(h heardOf) bool { return h.heard+hintsFor < s.stepped }

// hides says whether a service may be hidden for what was said of it since its record was written: the
// latest of what still counts is that it fails.
func (s *sayings) hides(key mesh.ServiceKey, record time.Time) bool {
	said := slices.DeleteFunc(slices.Clone(s.of[key]), s.old)
	return slices.ContainsFunc(said, func(f heardOf) bool {
		return f.fails && f.at.After(record) && !slices.ContainsFunc(said, func(p heardOf) bool {
			return !p.fails && p.at.After(f.at)
		})
	})
}

// checkCatalogs looks, each second, at what each node would send others to.
func (w *world) checkCatalogs() {
	if !w.services.any {
		return
	}
	for _, h := range w.running() {
		v := h.agent.core.View()
		all, record := health.Catalog(v), byRecord(v)
		for i := range all {
			w.checkShown(h, v, &all[i])
			w.checkHint(h, v, &all[i], &record[i])
		}
		w.learn(h)
	}
}

// byRecord is what a view shows by the records of copies alone, which is what coordinators go by.
func byRecord(v *mesh.View) []health.Instance {
	by := *v
	by.Failing = nil
	return health.Catalog(&by)
}

// checkShown: a copy that is not passing by the record that a node has, or that it cannot count on, is
// not offered by it.
func (w *world) checkShown(h *host, v *mesh.View, i *health.Instance) {
	if i.Hidden != "" {
		return
	}
	if why := h.unfit(v, i); why != "" {
		w.breach("unfit-is-hidden", "%s sends others to service %s of %s, %s", h.name, i.Service, i.Alloc, why)
	}
}

// unfit is why nobody may be sent to an instance, by what a host knows of it, or "".
func (h *host) unfit(v *mesh.View, i *health.Instance) string {
	all := v.AllocsOf(i.Job)
	at := slices.IndexFunc(all, func(a mesh.AllocView) bool { return a.ID == i.Alloc })
	if at < 0 || all[at].Status == nil {
		return "of which it knows nothing"
	}
	a := &all[at]
	task := slices.IndexFunc(a.Status.Tasks, func(t mesh.TaskStatus) bool { return t.Name == i.Task })
	passes := func(s mesh.ServiceStatus) bool { return s.Name == i.Service && s.Health == mesh.Passing }
	n := v.Node(a.Node)
	switch {
	case a.Want != mesh.WantRun:
		return "which is to stop"
	case task < 0 || a.Status.Tasks[task].State != mesh.Running:
		return "which does not run"
	case !slices.ContainsFunc(a.Status.Tasks[task].Services, passes):
		return "which does not pass"
	case n == nil || n.Evicted || n.Boot != a.Status.Boot:
		return "whose node is gone or was started anew"
	case a.Node != h.self.ID && !h.agent.core.Sees(a.Node):
		return "whose node it does not see"
	}
	return ""
}

// checkHint: a hint hides an instance that passes by its record only if nothing later says that it
// passes, and not for longer than hints count; it never has one shown.
func (w *world) checkHint(h *host, v *mesh.View, i, record *health.Instance) {
	switch {
	case i.Hidden == record.Hidden:
	case record.Hidden != "":
		w.breach("hints-only-hide", "%s sends others to service %s of %s, and its record says: %s",
			h.name, i.Service, i.Alloc, record.Hidden)
	default:
		w.counts.add(HintsFirst)
		a, _ := h.agent.core.Alloc(i.Alloc)
		if !h.agent.sayings.hides(mesh.KeyOf(i.Alloc, i.Task, i.Service), statusAt(v, &a)) {
			w.breach("hints-only-hide", "%s hides service %s of %s for what was said, and nothing says so any more",
				h.name, i.Service, i.Alloc)
		}
	}
}

// statusAt is when the record of a copy was written, as a view has it.
func statusAt(v *mesh.View, a *mesh.AllocView) time.Time {
	for _, o := range v.AllocsOf(a.Job) {
		if o.ID == a.ID && o.Status != nil {
			return o.Status.At
		}
	}
	return time.Time{}
}

// noteUsable notes which services a host would send others to, after a step that may have changed it.
func (w *world) noteUsable(h *host, r *core.Ready) {
	if !w.services.any || !slices.ContainsFunc(r.Keep.Put, func(e crdt.Entry) bool {
		kind := mesh.Kind(e.Key)
		return kind == mesh.PrefixStatus || kind == mesh.PrefixAlloc || kind == mesh.PrefixDegraded
	}) {
		return
	}
	w.learn(h)
}

// learn notes what a host's catalog shows now, and no longer.
func (w *world) learn(h *host) {
	now := map[offerKey]bool{}
	for _, i := range byRecord(h.agent.core.View()) {
		if i.Hidden == "" {
			key := offerKey{h.place, i.Alloc, i.Task, i.Service}
			now[key] = true
			w.services.knew[key] = knowledge{i, 0}
		}
	}
	for key, k := range w.services.knew {
		if key.host == h.place && !now[key] && k.until == 0 {
			k.until = w.now
			w.services.knew[key] = k
		}
	}
}

// knows says whether a host would send others to something that is needed, or would have when it began to
// ask nodes for room: on a node, or anywhere if that is "", and not of a group of the job that needs it,
// nor of any group if that is "".
func (h *host) knows(need *mesh.ServiceNeed, on mesh.NodeID, job mesh.JobID, group string) bool {
	asks := time.Duration(len(h.w.hosts)+1) * time.Second // each node is given a second to answer
	for key, k := range h.w.services.knew {
		own := k.Job == job && (group == "" || k.Group == group)
		if key.host == h.place && !own && k.Service == need.Name && k.Has(need.Tags) &&
			(on == "" || k.Node == on) && (k.until == 0 || h.w.now-k.until <= asks) {
			return true
		}
	}
	return slices.ContainsFunc(byRecord(h.agent.core.View()), func(i health.Instance) bool {
		own := i.Job == job && (group == "" || i.Group == group)
		return i.Hidden == "" && !own && i.Service == need.Name && i.Has(need.Tags) && (on == "" || i.Node == on)
	})
}

// checkNeeds: a copy is placed only where what it needs on its node passed as far as whoever placed it
// knew; and the first of a job only if all passed somewhere that the job requires, unless people forced it.
func (w *world) checkNeeds(h *host, d *decided, placed []*decided) {
	job := w.people.job(d.Job)
	if job == nil || !w.services.any {
		return
	}
	g, _ := job.Group(d.Group)
	for _, need := range g.Needs() {
		if !h.knows(&need, d.Node, d.Job, d.Group) {
			w.breach("served-where-it-is", "%s places %s on %s, where no %v passes as far as it knows",
				h.name, d.ID, w.byID[d.Node].name, &need)
		}
	}
	if strings.Contains(d.Reason, "has gone from node") {
		w.counts.add(Following)
	}
	others := func(a mesh.AllocView) bool {
		return !slices.ContainsFunc(placed, func(d *decided) bool { return d.ID == a.ID })
	}
	if len(job.Requires) == 0 || slices.ContainsFunc(h.agent.core.View().AllocsOf(d.Job), others) {
		return // it had begun
	}
	for _, need := range job.Requires {
		switch passes := h.knows(&need, "", d.Job, ""); {
		case passes:
			w.counts.add(Awaited)
		case w.services.forced[d.Job]:
			w.counts.add(Forced)
		default:
			w.breach("waits-for-services", "%s has %s begin, and %v passes nowhere as far as it knows",
				h.name, d.Job, &need)
		}
	}
}

// noteProbe notes how a check of a task has ended.
func (w *world) noteProbe(p *process, check *health.Probe, fault string) {
	if p == nil {
		return
	}
	key := check.Service.Name + "/" + check.Check.Title()
	if fault == "" {
		delete(p.ill, key)
		return
	}
	if p.ill == nil {
		p.ill = map[string][]time.Duration{}
	}
	p.ill[key] = append(p.ill[key], w.now)
}

// checkUnwell: a task is restarted for its checks only if one of them has failed as often as it may,
// without a break and after the time that the task is given to start.
func (w *world) checkUnwell(h *host, ch *health.Change) {
	p := h.tasks[string(ch.Alloc)+"/"+ch.Task]
	if ch.Restart == "" || p == nil || p.spec.Attempt != ch.Attempt || p.dying {
		return
	}
	p.unwell = true
	w.counts.add(Unwell)
	for _, s := range p.offered() {
		if s.Restart == nil {
			continue
		}
		from := p.since + s.Restart.Grace.Std() - drifted(s.Restart.Grace.Std())
		for i := range s.Checks {
			n := 0
			for _, at := range p.ill[s.Name+"/"+s.Checks[i].Title()] {
				if at >= from {
					n++
				}
			}
			if n >= s.Restart.Limit {
				return
			}
		}
	}
	w.breach("restarts-for-cause", "%v is to be restarted on %s, %v after its start: %s",
		p.copy, h.name, w.now-p.since, ch.Restart)
}

// catalogsAreTrue says where a node sends others to what is not there or not well, or not to what is, or "".
func (w *world) catalogsAreTrue(members []*host) string {
	if !w.services.any {
		return ""
	}
	for _, h := range members {
		shown := map[offerKey]bool{} // and not known to be there
		for _, i := range health.Catalog(h.agent.core.View()) {
			if i.Hidden == "" {
				shown[offerKey{w.byID[i.Node].place, i.Alloc, i.Task, i.Service}] = true
			}
		}
		why := w.missing(shown)
		if len(shown) > 0 {
			why = fmt.Sprintf("%d services that are not there", len(shown))
		}
		if why != "" {
			w.doubt = w.unmoved(members[0], h.agent)
			return fmt.Sprintf("%s has in its catalog %s", h.name, why)
		}
	}
	return ""
}

// missing takes what there is out of what a node shows, and says what does not belong there, or lacks.
func (w *world) missing(shown map[offerKey]bool) (why string) {
	for _, o := range w.members() {
		for _, key := range sortedKeys(o.tasks) {
			p := o.tasks[key]
			for _, s := range p.offered() {
				of := offerKey{o.place, p.spec.Alloc, p.spec.Task, s.Name}
				fine := p.condition() == well && !p.dying
				switch {
				case fine && !shown[of]:
					why = fmt.Sprintf("no service %s of %v on %s, which is well", s.Name, p.copy, o.name)
				case !fine && shown[of]:
					why = fmt.Sprintf("service %s of %v on %s, which is not well", s.Name, p.copy, o.name)
				}
				delete(shown, of)
			}
		}
	}
	return why
}

// servicesFollowed says which copy runs where what it needs has gone, though it is elsewhere, or "".
func (w *world) servicesFollowed(members []*host) string {
	if !w.services.any {
		return ""
	}
	for _, h := range members {
		for _, key := range sortedKeys(h.tasks) {
			p := h.tasks[key]
			job, d := w.people.job(p.copy.job), w.deeds.decided[p.spec.Alloc]
			if job == nil || d == nil || !job.Type.Long() {
				continue
			}
			g, _ := job.Group(d.Group)
			for _, need := range g.Needs() {
				if h.offers(&need, "", running) || !slices.ContainsFunc(members, func(o *host) bool {
					return o != h && o.roomFor(&g)
				}) {
					continue
				}
				w.doubt = func() bool { return h.tasks[key] == p }
				return fmt.Sprintf("%v runs on %s, where no %v is any more, and is elsewhere", p.copy, h.name, &need)
			}
		}
	}
	return ""
}

// serves says whether all that a copy of a group needs on its node is really to be had on a host.
func (h *host) serves(g *mesh.Group) bool {
	for _, need := range g.Needs() {
		if !h.offers(&need, "", working) {
			return false
		}
	}
	return true
}

// mayLack says whether a job rightly waits for a service: nobody offers it really, and it was not forced.
func (w *world) mayLack(job *mesh.JobView, reason string) bool {
	if job.Forced || !strings.HasPrefix(reason, "waits for service ") {
		return false
	}
	return slices.ContainsFunc(job.Job.Requires, func(need mesh.ServiceNeed) bool {
		return !slices.ContainsFunc(w.members(), func(h *host) bool { return h.offers(&need, job.ID(), working) })
	})
}
