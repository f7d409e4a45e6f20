package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"mn/health/clock"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/content"
	"mn/mesh/core"
	"mn/mesh/transport"
	"mn/runner"
	"mn/runner/files"
)

// Bounds of what people do within copies, on a node and through it.
const (
	execsMax = 64 // conversations with commands
	sendsMax = 32 // files and folders that are sent
	listsMax = 32 // folders that are listed
)

// within are the places of what people do within copies.
type within struct {
	execs chan struct{}
	sends chan struct{}
	lists chan struct{}
}

func newWithin() within {
	return within{
		execs: make(chan struct{}, execsMax), sends: make(chan struct{}, sendsMax),
		lists: make(chan struct{}, listsMax),
	}
}

// takePlace takes a place; the caller gives it back.
func takePlace(places chan struct{}, what string) (giveBack func(), err error) {
	select {
	case places <- struct{}{}:
		return sync.OnceFunc(func() { <-places }), nil
	default:
		return nil, mesh.Faultf(mesh.Unavailable, "%d %s at a time are as many as this node takes", cap(places), what).
			Hint("ask another node, or again later")
	}
}

// wish is the task of a copy that is asked for.
type wish struct {
	job   mesh.JobID
	task  string
	alloc mesh.AllocID
	index string
	runs  bool // it must run
}

// foundTask is a task of a copy.
type foundTask struct {
	alloc mesh.AllocView
	task  string
	node  *mesh.NodeView // nil for this one
}

// find finds the task that is asked for: of the first copy that runs where it can be reached,
// or else of the last that has run; of one out of sight only if there is no such.
func (b *backend) find(ctx context.Context, w wish, local bool) (foundTask, error) {
	var view *mesh.View
	var f foundTask
	var name string
	var err error
	look := func(c *core.Core) {
		view = c.View()
		if f, err = pick(view, w); err == nil {
			name = c.NodeName(f.alloc.Node)
		}
	}
	if err := b.loop.look(ctx, look); err != nil {
		return foundTask{}, err
	}
	if err != nil || f.alloc.Node == b.self.ID {
		return f, err
	}
	f.node = view.Node(f.alloc.Node)
	switch {
	case local:
		return f, mesh.Faultf(mesh.NotFound, "the copy %s is on another node", f.alloc.ID)
	case !reached(view, f.alloc.Node):
		return f, unreached(view, &f.alloc, name)
	}
	return f, nil
}

// reached says whether a node can be asked for something now.
func reached(view *mesh.View, id mesh.NodeID) bool {
	n := view.Node(id)
	return id == view.Self || n != nil && n.Liveness == mesh.Alive && !n.Evicted
}

// unreached says why nothing is to be had of a copy on a node that cannot be asked. Of one
// that was forgotten no command knows any more, not even by its name.
func unreached(view *mesh.View, a *mesh.AllocView, name string) error {
	said := func(what string) *mesh.Fault {
		return mesh.Faultf(mesh.Unavailable, "the copy %s %s", a.ID, fmt.Sprintf(what, name))
	}
	switch n := view.Node(a.Node); {
	case view.Forgot(a.Node):
		return said("was on node %s, which is off for good").Hint("mn job status %s", a.Job)
	case n == nil:
		return said("is on node %s, of which nothing is known here yet").Hint("mn job status %s", a.Job)
	case n.Evicted:
		return said("is on node %s, which is evicted").Hint("mn node status %s", name)
	}
	return said("is on node %s, which is out of sight").Hint("mn node status %s", name)
}

// Files lists a folder of a copy.
func (b *backend) Files(ctx context.Context, r api.FilesRequest) (api.Listing, error) {
	giveBack, err := takePlace(b.within.lists, "folders")
	if err != nil {
		return api.Listing{}, err
	}
	defer giveBack()
	f, err := b.find(ctx, wish{job: r.Job, task: r.Task, alloc: r.Alloc, index: r.Index}, r.Local)
	if err != nil {
		return api.Listing{}, err
	}
	if f.node != nil {
		client := b.peerClient(f.node)
		defer client.Close() //nolint:errcheck // only idle connections
		r.Alloc, r.Task, r.Index, r.Local = f.alloc.ID, f.task, "", true
		return client.Files(ctx, r)
	}
	folder, err := b.folder(f, r.Shared)
	if err != nil {
		return api.Listing{}, err
	}
	defer folder.Close() //nolint:errcheck // it was only read
	list, more, err := folder.List(ctx, r.Path)
	return api.Listing{
		Alloc: f.alloc.ID, Task: f.task, Index: f.alloc.Index, Node: b.self.Name, NodeID: b.self.ID,
		Path: r.Path, Files: list, More: more,
	}, err
}

