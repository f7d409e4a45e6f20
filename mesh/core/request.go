package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"mn/crdt"
	"mn/mesh"
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
	case Submit:
		reply.Value, e, reply.Fault = c.submit(call)
	case PutToken:
		reply.Value, e = Kept{}, c.put(mesh.KeyToken(call.Token.ID), call.Token, crdt.Fence{})
	case Admit:
		reply.Value, e, reply.Fault = c.admit(call)
	case Evict:
		reply.Value, e, reply.Fault = c.evict(call)
	}
	if reply.Fault != nil || e.Key == "" {
		c.reply(reply, 1)
		return
	}
	c.wait(reply, e)
}

// submit makes the next version of a job.
func (c *Core) submit(s Submit) (reply any, none crdt.Entry, f *mesh.Fault) {
	id := s.Stop
	if s.Job != nil {
		id = mesh.JobID(s.Job.Name)
	}
	current, exists := c.records.job(id)
	if s.Job == nil && !exists {
		return nil, none, mesh.Faultf(mesh.NotFound, "no job %q", id).Hint("mn job ls")
	}
	if s.Expect != nil && *s.Expect != current.Number {
		return nil, none, mesh.Faultf(mesh.Conflict, "job %q is at version %d, not %d", id, current.Number, *s.Expect)
	}
	next := mesh.JobVersion{
		Job: current.Job, Number: current.Number + 1, Parent: current.Hash,
		Stopped: s.Job == nil, At: c.now.Wall.UTC(), By: c.self,
	}
	if s.Job != nil {
		next.Job = *s.Job
	}
	content := mesh.HashJob(&next.Job, next.Stopped)
	if exists && content == mesh.HashJob(&current.Job, current.Stopped) {
		return Submitted{Version: current.JobVersion, Unchanged: true}, none, nil
	}
	next.Hash = versionHash(next.Number, next.Parent, content)
	key := mesh.KeyJob(id, next.Number, next.Hash)
	if f := fits(key, next); f != nil {
		return nil, none, f
	}
	e := c.put(key, next, crdt.Fence{})
	text := fmt.Sprintf("version %d", next.Number)
	if next.Stopped {
		text += ": stop"
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
		if c.name(id) == a.Member.Name && id != a.Member.ID {
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
