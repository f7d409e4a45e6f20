package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mn/mesh"
	"mn/mesh/content"
	"mn/mesh/fetch"
	"mn/runner/exec"
)

// Bounds of what is fetched from outside.
const (
	fetchDir   = "fetch" // in the data folder: what is being fetched, and is nobody's to see
	peersAsked = 8       // for a file, before its source is
	askTime    = 10 * time.Second

	peersPart = 2                // of the time for a file: its source has at least the rest;
	peersTime = 30 * time.Minute // at most, for while content comes nothing of it is collected
	paceTime  = 20 * time.Second
	paceBytes = content.PieceBytes // have to come in each paceTime
)

// errTrickle says that others give too little for the source not to be asked.
var errTrickle = fmt.Errorf("less than %d KiB have come within %v", paceBytes>>10, paceTime)

// outside gets what is fetched for tasks from where the job says, or from who has it already.
type outside struct {
	from *fetch.Fetcher
	dir  string

	mu   sync.Mutex
	busy map[errand]chan struct{} // what is being fetched; closed when it has come, or not
}

// errand is what is fetched, and from where: who names a slow server for a file must not keep
// those waiting who name another one for the same.
type errand struct {
	name   content.Hash
	source string
}

// newOutside removes what an agent that died was fetching. What cannot be removed is in nobody's way.
func newOutside(d *daemon) (*outside, error) {
	data := filepath.Dir(d.allocs())
	base := filepath.Join(data, fetchDir)
	if err := os.RemoveAll(base); err != nil {
		d.log.Warn("remove what was being fetched", "err", err)
	}
	var dir string
	mode := os.FileMode(0o711) // git's user has a folder in it
	if fetch.Closed() {
		mode = 0o700
	}
	err := cmp.Or(os.MkdirAll(base, mode), os.Chmod(base, mode))
	if err == nil {
		dir, err = os.MkdirTemp(base, "")
	}
	if err = cmp.Or(err, os.Chmod(dir, 0o711)); err != nil {
		return nil, fmt.Errorf("make folder of what is fetched: %w", err)
	}
	f := fetch.New(d.cfg.Artifacts, []string{data}, dir, d.opts.Release)
	return &outside{from: f, dir: dir, busy: map[errand]chan struct{}{}}, nil
}

// alone waits until nobody else fetches the same, and says when it may be fetched again.
func (o *outside) alone(ctx context.Context, what errand) (done func(), err error) {
	for {
		o.mu.Lock()
		other := o.busy[what]
		if other == nil {
			mine := make(chan struct{})
			o.busy[what] = mine
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.busy, what)
				o.mu.Unlock()
				close(mine)
			}, nil
		}
		o.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Artifact implements [exec.Content].
func (c *contents) Artifact(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (tree, from string, err error) {
	slow := fmt.Errorf("it has not come within %v: set its timeout, if it takes so long", mesh.Duration(a.Limit()))
	ctx, cancel := context.WithTimeoutCause(ctx, a.Limit(), slow)
	defer cancel()
	got, from, err := c.artifact(ctx, a, progress)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", "", exec.Unfetched{Err: err, Final: fetch.IsFinal(err)}
	}
	return got.String(), from, nil
}

