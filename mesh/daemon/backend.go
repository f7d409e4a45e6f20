package daemon

import (
	"context"
	"io"
	"runtime"

	"mn/health/clock"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
	"mn/mesh/identity"
	"mn/placement"
	"mn/placement/reconcile"
)

// backend answers the API from the core's picture.
type backend struct{ *daemon }

var _ api.Backend = (*backend)(nil)

// Snapshot is the picture now, with an outlook for each job.
func (b *backend) Snapshot(ctx context.Context) (api.Snapshot, error) {
	var s api.Snapshot
	err := b.loop.look(ctx, func(c *core.Core) {
		s.View = c.View()
		for i := range s.View.Jobs {
			plan, coordinator, fence := c.Outlook(&s.View.Jobs[i])
			s.Outlooks = append(s.Outlooks, api.Outlook{
				Status: plan.Status, Wanted: plan.Wanted, Drain: plan.Drain, Reviews: plan.Reviews,
				Limited: plan.Limited, Waits: waits(s.View, &plan), Wake: plan.Wake, Text: outlook(plan),
				Progress: progressOf(&s.View.Jobs[i].Job, &plan),
				Recovery: reconcile.Mode(s.View, &s.View.Jobs[i].Job), Coordinator: coordinator, Fence: fence,
				Rollout: plan.Rollout,
			})
		}
	})
	return s, err
}

// waits are the copies of a plan that are wanted and do not run yet, with what they wait for.
func waits(view *mesh.View, plan *reconcile.Plan) (list []api.Wait) {
	for _, b := range plan.Blocked {
		list = append(list, api.Wait{
			Group: b.Group, Copies: b.Copies, For: api.WaitsForRoom, Reason: b.Why(),
		})
	}
	for _, r := range plan.Reviews {
		if r.Kind == mesh.ReviewDrain {
			continue // it runs
		}
		for _, a := range view.AllocsOf(plan.Job) {
			if a.ID == r.Alloc {
				list = append(list, api.Wait{Group: a.Group, Copies: 1, For: api.WaitsForPerson, Reason: r.Reason})
			}
		}
	}
	for _, w := range plan.Waiting {
		list = append(list, api.Wait{Group: w.Group, Copies: w.Copies, For: api.WaitsForOther, Reason: w.Reason})
	}
	return list
}

// outlook is a plan's status in words, with why its first copies fit nowhere,
// or else why the first that wait do so.
func outlook(plan reconcile.Plan) string {
	switch {
	case len(plan.Blocked) > 0:
		return plan.Text + ": " + plan.Blocked[0].Why()
	case len(plan.Waiting) > 0:
		return plan.Text + ": " + plan.Waiting[0].Reason
	}
	return plan.Text
}

// Changed is closed at the next change of the picture.
func (b *backend) Changed() <-chan struct{} { return b.loop.change() }

// Submit makes a version of a job that runs.
func (b *backend) Submit(ctx context.Context, r api.RunRequest) (api.Submitted, error) {
	alone, err := b.alone(ctx, r.Job.Payload)
	if err != nil {
		return api.Submitted{}, err
	}
	s, err := b.submit(ctx, core.Submit{Job: &r.Job, Verb: r.Verb, Reason: r.Reason, Expect: r.Expect, Force: r.Force})
	if err == nil && alone {
		s.Warnings = append(s.Warnings,
			"only this node has the job's files so far: no peer has said that it keeps them")
	}
	return s, err
}

// alone has the files of a job here and at a peer, and says whether no peer has them though
// there is one.
func (b *backend) alone(ctx context.Context, p *mesh.Payload) (bool, error) {
	if p == nil {
		return false, nil
	}
	if err := b.content.bring(ctx, p); err != nil {
		return false, err
	}
	v, err := b.loop.ask(ctx, core.Share{Tree: p.Tree})
	if err != nil {
		return false, err
	}
	return v.(core.Kept).Copies < 2 && b.peersAdmitted(ctx), nil
}

