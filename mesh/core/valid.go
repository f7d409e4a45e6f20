package core

import (
	"fmt"
	"strings"

	"mn/crdt"
	"mn/mesh"
)

// Which records may be written, and which deleted, by whom: what others say is held against it
// before it is taken over.

// valid is the function of that name, which remembers what it has read.
func (r *records) valid(e crdt.Entry) error {
	if e.Deleted {
		if err := r.mayForget(e); err != nil {
			return err
		}
		return mayDelete(e)
	}
	rec, err := decode(e)
	if err != nil {
		return err
	}
	if err := mayWrite(e, rec); err != nil {
		return err
	}
	r.reads[e.Dot] = read{e.Value, rec}
	return nil
}

// valid says whether an entry may be taken over: its record decodes, stands
// under its own key, and was written by who may write its kind.
func valid(e crdt.Entry) error { return (&records{reads: reads{}}).valid(e) }

// mayWrite says whether a record stands under its own key, and was written by
// who may write its kind.
func mayWrite(e crdt.Entry, rec any) error {
	key, writer, granted := e.Key, e.Dot.Origin, false
	switch v := rec.(type) {
	case *mesh.JobVersion:
		key = mesh.KeyJob(mesh.JobID(v.Job.Name), v.Number, v.Hash)
		if n := v.Job.Copies(); n > mesh.CopiesMax { // a plan goes through them one by one
			return fmt.Errorf("record %q wants %d copies, more than %d", e.Key, n, mesh.CopiesMax)
		}
	case *mesh.Tag:
		key = mesh.KeyTag(v.Job, v.Name)
	case *mesh.Alloc:
		key, writer, granted = mesh.KeyAlloc(v.ID), string(v.Coordinator), true
	case *mesh.DegradedAlloc:
		key, writer = mesh.KeyDegraded(v.ID), string(v.Coordinator)
	case *mesh.Status:
		key, writer = mesh.KeyStatus(v.Alloc, v.Node), string(v.Node)
	case *mesh.Node:
		key, writer = mesh.KeyNode(v.ID), string(v.ID)
	case *mesh.Member:
		key = mesh.KeyMember(mesh.NodeIDOf(v.Key)) // nobody can take another's id
	case *mesh.Token:
		key = mesh.KeyToken(v.ID)
	case *mesh.Away:
		key = mesh.KeyAway(v.Node)
	case *mesh.Administration:
		key = mesh.KeyAdmin(v.Node)
	case *mesh.Sharing:
		key = mesh.KeySharing(v.Node)
	case *mesh.Labels:
		key = mesh.KeyLabels(v.Node)
	case *mesh.Verdict:
		key = mesh.KeyReview(v.Alloc)
	case *mesh.Permit:
		key, writer, granted = mesh.KeyPermit(v.Key, v.Alloc), string(v.Coordinator), true
	case *mesh.Queued:
		key, writer, granted = mesh.KeyQueued(v.Job), string(v.Coordinator), true
	case *mesh.Evicted:
		key = mesh.KeyEvicted(v.Node)
	case *mesh.Steering:
		key = mesh.KeySteering(v.Job, v.Version, v.Hash)
	case *mesh.Deployment:
		key, writer, granted = mesh.KeyDeployed(v.Job, v.Version, v.Hash), string(v.Coordinator), true
	case *mesh.Occurrence:
		key = mesh.KeyOccurred(v.ID)
	case *mesh.Firing:
		// Without a majority, too: it loses to one with it.
		key, writer, granted = mesh.KeyFired(v.Job, v.Run), string(v.Coordinator), e.Fence.Epoch > 0
	case *mesh.Due:
		key, writer, granted = mesh.KeyDue(v.Job), string(v.Coordinator), true
	case nil:
		return nil
	}
	switch {
	case key != e.Key:
		return fmt.Errorf("record %q says that it is %q", e.Key, key)
	case writer != e.Dot.Origin:
		return fmt.Errorf("record %q was written by %s, who may not", e.Key, e.Dot.Origin)
	case granted != (e.Fence.Epoch > 0):
		return fmt.Errorf("record %q stands under fence %v", e.Key, e.Fence)
	}
	return nil
}

// mayForget says whether a version of a job may be deleted: of a run alone. A side without a
// majority may forget those of eager jobs.
func (r *records) mayForget(e crdt.Entry) error {
	if mesh.Kind(e.Key) != mesh.PrefixJob {
		return nil
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(e.Key, mesh.PrefixJob), "/")
	v, known := r.versions[mesh.JobID(id)][e.Key]
	switch {
	case !mesh.MayBeRun(mesh.JobID(id)):
		return fmt.Errorf("delete of record %q, which is no run", e.Key)
	case !known:
	case v.Job.Origin == nil:
		return fmt.Errorf("delete of record %q, which is no run", e.Key)
	case e.Fence.Epoch == 0 && v.Job.Recovery.Partition() != mesh.Eager:
		return fmt.Errorf("record %q was deleted under fence %v", e.Key, e.Fence)
	}
	return nil
}

// mayDelete says whether an entry is a delete that its author may write. Kinds
// that this release does not know are left to those that do.
func mayDelete(e crdt.Entry) error {
	switch mesh.Kind(e.Key) {
	case mesh.PrefixToken, mesh.PrefixMember, mesh.PrefixEvicted, mesh.PrefixAdmin, mesh.PrefixNode,
		mesh.PrefixSharing, mesh.PrefixLabels, mesh.PrefixSteering, mesh.PrefixDeployed, mesh.PrefixDue:
		return fmt.Errorf("delete of record %q, whose kind is never deleted", e.Key)
	case mesh.PrefixStatus:
		if !strings.HasSuffix(e.Key, "/"+e.Dot.Origin) {
			return fmt.Errorf("record %q was deleted by %s, who may not", e.Key, e.Dot.Origin)
		}
	case mesh.PrefixAlloc, mesh.PrefixPermit, mesh.PrefixQueued, mesh.PrefixFired, mesh.PrefixOccurred:
		if e.Fence.Epoch == 0 {
			return fmt.Errorf("record %q was deleted under fence %v", e.Key, e.Fence)
		}
	}
	return nil
}