func (c *contents) artifact(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (tree content.Hash, from string, err error) {
	if a.Pinned() {
		done, err := c.outside.alone(ctx, errand{content.Hash(a.Name()), a.Source})
		if err != nil {
			return tree, "", err
		}
		defer done()
		if tree, from, ok := c.fromMesh(ctx, a, progress); ok {
			return tree, from, nil
		}
	}
	if a.IsGit() {
		tree, err = c.clone(ctx, a)
	} else {
		tree, err = c.download(ctx, a, progress)
	}
	if err == nil {
		err = c.name(a, tree)
	}
	return tree, "", err
}

// name has others find it, on this node or on another. Of a commit nobody else could tell whether
// it is what it is said to be, nor who may have it.
func (c *contents) name(a *mesh.Artifact, tree content.Hash) error {
	switch {
	case !a.Pinned():
		return nil
	case a.IsGit():
		return c.store.NameOwn(content.Hash(a.Name()), tree)
	}
	return c.store.Name(content.Hash(a.Name()), tree)
}

// Where an artifact has come from, if not from its source.
const (
	fromHere  = ", which this node has fetched before"
	fromOther = " from another node, which has fetched it before"
)

// fromMesh is what this node has fetched before, or another has. However others behave, there is
// time left then to ask the source.
func (c *contents) fromMesh(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (tree content.Hash, from string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, min(a.Limit()/peersPart, peersTime))
	defer cancel()
	if tree, ok = c.known(ctx, a, progress); ok || a.IsGit() {
		return tree, fromHere, ok
	}
	tree, ok = c.fromPeers(ctx, a, progress)
	if ok && c.name(a, tree) != nil {
		return tree, "", false // the disk is full, or broken: what the source gives will say so
	}
	return tree, fromOther, ok
}

// known is what has been fetched before. What was given back of it since is asked for again.
func (c *contents) known(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (content.Hash, bool) {
	tree, ok := c.store.Named(content.Hash(a.Name()))
	if !ok {
		return tree, false
	}
	if list, err := c.store.Tree(tree); err != nil || list.Bytes() > a.Most() {
		return tree, false // another job's max_size was larger
	}
	if c.store.Pull(ctx, tree, nil, nil) == nil {
		return tree, true
	}
	return tree, c.pull(ctx, tree, c.sources(ctx, nil), progress) == nil
}

// pull is a Pull that ends when too little comes.
func (c *contents) pull(
	ctx context.Context, tree content.Hash, from []content.Source, progress func(have, all int64),
) error {
	ctx, pace := newPace(ctx, progress)
	defer pace.stop()
	return c.store.Pull(ctx, tree, from, pace.progress)
}

// pace gives something up that comes too slowly.
type pace struct {
	tell   func(have, all int64)
	slow   *time.Timer
	cancel context.CancelCauseFunc
	last   int64 // bytes that were here when the time began anew; Pull tells of one at a time
}

func newPace(ctx context.Context, tell func(have, all int64)) (context.Context, *pace) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pace{tell: tell, cancel: cancel}
	p.slow = time.AfterFunc(paceTime, func() { cancel(errTrickle) })
	return ctx, p
}

func (p *pace) stop() {
	p.slow.Stop()
	p.cancel(nil)
}

func (p *pace) progress(have, all int64) {
	if have-p.last >= paceBytes {
		p.last = have
		p.slow.Reset(paceTime)
	}
	p.tell(have, all)
}

// fromPeers asks other nodes for a file. That it is the one is seen by its checksum. All that they
// may send together, before it is seen, is as much as the file may have.
func (c *contents) fromPeers(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (content.Hash, bool) {
	name, left := content.Hash(a.Name()), a.Most()
	sources := c.sources(ctx, nil)
	for _, source := range sources[:min(len(sources), peersAsked)] {
		peer, ok := source.(content.Dial)
		if !ok || ctx.Err() != nil {
			continue
		}
		tree, bytes, ok := c.listed(ctx, peer, name)
		if !ok || bytes > left {
			continue
		}
		left -= bytes
		err := c.pull(ctx, tree, append([]content.Source{peer}, sources...), progress)
		var got content.Kept
		if err == nil {
			got, err = c.store.Adopt(ctx, tree, a.Most())
		}
		if err == nil && got.Sum == name {
			return got.Tree, true
		}
		c.d.log.Warn("fetch artifact from peer", "sum", got.Sum.String(), "want", name.String(), "err", err)
	}
	return content.Hash{}, false
}

// listed is the list of files that a peer has by a name, and how much that is.
func (c *contents) listed(
	ctx context.Context, peer content.Dial, name content.Hash,
) (tree content.Hash, bytes int64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	tree, ok, err := peer.Named(ctx, name)
	if err != nil || !ok {
		return tree, 0, false
	}
	// What has gone wrong shows by what has come: a peer may be gone once it has answered.
	_ = peer.Fetch(ctx, []content.Hash{tree}, func(object []byte) error {
		if content.HashOf(object) != tree {
			return errors.New("it gave what it was not asked for")
		}
		_, err := c.store.Put(object)
		return err
	})
	list, err := c.store.Tree(tree)
	if err != nil {
		return tree, 0, false
	}
	return tree, list.Bytes(), true
}

// download fetches a file from its source.
func (c *contents) download(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (tree content.Hash, err error) {
	r, size, err := c.outside.from.Open(ctx, a)
	if err != nil {
		return tree, err
	}
	defer r.Close()
	large := fetch.Final(fmt.Errorf("it is larger than %v: set max_size, if that is right", mesh.Bytes(a.Most())))
	if size > a.Most() {
		return tree, large
	}
	got, err := c.store.Keep(ctx, r, a.Most(), func(have int64) { progress(have, max(size, 0)) })
	switch {
	case errors.Is(err, content.ErrTooLong):
		return tree, large
	case err != nil:
		return tree, err
	case a.Pinned() && got.Sum != content.Hash(a.Name()):
		return tree, fetch.Final(fmt.Errorf("its checksum is sha256:%v, and the job wants %s: "+
			"it is another file, or the job's checksum is wrong", got.Sum, a.Checksum))
	}
	return got.Tree, nil
}

// clone fetches the files of a commit.
func (c *contents) clone(ctx context.Context, a *mesh.Artifact) (tree content.Hash, err error) {
	dir, err := os.MkdirTemp(c.outside.dir, "files-")
	if err != nil {
		return tree, fmt.Errorf("make a folder for the files: %w", err)
	}
	defer os.RemoveAll(dir)
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return tree, fmt.Errorf("open the folder for the files: %w", err)
	}
	defer folder.Close()
	err = c.outside.from.Clone(ctx, a, folder)
	if err == nil {
		tree, err = c.store.Pack(ctx, folder, content.Packing{BytesMax: a.Most()})
	}
	return tree, cmp.Or(err, ctx.Err())
}
