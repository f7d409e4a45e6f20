package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"unicode/utf8"

	"mn/crdt"
	"mn/mesh"
	"mn/placement/reconcile"
)

// asked takes what people want changed. The write is durable here before the
// answer goes out, and on one more node if there is one in sight.
func (c *Core) asked(a Asked) {
	var (
		reply = Reply{ID: a.ID}
		e     crdt.Entry
	)
	if c.out != "" {
		c.reply(Reply{ID: a.ID, Fault: mesh.Faultf(mesh.Denied, "%s", c.out).Hint("ask another node")}, 1)
		return
	}
	switch call := a.Call.(type) {
	case Share:
		reply.Value = Kept{}
		c.share(reply, call.Tree)
		return
	case Submit:
		reply.Value, e, reply.Fault = c.submit(call)
	case Act:
		reply.Value, e, reply.Fault = c.act(call)
	case Scale:
		reply.Value, e, reply.Fault = c.scale(call)
	case Tag:
		reply.Value, e, reply.Fault = c.tag(call)
	case PutToken:
		reply.Value, e = Kept{}, c.put(mesh.KeyToken(call.Token.ID), call.Token, crdt.Fence{})
	case Admit:
		reply.Value, e, reply.Fault = c.admit(call)
	case Administer:
		reply.Value, e, reply.Fault = c.administer(call.Administration)
	case SetShare:
		reply.Value, e, reply.Fault = c.setShare(call)
	case Label:
		reply.Value, e, reply.Fault = c.label(call)
	case GiveUp:
		reply.Value, e, reply.Fault = c.giveUp(call)
	case Emit:
		reply.Value, e, reply.Fault = c.emit(call)
	case RunNow:
		reply.Value, e, reply.Fault = c.runNow(call)
	case Judge:
		reply.Value, e, reply.Fault = c.judge(call)
	case Steer:
		reply.Value, e, reply.Fault = c.steer(call)
	case Rollback:
		reply.Value, e, reply.Fault = c.rollback(call)
	case Evict:
		reply.Value, e, reply.Fault = c.evict(call)
	case Vouch:
		reply.Value, e, reply.Fault = c.vouch(call)
	}
	if reply.Fault != nil || e.Key == "" {
		c.reply(reply, 1)
		return
	}
	c.wait(reply, e)
}

// submit makes the next version of a job, with a content.
func (c *Core) submit(s Submit) (reply any, none crdt.Entry, f *mesh.Fault) {
	current, exists := c.records.job(mesh.JobID(s.Job.Name))
	if f := expected(&current, s.Job.Name, s.Expect); f != nil {
		return nil, none, f
	}
	next := current.NextRun(s.Job)
	next.Forced = s.Force && len(s.Job.Requires) > 0
	if exists && !current.Stopped && !current.Paused &&
		mesh.HashJob(&next.Job, false) == mesh.HashJob(&current.Job, false) && !(next.Forced && c.unready(&current)) {
		return Submitted{Version: current.JobVersion, Unchanged: true}, none, nil
	}
	if s.Verb != "" {
		next.Verb = s.Verb
	}
	next.Reason = s.Reason
	return c.version(next)
}

// unready says whether a job does not begin for want of a service.
func (c *Core) unready(job *mesh.JobView) bool {
	plan, _, _ := c.Outlook(job)
	return plan.Unready != ""
}

// act makes the next version of a job by a verb, if the verb makes sense now.
func (c *Core) act(a Act) (reply any, none crdt.Entry, f *mesh.Fault) {
	current, f := c.toChange(a.Job, a.Expect)
	if f != nil {
		return nil, none, f
	}
	changes, f := c.may(&current, a)
	if f != nil {
		return nil, none, f
	}
	if !changes {
		return Submitted{Version: current.JobVersion, Unchanged: true}, none, nil
	}
	next := current.Next(a.Verb)
	if a.All {
		next.Since = 0
	}
	next.Reason = a.Reason
	return c.version(next)
}

// scale makes the next version of a job with another number of copies, if it is one
// that goes on.
func (c *Core) scale(s Scale) (reply any, none crdt.Entry, f *mesh.Fault) {
	current, f := c.toChange(s.Job, s.Expect)
	if f != nil {
		return nil, none, f
	}
	job, group, f := current.Job.Scaled(s.Group, s.Count)
	if f != nil {
		return nil, none, f
	}
	if f := job.Check(); f != nil {
		return nil, none, f
	}
	if _, f := c.may(&current, Act{Job: s.Job, Verb: mesh.VerbScale}); f != nil {
		return nil, none, f
	}
	if mesh.HashJob(&job, false) == mesh.HashJob(&current.Job, false) {
		return Submitted{Version: current.JobVersion, Unchanged: true}, none, nil
	}
	next := current.NextScale(&job, mesh.ScaledTo(group, s.Count))
	next.Reason = s.Reason
	return c.version(next)
}