// Act makes a version of a job by a verb.
func (b *backend) Act(ctx context.Context, verb mesh.Verb, r api.ActRequest) (api.Submitted, error) {
	return b.submit(ctx, core.Act{Job: r.Job, Verb: verb, All: r.All, Reason: r.Reason, Expect: r.Expect})
}

// Scale makes a version of a job with another number of copies.
func (b *backend) Scale(ctx context.Context, r api.ScaleRequest) (api.Submitted, error) {
	return b.submit(ctx, core.Scale{Job: r.Job, Group: r.Group, Count: r.Count, Reason: r.Reason, Expect: r.Expect})
}

func (b *backend) submit(ctx context.Context, call core.Call) (api.Submitted, error) {
	v, err := b.loop.ask(ctx, call)
	if err != nil {
		return api.Submitted{}, err
	}
	s := v.(core.Submitted)
	out := api.Submitted{
		ID: mesh.JobID(s.Version.Job.Name), Version: s.Version.Number, Hash: s.Version.Hash, Changed: !s.Unchanged,
	}
	if !s.Unchanged {
		out.Warnings = b.warnings(ctx, s.Copies)
	}
	return out, nil
}

// warnings are what is to be said of a change that so many nodes have on their disks.
func (b *backend) warnings(ctx context.Context, copies int) []string {
	if copies > 1 || !b.peersAdmitted(ctx) {
		return nil
	}
	return []string{"only this node has the change on its disk so far: no peer has confirmed it"}
}

// Tag gives a name to a version of a job, or takes it away.
func (b *backend) Tag(ctx context.Context, r api.TagRequest) (api.Tagged, error) {
	v, err := b.loop.ask(ctx, core.Tag{Job: r.Job, Name: r.Tag, Version: r.Version, Remove: r.Remove})
	if err != nil {
		return api.Tagged{}, err
	}
	t := v.(core.Tagged)
	out := api.Tagged{
		ID: r.Job, Tag: t.Tag.Name, Version: t.Tag.Version, Hash: t.Tag.Hash, Before: t.Before, Changed: !t.Unchanged,
	}
	if !t.Unchanged {
		out.Warnings = b.warnings(ctx, t.Copies)
	}
	return out, nil
}

func (b *backend) peersAdmitted(ctx context.Context) bool { return len(b.peers(ctx)) > 0 }

// Lacks says which of some objects are not here.
func (b *backend) Lacks(_ context.Context, objects []string) ([]string, error) {
	return b.content.lacks(objects)
}

// Keep keeps the objects that a reader gives, and says how many bytes they are.
func (b *backend) Keep(_ context.Context, objects io.Reader) (int64, error) {
	return b.content.store.Take(objects)
}

// Why explains where the copies of a job are, and where one more could go.
func (b *backend) Why(ctx context.Context, id mesh.JobID) (api.Why, error) {
	var view *mesh.View
	var plan reconcile.Plan
	err := b.loop.look(ctx, func(c *core.Core) {
		view = c.View()
		if job := view.Job(id); job != nil {
			plan, _, _ = c.Outlook(job)
		}
	})
	if err != nil {
		return api.Why{}, err
	}
	job := view.Job(id)
	if job == nil {
		return api.Why{}, noJob(id)
	}
	out := api.Why{ID: id, Status: plan.Status, Text: outlook(plan)}
	for i := range plan.Blocked {
		out.Gang = gangOf(&plan.Blocked[i])
	}
	for _, g := range job.Job.Groups() {
		wg := api.WhyGroup{
			Group: g.Name, Count: plan.Wanted[g.Name], Strategy: job.Job.Strategy, Resources: g.Resources,
		}
		if wg.Strategy == "" {
			wg.Strategy = mesh.Binpack
		}
		run := map[mesh.Seat]bool{} // two copies in one place are not two of those that are wanted
		for _, a := range view.AllocsOf(id) {
			if n := view.Node(a.Node); a.Group == g.Name && a.State() == mesh.Running &&
				n != nil && n.Liveness == mesh.Alive {
				run[a.Seat()] = true
			}
		}
		wg.Running = len(run)
		wg.Nodes = explain(view, &job.Job, g, placement.Place(view, &job.Job, g, string(id), nil))
		out.Groups = append(out.Groups, wg)
	}
	return out, nil
}

