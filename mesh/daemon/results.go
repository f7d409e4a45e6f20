package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/content"
	"mn/runner/logs"
)

// KeepFiles keeps the regular files of a folder that match; nil if somebody writes there.
func (c *contents) KeepFiles(ctx context.Context, dir string, patterns []string) (*mesh.Kept, error) {
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the task's folder: %w", err)
	}
	defer folder.Close()
	h, err := c.store.Pack(ctx, folder, content.Packing{
		Skip:     func(name string, dir bool) bool { return !mesh.Output(patterns, name, dir) },
		BytesMax: int64(mesh.OutputBytesMax), FilesMax: mesh.OutputFilesMax, Regular: true,
	})
	if errors.Is(err, content.ErrChanged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return c.kept(h)
}

// KeepTexts keeps some short texts by their names.
func (c *contents) KeepTexts(texts map[string][]byte) (*mesh.Kept, error) {
	h, err := c.store.PutTexts(texts)
	if err != nil {
		return nil, err
	}
	return c.kept(h)
}

func (c *contents) kept(h content.Hash) (*mesh.Kept, error) {
	tree, err := c.store.Tree(h)
	if err != nil {
		return nil, err
	}
	k := &mesh.Kept{Tree: h.String(), Bytes: tree.Bytes(), At: time.Now()}
	for i := range tree.Entries {
		if tree.Entries[i].Mode.IsRegular() {
			k.Files++
		}
	}
	return k, nil
}

// KeptFiles are the files of what is kept, wherever that is.
func (b *backend) KeptFiles(ctx context.Context, k *mesh.Kept) ([]api.File, error) {
	var h content.Hash
	if err := h.UnmarshalText([]byte(k.Tree)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	tree, err := b.content.store.PullTree(ctx, h, b.content.sources(ctx, k.Nodes))
	if err != nil {
		return nil, b.nowhere(err)
	}
	files := []api.File{}
	for i := range tree.Entries {
		if e := &tree.Entries[i]; e.Mode.IsRegular() {
			files = append(files, api.File{Path: e.Path, Size: mesh.Bytes(e.Size), Hash: e.Sum().String()})
		}
	}
	return files, nil
}

// Send writes the objects of what is kept, wherever that is.
func (b *backend) Send(ctx context.Context, k *mesh.Kept, w io.Writer) error {
	var h content.Hash
	if err := h.UnmarshalText([]byte(k.Tree)); err != nil {
		return err
	}
	return b.nowhere(b.content.store.Send(ctx, h, b.content.sources(ctx, k.Nodes), w))
}

// nowhere says of content that nobody in sight has that it is so.
func (b *backend) nowhere(err error) error {
	if errors.Is(err, content.ErrMissing) && !errors.Is(err, content.ErrNoRoom) {
		return mesh.Faultf(mesh.Unavailable, "no node in sight has all of it").
			Hint("mn result ls says which nodes have it")
	}
	return err
}

// left sends the ends of the logs that are kept elsewhere of the tasks of a node that does
// not answer, and says whether there are some.
func (l *logMerge) left(ctx context.Context, view *mesh.View, id mesh.NodeID) bool {
	some := false
	for _, a := range view.AllocsOf(l.r.Job) {
		if a.Node != id || a.Status == nil || l.r.Alloc != "" && a.ID != l.r.Alloc {
			continue
		}
		for i := range a.Status.Tasks {
			t := &a.Status.Tasks[i]
			if l.r.Task != "" && t.Name != l.r.Task {
				continue
			}
			line := api.LogLine{Alloc: a.ID, Task: t.Name, Index: a.Index, Node: nodeLabel(view, id), NodeID: id}
			if ends := t.Ends(); len(ends) > 0 {
				some = l.sendLeft(ctx, view, line, "its node does not answer", ends) || some
			}
			l.sendCause(ctx, line, t)
		}
	}
	return some
}

// note sends a line that is not of a task, but about its log.
func (l *logMerge) note(ctx context.Context, line api.LogLine, format string, args ...any) {
	line.Stream, line.Line = logs.Notice, fmt.Sprintf(format, args...)
	_ = l.put(ctx, line) // the caller has gone, or hears of it
}

// sendCause says how a task has ended, if it has.
func (l *logMerge) sendCause(ctx context.Context, line api.LogLine, t *mesh.TaskStatus) {
	switch {
	case t.FinishedAt.IsZero():
	case t.Reason != "":
		l.note(ctx, line, "it has ended: %s", t.Reason)
	case t.ExitCode != nil:
		l.note(ctx, line, "it has ended with exit code %d", *t.ExitCode)
	}
}

// sendLeft sends the latest of the ends of the log of one task that is to be had, and says whether it could be had.
func (l *logMerge) sendLeft(
	ctx context.Context, view *mesh.View, line api.LogLine, why string, ends []*mesh.Kept,
) bool {
	var k *mesh.Kept
	var texts map[string][]byte
	var err error
	for _, k = range ends {
		if texts, err = l.b.content.texts(ctx, k); err == nil {
			break
		}
	}
	if err != nil {
		l.b.log.Debug("read what is left of a log", "alloc", line.Alloc, "task", line.Task, "err", err)
		l.note(ctx, line, "what is kept of its log is on no node in sight")
		return false
	}
	var names []string
	for _, n := range k.Nodes {
		if n != line.NodeID {
			names = append(names, nodeLabel(view, n))
		}
	}
	by := "here alone"
	if len(names) > 0 {
		by = "by " + strings.Join(names, ", ")
	}
	l.note(ctx, line, "%s; this is the end of its log as of %s, kept %s",
		why, k.At.UTC().Format("2006-01-02 15:04:05 UTC"), by)
	if !l.r.Since.IsZero() {
		if k.At.Before(l.r.Since) {
			return true
		}
		l.note(ctx, line, "when these lines were written is not known")
	}
	for _, stream := range []string{logs.Stdout, logs.Stderr} {
		err := logs.Lines(stream, texts[stream], l.tail(), func(raw logs.Line) error {
			line.Stream, line.Line = raw.Stream, raw.Text
			return l.put(ctx, line)
		})
		if err != nil {
			return true
		}
	}
	return true
}

// texts are short files that are kept, by their names.
func (c *contents) texts(ctx context.Context, k *mesh.Kept) (map[string][]byte, error) {
	var h content.Hash
	if err := h.UnmarshalText([]byte(k.Tree)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := c.store.Pull(ctx, h, c.sources(ctx, k.Nodes), nil); err != nil {
		return nil, err
	}
	tree, err := c.store.Tree(h)
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for i := range tree.Entries {
		e := &tree.Entries[i]
		if texts[e.Path], err = c.store.Bytes(e); err != nil {
			return nil, err
		}
	}
	return texts, nil
}