// toChange is a job that there is, at the version that is expected.
func (c *Core) toChange(id mesh.JobID, expect *uint64) (mesh.JobView, *mesh.Fault) {
	current, exists := c.records.job(id)
	if !exists {
		return current, mesh.Faultf(mesh.NotFound, "no job %q", id).Hint("mn job ls")
	}
	return current, expected(&current, string(id), expect)
}

func expected(current *mesh.JobView, name string, number *uint64) *mesh.Fault {
	if number == nil || *number == current.Number {
		return nil
	}
	return mesh.Faultf(mesh.Conflict, "job %q is at version %d, not %d", name, current.Number, *number).
		Hint("mn job diff %s shows what has changed", name)
}

// may says whether a verb changes anything about a job, or why it cannot be
// done to it now.
func (c *Core) may(job *mesh.JobView, a Act) (changes bool, f *mesh.Fault) {
	plan, _, _ := c.Outlook(job)
	conflict := func(is string) *mesh.Fault { return mesh.Faultf(mesh.Conflict, "job %q %s", a.Job, is) }
	over := plan.Status == mesh.JobCompleted || plan.Status == mesh.JobFailed && !c.lives(a.Job)
	switch {
	case a.Verb == mesh.VerbCancel && job.Job.Type.Long():
		return false, mesh.Faultf(mesh.Invalid, "job %q is a %s: only batch work is cancelled", a.Job, job.Job.Type).
			Hint("mn job stop %s", a.Job)
	case a.Verb == mesh.VerbStop:
		return !job.Stopped, nil
	case a.Verb == mesh.VerbCancel && job.Stopped:
		return job.Verb != mesh.VerbCancel, nil
	case a.Verb == mesh.VerbRetry && plan.Status == mesh.JobCompleted && !a.All:
		return false, conflict("has completed: nothing of it is to be tried again").
			Hint("mn job retry --all %s runs all of it again", a.Job)
	case a.Verb == mesh.VerbRetry:
		return a.All || plan.Status != mesh.JobRunning || c.ailing(&plan), nil
	case job.Stopped && job.Job.Template():
		return false, noLongerDue(a.Job, plan.Status)
	case job.Stopped:
		return false, conflict("is "+string(plan.Status)).Hint("mn job run starts it again, from its file").
			Hint("mn job retry %s runs what of it has not completed", a.Job)
	case over && !job.Paused:
		return false, conflict("has ended: "+string(plan.Status)).Hint("mn job retry %s", a.Job)
	case a.Verb == mesh.VerbResume && !job.Paused && plan.Status == mesh.JobPaused:
		return false, conflict("was paused by nobody: it waits since a failure, "+plan.Text).
			Hint("mn job retry %s", a.Job)
	case a.Verb == mesh.VerbCancel, a.Verb == mesh.VerbScale:
		return true, nil
	}
	return job.Paused != (a.Verb == mesh.VerbPause), nil
}

// noLongerDue says of a stopped job of which only runs have copies how it comes back.
func noLongerDue(id mesh.JobID, is mesh.JobStatus) *mesh.Fault {
	return mesh.Faultf(mesh.Conflict, "job %q is %s: no runs are made of it", id, is).
		Hint("mn job retry %s has it back as it was; mn job run, or mn schedule create, from its file", id)
}

// ailing says whether there is something to try again of a job that runs: a copy that has
// failed, or that the policies have restarted, or that waits.
func (c *Core) ailing(plan *reconcile.Plan) bool {
	if len(plan.Blocked)+len(plan.Waiting)+len(plan.Reviews) > 0 {
		return true
	}
	tried := func(t mesh.TaskStatus) bool { return len(t.RestartedAt) > 0 || t.Restarts > 0 }
	return slices.ContainsFunc(c.records.allocsOf(plan.Job), func(a mesh.AllocView) bool {
		switch a.State() {
		case mesh.Failed, mesh.TimedOut, mesh.Backoff:
			return true
		}
		return a.Status != nil && slices.ContainsFunc(a.Status.Tasks, tried)
	})
}