// folder opens the folder of a task here, or that which the copy's tasks share.
func (b *backend) folder(f foundTask, shared bool) (*files.Folder, error) {
	if !mesh.ValidName(string(f.alloc.ID)) || !mesh.ValidName(f.task) {
		return nil, mesh.Faultf(mesh.Invalid, "the task %q of copy %q has no name of a folder", f.task, f.alloc.ID)
	}
	name := runner.WorkDir(f.alloc.ID, f.task)
	if shared {
		name = runner.SharedDir(f.alloc.ID)
	}
	folder, err := files.Open(b.allocs(), name)
	if err != nil && f.alloc.State().Final() {
		return nil, mesh.Faultf(mesh.NotFound, "the files of copy %s are gone: others needed the room", f.alloc.ID)
	}
	if err != nil {
		return nil, mesh.Faultf(mesh.NotFound, "the task %q of copy %s has no files yet", f.task, f.alloc.ID).
			Hint("mn job status %s", f.alloc.Job)
	}
	return folder, nil
}

// SendFiles writes a file or a folder of a copy.
func (b *backend) SendFiles(ctx context.Context, r api.FilesRequest, w io.Writer) error {
	giveBack, err := takePlace(b.within.sends, "files and folders")
	if err != nil {
		return err
	}
	defer giveBack()
	f, err := b.find(ctx, wish{job: r.Job, task: r.Task, alloc: r.Alloc, index: r.Index}, r.Local)
	if err != nil {
		return err
	}
	if f.node == nil {
		folder, err := b.folder(f, r.Shared)
		if err != nil {
			return err
		}
		defer folder.Close() //nolint:errcheck // it was only read
		return folder.Send(ctx, r.Path, w)
	}
	client := b.peerClient(f.node)
	defer client.Close() //nolint:errcheck // only idle connections
	r.Alloc, r.Task, r.Index, r.Local = f.alloc.ID, f.task, "", true
	from, err := client.ReadFiles(ctx, r)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // it was only read
	_, err = io.Copy(w, from)
	return err
}

// putDir is the folder in the data folder in which files are that people send, until all
// have come.
const putDir = "put"

// emptyPut removes what an agent that died was being sent.
func (d *daemon) emptyPut() error {
	dir := filepath.Join(filepath.Dir(d.allocs()), putDir)
	if err := os.RemoveAll(dir); err != nil {
		d.log.Warn("remove what was being sent", "err", err) // it is in nobody's way
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)); err != nil {
		return fmt.Errorf("make folder of what is sent: %w", err)
	}
	return nil
}

// TakeFiles puts a file or a folder into a copy.
func (b *backend) TakeFiles(ctx context.Context, r api.FilesRequest, from io.Reader) (done mesh.Arrived, err error) {
	giveBack, err := takePlace(b.within.sends, "files and folders")
	if err != nil {
		return done, err
	}
	defer giveBack()
	f, err := b.find(ctx, wish{job: r.Job, task: r.Task, alloc: r.Alloc, index: r.Index}, r.Local)
	if err != nil {
		return done, err
	}
	if f.node != nil {
		client := b.peerClient(f.node)
		defer client.Close() //nolint:errcheck // only idle connections
		r.Alloc, r.Task, r.Index, r.Local = f.alloc.ID, f.task, "", true
		return client.SendFiles(ctx, r, from)
	}
	if f.alloc.State().Final() {
		return done, mesh.Faultf(mesh.Conflict, "copy %s has ended: nothing would read the files", f.alloc.ID).
			Hint("mn job status %s", f.alloc.Job)
	}
	work, err := b.folder(f, false)
	if err != nil {
		return done, err
	}
	defer work.Close() //nolint:errcheck // what was written there is closed
	put := files.Put{Path: r.Path, Base: r.Base, Spare: content.Spare}
	if put.UID, put.GID, err = work.Owner(); err != nil {
		return done, err
	}
	to, err := b.folder(f, r.Shared)
	if err != nil {
		return done, err
	}
	defer to.Close() //nolint:errcheck // as above
	if put.Aside, err = os.OpenRoot(filepath.Join(filepath.Dir(b.allocs()), putDir)); err != nil {
		return done, fmt.Errorf("open folder for what is sent: %w", err)
	}
	defer put.Aside.Close() //nolint:errcheck // as above
	if done, err = to.Put(from, put); err != nil {
		return done, err
	}
	deed := fmt.Sprintf("gives it %.64q, %v", done.Path, mesh.Bytes(done.Bytes))
	b.tellWithin(f, mesh.TaskGiven, api.ConnOf(ctx), deed)
	return done, nil
}

