package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"mn/mesh"
	"mn/mesh/content"
	"mn/mesh/core"
	"mn/mesh/transport"
	"mn/runner/exec"
)

// Bounds of the content on a node.
const (
	savedMax       = 64 << 30 // of one checkpoint
	answersMax     = 32       // peers that are answered at once
	answerTime     = time.Minute
	fetchesMax     = 4 // at once
	collectContent = time.Minute
)

// contents keeps content for tasks and for other nodes.
type contents struct {
	d       *daemon
	store   *content.Store
	fetches chan struct{} // holds one for each fetch
	answers chan struct{} // and for each answer
}

func newContents(d *daemon, s *content.Store) *contents {
	return &contents{
		d: d, store: s, fetches: make(chan struct{}, fetchesMax), answers: make(chan struct{}, answersMax),
	}
}

// Save keeps a folder as it is; nil if somebody writes to it just then.
func (c *contents) Save(ctx context.Context, dir string) (*mesh.Checkpoint, error) {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("save folder: %w", err)
	}
	defer folder.Close()
	h, err := c.store.Pack(ctx, folder, content.Packing{BytesMax: savedMax})
	if errors.Is(err, content.ErrChanged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tree, err := c.store.Tree(h)
	if err != nil {
		return nil, err
	}
	return &mesh.Checkpoint{Tree: h.String(), Bytes: tree.Bytes()}, nil
}

// Restore writes what was saved into a folder, fetching what is not here, or not whole.
func (c *contents) Restore(ctx context.Context, from *mesh.Checkpoint, dir string) error {
	var h content.Hash
	if err := h.UnmarshalText([]byte(from.Tree)); err != nil {
		return err
	}
	nodes := from.Nodes
	if len(nodes) == 0 { // a job's files; many may ask for them now
		_ = c.d.loop.look(ctx, func(core *core.Core) { nodes = core.Keepers(from.Tree) })
		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	}
	sources := c.sources(ctx, nodes)
	err := c.store.Pull(ctx, h, sources, nil)
	if err == nil {
		if err = c.unpack(ctx, h, dir); errors.Is(err, content.ErrMissing) { // spoiled on the disk
			if err = c.store.Repair(ctx, h, sources); err == nil {
				err = c.unpack(ctx, h, dir)
			}
		}
	}
	if errors.Is(err, content.ErrMissing) && !errors.Is(err, content.ErrNoRoom) {
		c.d.log.Warn("restore content", "tree", from.Tree, "err", err)
		return exec.ErrMissing
	}
	return err
}

// lacks says which of some objects are not here. Those that are stay so for a while.
func (c *contents) lacks(objects []string) ([]string, error) {
	var not []string
	for _, name := range objects {
		var h content.Hash
		if err := h.UnmarshalText([]byte(name)); err != nil {
			return nil, mesh.Faultf(mesh.Invalid, "%v", err)
		}
		if !c.store.Touch(h) {
			not = append(not, name)
		}
	}
	return not, nil
}

// bring has the files of a job here, from whoever has them, and says what is wrong with
// what they are said to be.
func (c *contents) bring(ctx context.Context, p *mesh.Payload) error {
	var h content.Hash
	if err := h.UnmarshalText([]byte(p.Tree)); err != nil {
		return mesh.Faultf(mesh.Invalid, "the job's files: %v", err)
	}
	if err := c.store.Pull(ctx, h, c.sources(ctx, nil), nil); err != nil {
		return mesh.Faultf(mesh.Unavailable, "the job's files are not to be had: %v", err).
			Hint("mn job run FOLDER sends them")
	}
	tree, err := c.store.Tree(h)
	if err != nil {
		return err
	}
	if n := mesh.Bytes(tree.Bytes()); n != p.Bytes || len(tree.Entries) != p.Files {
		return mesh.Faultf(mesh.Invalid, "the job's files are %d with %v, not %d with %v",
			len(tree.Entries), n, p.Files, p.Bytes)
	}
	return nil
}

// unpack writes what is here into a folder, and nothing else is in it then.
func (c *contents) unpack(ctx context.Context, h content.Hash, dir string) error {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("restore folder: %w", err)
	}
	defer folder.Close()
	before, err := fs.ReadDir(folder.FS(), ".")
	for _, entry := range before {
		err = errors.Join(err, folder.RemoveAll(entry.Name()))
	}
	if err != nil {
		return fmt.Errorf("restore folder: %w", err)
	}
	return c.store.Unpack(ctx, h, folder)
}

// sources are the nodes to ask for content: those in sight that are said to have it, and
// then others, for what is said may be old.
func (c *contents) sources(ctx context.Context, first []mesh.NodeID) []content.Source {
	var others []mesh.NodeID
	sees := map[mesh.NodeID]bool{}
	_ = c.d.loop.look(ctx, func(core *core.Core) { // without an answer nobody is asked
		for _, m := range core.Members() {
			if m.ID != c.d.self.ID && core.Sees(m.ID) {
				sees[m.ID] = true
				if !slices.Contains(first, m.ID) {
					others = append(others, m.ID)
				}
			}
		}
	})
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	var list []content.Source
	for _, id := range slices.Concat(first, others) {
		if sees[id] {
			list = append(list, content.Dial(func(ctx context.Context) (io.ReadWriteCloser, error) {
				return c.d.net.Open(ctx, id, transport.KindContent)
			}))
		}
	}
	return list
}

// fetch brings content here, and tells the core what came of it.
func (c *contents) fetch(ctx context.Context, wg *sync.WaitGroup, f core.Fetch) {
	wg.Go(func() {
		select {
		case c.fetches <- struct{}{}:
			defer func() { <-c.fetches }()
		case <-ctx.Done():
			return
		}
		said := core.Fetched{Tree: f.Tree}
		var h content.Hash
		err := h.UnmarshalText([]byte(f.Tree))
		if err == nil {
			err = c.store.Pull(ctx, h, c.sources(ctx, f.From), nil)
		}
		if err != nil {
			said.Err = err.Error()
			c.d.log.Warn("fetch content", "tree", f.Tree, "err", err)
		}
		c.d.loop.tell(said)
	})
}

// serve answers peers that ask for content, until ctx ends.
func (c *contents) serve(ctx context.Context, wg *sync.WaitGroup) {
	l := c.d.net.Listener(transport.KindContent)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		stream, err := l.Accept()
		if err != nil {
			return
		}
		c.answers <- struct{}{}
		wg.Go(func() {
			defer func() { <-c.answers }()
			defer stream.Close()
			_ = stream.SetDeadline(time.Now().Add(answerTime))
			if err := c.store.Answer(stream); err != nil {
				c.d.log.Debug("answer for content", "peer", transport.PeerOf(stream), "err", err)
			}
		})
	}
}

// collect gives back the room of what nobody wants, now and then.
func (c *contents) collect(ctx context.Context) {
	ticks := time.NewTicker(collectContent)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		var names []string
		if err := c.d.loop.look(ctx, func(core *core.Core) { names = core.Trees() }); err != nil {
			return
		}
		var wanted []content.Hash
		for _, name := range names {
			var h content.Hash
			if h.UnmarshalText([]byte(name)) == nil {
				wanted = append(wanted, h)
			}
		}
		spare, err := c.store.Spare()
		var got content.Collected
		if err == nil {
			got, err = c.store.Collect(wanted, spare)
		}
		if err != nil && !errors.Is(err, content.ErrBusy) {
			c.d.log.Warn("give room back", "err", err)
		} else if got.Removed > 0 {
			c.d.log.Info("content removed", "bytes", got.Removed, "kept", got.Bytes)
		}
	}
}