// lives says whether a copy of a job has not ended.
func (c *Core) lives(id mesh.JobID) bool {
	return slices.ContainsFunc(c.records.allocsOf(id), func(a mesh.AllocView) bool { return !a.State().Final() })
}

// version takes a version of a job.
func (c *Core) version(next mesh.JobVersion) (reply any, none crdt.Entry, f *mesh.Fault) {
	id := mesh.JobID(next.Job.Name)
	if len(next.Reason) > mesh.ReasonMax || !utf8.ValidString(next.Reason) {
		return nil, none, mesh.Faultf(mesh.Invalid, "the reason is not UTF-8 text of at most %d bytes", mesh.ReasonMax)
	}
	next.By = c.self
	next.Date(c.now.Wall, c.records.allocsOf(id))
	next.Hash = versionHash(next.Number, next.Parent, next.Content())
	key := mesh.KeyJob(id, next.Number, next.Hash)
	if f := fits(key, next); f != nil {
		return nil, none, f
	}
	e := c.put(key, next, crdt.Fence{})
	text := fmt.Sprintf("version %d", next.Number)
	if next.Verb != mesh.VerbRun {
		text += ": " + string(next.Verb)
	}
	if next.Forced && next.Verb == mesh.VerbRun {
		text += ", forced: it waits for no service that it requires"
	}
	if next.Reason != "" {
		text += ": " + next.Reason
	}
	c.event(mesh.Event{Kind: mesh.JobSubmitted, Job: id, Text: text})
	return Submitted{Version: next}, e, nil
}

// fits says why a record whose size is up to people cannot be written, if so.
func fits(key string, record any) *mesh.Fault {
	value, err := crdt.Encode(record)
	if err == nil {
		err = crdt.Check(key, value)
	}
	if err != nil {
		return mesh.Faultf(mesh.Invalid, "%v", err)
	}
	return nil
}

// versionHash names a version: by its content and its place in the history, so
// that going back to an earlier content is a version of its own.
func versionHash(number uint64, parent, content string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s/%s", number, parent, content))
	return hex.EncodeToString(sum[:8])
}

// admit lets a node in that holds a good token and a name of its own.
func (c *Core) admit(a Admit) (reply any, none crdt.Entry, f *mesh.Fault) {
	if f := c.checkToken(a); f != nil {
		return nil, none, f
	}
	if _, evicted := c.records.evicted[a.Member.ID]; evicted {
		return nil, none, mesh.Faultf(mesh.Denied, "the mesh has evicted node %s", a.Member.ID.Short()).
			Hint("join with a new data directory, and so with a new key")
	}
	for id := range c.records.members {
		if c.name(id) == a.Member.Name && id != a.Member.ID && !c.forgotten(id) {
			return nil, none, mesh.Faultf(mesh.Conflict, "the name %q is taken by node %s", a.Member.Name, id.Short()).
				Hint("choose another with --name")
		}
	}
	a.Member.By, a.Member.AdmittedAt = c.self, c.now.Wall.UTC()
	e := c.put(mesh.KeyMember(a.Member.ID), a.Member, crdt.Fence{})
	c.event(mesh.Event{
		Kind: mesh.NodeAdmitted, Peer: a.Member.ID, Text: a.Member.Name + ", with token " + a.Member.Token,
	})
	return Kept{}, e, nil
}

// checkToken says why a token is not good for a node, if it is not. A node
// that has used it may use it again: its first answer may have been lost.
func (c *Core) checkToken(a Admit) *mesh.Fault {
	t, ok := c.records.tokens[a.Member.Token]
	used := 0
	for _, m := range c.records.members {
		if m.Token == a.Member.Token && m.ID != a.Member.ID {
			used++
		}
	}
	switch {
	case !ok || !bytes.Equal(t.Hash, a.Secret):
		return mesh.Faultf(mesh.Denied, "the token is not of this mesh, or was mistyped")
	case t.Revoked:
		return mesh.Faultf(mesh.Denied, "the token was revoked")
	case !c.now.Wall.Before(t.ExpiresAt):
		return mesh.Faultf(mesh.Denied, "the token expired at %s", t.ExpiresAt.UTC().Format("2006-01-02 15:04:05 UTC")).
			Hint("mn mesh token create")
	case used >= t.Uses:
		return mesh.Faultf(mesh.Denied, "the token is used up: %d of %d uses", used, t.Uses).
			Hint("mn mesh token create --uses N")
	}
	return nil
}
