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
)

// outside gets what is fetched for tasks from where the job says, or from who has it already.
type outside struct {
	from *fetch.Fetcher
	dir  string

	mu   sync.Mutex
	busy map[content.Hash]chan struct{} // what is being fetched; closed when it has come, or not
}

// newOutside removes what an agent that died was fetching.
func newOutside(d *daemon) (*outside, error) {
	data := filepath.Dir(d.allocs())
	dir := filepath.Join(data, fetchDir)
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("make folder of what is fetched: %w", err)
	}
	f := fetch.New(d.cfg.Artifacts, []string{data}, dir, d.opts.Release)
	return &outside{from: f, dir: dir, busy: map[content.Hash]chan struct{}{}}, nil
}

// alone waits until nobody else fetches the same, and says when it may be fetched again.
func (o *outside) alone(ctx context.Context, name content.Hash) (done func(), err error) {
	for {
		o.mu.Lock()
		other := o.busy[name]
		if other == nil {
			mine := make(chan struct{})
			o.busy[name] = mine
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.busy, name)
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
func (c *contents) Artifact(ctx context.Context, a *mesh.Artifact, progress func(have, all int64)) (string, error) {
	slow := fmt.Errorf("it has not come within %v: set its timeout, if it takes so long", mesh.Duration(a.Limit()))
	ctx, cancel := context.WithTimeoutCause(ctx, a.Limit(), slow)
	defer cancel()
	tree, err := c.artifact(ctx, a, progress)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", exec.Unfetched{Err: err, Final: fetch.IsFinal(err)}
	}
	return tree.String(), nil
}

func (c *contents) artifact(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (tree content.Hash, err error) {
	name := content.Hash(a.Name())
	if a.Pinned() {
		done, err := c.outside.alone(ctx, name)
		if err != nil {
			return tree, err
		}
		defer done()
		if tree, ok := c.known(ctx, name, progress); ok {
			return tree, nil
		}
		if !a.IsGit() { // of a commit nobody could tell whether it is what it is said to be
			if tree, ok := c.fromPeers(ctx, a, progress); ok {
				return tree, c.store.Name(name, tree)
			}
		}
	}
	if a.IsGit() {
		tree, err = c.clone(ctx, a)
	} else {
		tree, err = c.download(ctx, a, progress)
	}
	if err == nil && a.Pinned() {
		err = c.store.Name(name, tree)
	}
	return tree, err
}

// known is what has been fetched before. What was given back of it since is asked for again.
func (c *contents) known(ctx context.Context, name content.Hash, progress func(have, all int64)) (content.Hash, bool) {
	tree, ok := c.store.Named(name)
	if !ok {
		return tree, false
	}
	if c.store.Pull(ctx, tree, nil, nil) == nil {
		return tree, true
	}
	return tree, c.store.Pull(ctx, tree, c.sources(ctx, nil), progress) == nil
}

// fromPeers asks other nodes for a file. That it is the one is seen by its checksum.
func (c *contents) fromPeers(
	ctx context.Context, a *mesh.Artifact, progress func(have, all int64),
) (content.Hash, bool) {
	name := content.Hash(a.Name())
	sources := c.sources(ctx, nil)
	for _, source := range sources[:min(len(sources), peersAsked)] {
		peer, ok := source.(content.Dial)
		if !ok || ctx.Err() != nil {
			continue
		}
		tree, ok := c.listed(ctx, peer, name, a.Most())
		if !ok {
			continue
		}
		err := c.store.Pull(ctx, tree, append([]content.Source{peer}, sources...), progress)
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

// listed is the list of files that a peer has by a name, if it is not too much.
func (c *contents) listed(ctx context.Context, peer content.Dial, name content.Hash, most int64) (content.Hash, bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	tree, ok, err := peer.Named(ctx, name)
	if err != nil || !ok {
		return tree, false
	}
	// What has gone wrong shows by what has come: a peer may be gone once it has answered.
	_ = peer.Fetch(ctx, []content.Hash{tree}, func(object []byte) error {
		_, err := c.store.Put(object)
		return err
	})
	list, err := c.store.Tree(tree)
	return tree, err == nil && list.Bytes() <= most
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
