package sim

import (
	"fmt"
	"slices"

	"mn/mesh"
	"mn/mesh/core"
)

// words counts what people have said about a copy whose work must not run twice:
// versions of its job, and approvals. A task of it has begun at one count, and must not
// begin at the same one again.
type words struct {
	approved map[copyID]int // of copies, without the task
	begun    map[copyID]int // the count at which a task has begun last
}

func newWords() words { return words{approved: map[copyID]int{}, begun: map[copyID]int{}} }

func (id copyID) seat() copyID { return copyID{job: id.job, index: id.index, node: id.node} }

// checkOnce: a task that is marked unsafe does not begin again before people have said
// anything that lets it.
func (w *world) checkOnce(p *process) {
	job := w.people.job(p.copy.job)
	if job == nil || !slices.ContainsFunc(job.Tasks, func(t mesh.Task) bool {
		return t.Name == p.copy.task && t.Safety.Mark() != ""
	}) {
		return
	}
	said := 1 + w.people.edits[p.copy.job] + w.words.approved[p.copy.seat()]
	if w.words.begun[p.copy] == said {
		w.breach("unsafe-once", "%v is marked unsafe, and begins again on %s", p.copy, p.h.name)
	}
	w.words.begun[p.copy] = said
}

// approve has people approve something that waits for them, as one node sees it. They
// vouch for nothing that may still run.
func (p *people) approve(h *host) {
	v := h.agent.core.View()
	var open []mesh.Review
	for i := range v.Jobs {
		plan, _, _ := h.agent.core.Outlook(&v.Jobs[i])
		for _, r := range plan.Reviews {
			if r.Kind != mesh.ReviewLost || p.w.dead(r) {
				open = append(open, r)
			}
		}
	}
	if len(open) == 0 {
		return
	}
	r := pick(p.dice, open)
	a, _ := h.agent.core.Alloc(r.Alloc)
	id := copyID{job: r.Job, index: a.Index}
	if o := p.w.byID[a.Target]; o != nil {
		id.node = o.name
	}
	p.w.words.approved[id]++
	what := fmt.Sprintf("approve %s of %v", r.Kind, id)
	p.w.tell(h, "people", "%s", what)
	p.ask(h, what, core.Judge{Alloc: r.Alloc, Approve: true}, func(rep core.Reply) {
		if done, ok := rep.Value.(core.Kept); ok && rep.Fault == nil {
			p.w.counts.add(Approved)
			p.kept(h, what, mesh.KeyReview(r.Alloc), done.Copies)
		}
	})
}

// dead says whether a copy that waits certainly does not run: its machine is off.
func (w *world) dead(r mesh.Review) bool {
	h := w.byID[r.Node]
	return h == nil || !h.on
}