// gangOf is what a gang lacks, if those that fit nowhere are one.
func gangOf(b *reconcile.Blocked) *api.WhyGang {
	if !b.Gang {
		return nil
	}
	return &api.WhyGang{Copies: b.Copies, Fit: b.Fit, Group: b.Group, Index: b.Index, Reason: b.Choice.Summary()}
}

// millionths are what placement counts scores in.
const millionths = 1e6

// explain is a choice as the API tells it: candidates first, then refusals.
func explain(view *mesh.View, job *mesh.Job, g mesh.Group, choice placement.Choice) []api.WhyNode {
	copies := map[mesh.NodeID]int{}
	for _, a := range view.AllocsOf(mesh.JobID(job.Name)) {
		if a.Group == g.Name && a.Want == mesh.WantRun && !a.State().Final() {
			copies[a.Node]++
		}
	}
	nodes := []api.WhyNode{}
	for _, c := range choice.Candidates {
		n := api.WhyNode{
			Node: c.Name, NodeID: c.Node, Copies: copies[c.Node], Fits: true,
			Score: float64(c.Score) / millionths, Reason: c.Avoid,
		}
		for _, t := range c.Terms {
			n.Terms = append(n.Terms, api.Term{Name: t.Name, Value: float64(t.Value) / millionths})
		}
		nodes = append(nodes, n)
	}
	for _, r := range choice.Refused {
		nodes = append(nodes, api.WhyNode{
			Node: r.Name, NodeID: r.Node, Copies: copies[r.Node], Filter: r.Filter, Reason: r.Reason,
		})
	}
	return nodes
}

func nodeLabel(v *mesh.View, id mesh.NodeID) string {
	if n := v.Node(id); n != nil {
		return n.Name
	}
	return id.Short()
}

func noJob(id mesh.JobID) error {
	return mesh.Faultf(mesh.NotFound, "no job %q", id).Hint("mn job ls")
}

// History is every version of a job, oldest first.
func (b *backend) History(ctx context.Context, id mesh.JobID) ([]mesh.JobVersion, error) {
	var versions []mesh.JobVersion
	if err := b.loop.look(ctx, func(c *core.Core) { versions = c.History(id) }); err != nil {
		return nil, err
	}
	if len(versions) == 0 {
		return nil, noJob(id)
	}
	return versions, nil
}

// CreateToken makes a join token; the mesh keeps only the hash of its secret.
func (b *backend) CreateToken(ctx context.Context, r api.TokenRequest) (api.NewToken, error) {
	token, err := identity.NewToken(b.id.Fingerprint())
	if err != nil {
		return api.NewToken{}, err
	}
	now := clock.Wall().UTC()
	kept := mesh.Token{ID: token.ID, Hash: token.Hash(), Uses: r.Uses, CreatedAt: now, ExpiresAt: now.Add(r.TTL.Std())}
	if _, err := b.loop.ask(ctx, core.PutToken{Token: kept}); err != nil {
		return api.NewToken{}, err
	}
	return api.NewToken{ID: token.ID, Token: token.String(), Uses: kept.Uses, ExpiresAt: kept.ExpiresAt}, nil
}

// Tokens are the join tokens, with how often each was used.
func (b *backend) Tokens(ctx context.Context) ([]api.TokenStatus, error) {
	var tokens []mesh.Token
	used := map[string]int{}
	err := b.loop.look(ctx, func(c *core.Core) {
		tokens = c.Tokens()
		for _, m := range c.Members() {
			used[m.Token]++
		}
	})
	if err != nil {
		return nil, err
	}
	now := clock.Wall()
	out := []api.TokenStatus{}
	for _, t := range tokens {
		s := api.TokenStatus{
			ID: t.ID, Status: "valid", Uses: t.Uses, Used: used[t.ID], ExpiresAt: t.ExpiresAt, CreatedAt: t.CreatedAt,
		}
		switch {
		case t.Revoked:
			s.Status = "revoked"
		case s.Used >= s.Uses:
			s.Status = "used"
		case !now.Before(t.ExpiresAt):
			s.Status = "expired"
		}
		out = append(out, s)
	}
	return out, nil
}