// Exec runs a command within a task.
func (b *backend) Exec(ctx context.Context, r api.ExecRequest) (io.ReadWriteCloser, error) {
	if len(r.Command) == 0 || r.Command[0] == "" {
		return nil, mesh.Faultf(mesh.Invalid, "the command is empty").Hint("mn exec %s -- sh", r.Job)
	}
	giveBack, err := takePlace(b.within.execs, "commands within tasks")
	if err != nil {
		return nil, err
	}
	conn, err := b.exec(ctx, r)
	if err != nil {
		giveBack()
		return nil, err
	}
	return &placed{conn, giveBack}, nil
}

func (b *backend) exec(ctx context.Context, r api.ExecRequest) (io.ReadWriteCloser, error) {
	f, err := b.find(ctx, wish{job: r.Job, task: r.Task, alloc: r.Alloc, index: r.Index, runs: true}, r.Local)
	if err != nil {
		return nil, err
	}
	if f.node != nil {
		client := b.peerClient(f.node)
		r.Alloc, r.Task, r.Index, r.Local = f.alloc.ID, f.task, "", true
		// Not with ctx, which is that of the request: what it begins goes on.
		conn, err := client.Exec(context.WithoutCancel(ctx), r)
		if err != nil {
			client.Close() //nolint:errcheck // only idle connections
		}
		return conn, err
	}
	conn, err := runner.Joiner(b.driver).Join(f.alloc.ID, f.task, runner.Command{
		Command: r.Command, Terminal: r.Terminal, Term: r.Term, Rows: r.Rows, Columns: r.Columns,
	})
	if errors.Is(err, runner.ErrNotRunning) {
		return nil, mesh.Faultf(mesh.Conflict, "the task %q of copy %s does not run any more", f.task, f.alloc.ID).
			Hint("mn job status %s", f.alloc.Job)
	}
	if err != nil {
		return nil, err
	}
	b.tellWithin(f, mesh.TaskJoined, api.ConnOf(ctx), fmt.Sprintf("runs %.64q within it", r.Command[0]))
	return conn, nil
}

// tellWithin tells of what is done within a task, that a peer has asked for, or somebody here.
func (b *backend) tellWithin(f foundTask, kind mesh.EventKind, asker net.Conn, deed string) {
	by := transport.PeerOf(asker)
	if by == "" {
		by = b.self.ID
	}
	e := mesh.Event{
		At: clock.Wall(), Node: b.self.ID, Kind: kind, Job: f.alloc.Job, Alloc: f.alloc.ID, Peer: by,
		Text: fmt.Sprintf("task %q: somebody %s, asked for at node %s", f.task, deed, by.Short()),
	}
	(&performer{log: b.log, events: b.history}).tell([]mesh.Event{e})
}

// placed is a conversation that has a place.
type placed struct {
	io.ReadWriteCloser
	giveBack func()
}

// Close ends the conversation.
func (p *placed) Close() error {
	p.giveBack()
	return p.ReadWriteCloser.Close()
}

// Over implements [api.Ender]. A conversation that another node has is over when it ends.
func (p *placed) Over() <-chan struct{} {
	if e, ok := p.ReadWriteCloser.(api.Ender); ok {
		return e.Over()
	}
	return nil
}