// RevokeToken ends a token.
func (b *backend) RevokeToken(ctx context.Context, id string) error {
	var tokens []mesh.Token
	if err := b.loop.look(ctx, func(c *core.Core) { tokens = c.Tokens() }); err != nil {
		return err
	}
	for _, t := range tokens {
		if t.ID == id {
			t.Revoked = true
			_, err := b.loop.ask(ctx, core.PutToken{Token: t})
			return err
		}
	}
	return mesh.Faultf(mesh.NotFound, "no token %q", id).Hint("mn mesh token ls")
}

// kept has the core write something, and says on how many disks that is by now.
func (b *backend) kept(ctx context.Context, call core.Call) (int, error) {
	r, err := b.loop.ask(ctx, call)
	if err != nil {
		return 0, err
	}
	kept, _ := r.(core.Kept)
	return kept.Copies, nil
}

// Evict has the mesh do without a node for good.
func (b *backend) Evict(ctx context.Context, r api.EvictRequest) (int, error) {
	return b.kept(ctx, core.Evict{Node: mesh.NodeID(r.Node), Reason: r.Reason, Off: r.Off})
}

// Recover has this node decide alone, as a person vouches that others are off for good.
func (b *backend) Recover(ctx context.Context, r api.RecoverRequest) (api.Vouched, error) {
	reply, err := b.loop.ask(ctx, core.Vouch{Off: r.Off, Reason: r.Reason, DryRun: r.DryRun})
	if err != nil {
		return api.Vouched{}, err
	}
	said, _ := reply.(core.Vouched)
	return api.Vouched{
		Before: said.Before, Was: said.Was, Epoch: said.Epoch, Voter: said.Voter, Copies: said.Copies,
		Forgotten: append([]string{}, said.Off...), DryRun: r.DryRun, CAKey: b.id.HasAuthority(),
	}, nil
}

// Administer says what people want of a node.
func (b *backend) Administer(ctx context.Context, a mesh.Administration) (int, error) {
	return b.kept(ctx, core.Administer{Administration: a})
}

// SetShare says how much of a node the mesh may have.
func (b *backend) SetShare(ctx context.Context, node mesh.NodeID, share mesh.Allowance) (int, error) {
	return b.kept(ctx, core.SetShare{Node: node, Share: share})
}

// Label gives labels to a node, and takes some away.
func (b *backend) Label(ctx context.Context, node mesh.NodeID, set map[string]string, remove []string) (int, error) {
	return b.kept(ctx, core.Label{Node: node, Set: set, Remove: remove})
}

// GiveUp has nobody give a node that is out of sight any time to come back.
func (b *backend) GiveUp(ctx context.Context, node mesh.NodeID, reason string) (int, error) {
	return b.kept(ctx, core.GiveUp{Node: node, Reason: reason})
}

// Judge is a person's word about a copy that waits for one.
func (b *backend) Judge(ctx context.Context, v mesh.Verdict) (int, error) {
	return b.kept(ctx, core.Judge{Alloc: v.Alloc, Approve: v.Approve, Reason: v.Reason})
}

// Version says what runs here.
func (b *backend) Version(context.Context) (api.Version, error) {
	return api.Version{
		Release: b.opts.Release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Node: b.self.Name, NodeID: b.self.ID, Mesh: b.id.Mesh(), StartedAt: b.self.StartedAt,
	}, nil
}

// Digest is a sum of the replicated state, and what was not let into it.
func (b *backend) Digest(ctx context.Context) (api.Digest, error) {
	d := api.Digest{Node: b.self.Name, NodeID: b.self.ID}
	err := b.loop.look(ctx, func(c *core.Core) {
		sum, entries, waiting := c.Digest()
		d.Digest, d.Entries, d.Waiting = sum.String(), entries, waiting
	})
	return d, err
}
