package container

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"mn/mesh"
	"mn/runner"
)

// The labels of our containers. The node's keeps agents apart that share an engine.
const (
	labelNode    = "mn.node"
	labelAlloc   = "mn.alloc"
	labelTask    = "mn.task"
	labelAttempt = "mn.attempt"
)

// labels are those of an attempt's container.
func labels(node mesh.NodeID, s *runner.Spec) map[string]string {
	return map[string]string{
		labelNode: string(node), labelAlloc: string(s.Alloc), labelTask: s.Task, labelAttempt: strconv.Itoa(s.Attempt),
	}
}

// Remove ends and removes the containers of a task.
func (e *Engine) Remove(ctx context.Context, alloc mesh.AllocID, task string) error {
	return e.removeIf(ctx, func(a mesh.AllocID, t string) bool { return a == alloc && t == task })
}

// sweep removes the containers of tasks that nobody has in hand.
func (e *Engine) sweep(ctx context.Context, has func(mesh.AllocID, string) bool) error {
	return e.removeIf(ctx, func(a mesh.AllocID, t string) bool { return !has(a, t) })
}

// removeIf removes containers of this node. They are listed first: one that is made later is
// of a task that somebody had in hand by then.
func (e *Engine) removeIf(ctx context.Context, is func(mesh.AllocID, string) bool) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	listing, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	all, err := c.ContainerList(listing, client.ContainerListOptions{
		All: true, Limit: leftMax,
		Filters: client.Filters{}.Add("label", labelNode+"="+string(e.cfg.Node)),
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var failed error
	for i := range all.Items {
		l := all.Items[i].Labels
		if l[labelNode] != string(e.cfg.Node) || l[labelAlloc] == "" || !is(mesh.AllocID(l[labelAlloc]), l[labelTask]) {
			continue
		}
		e.cfg.Log.Info("remove container that was left", "alloc", l[labelAlloc], "task", l[labelTask])
		failed = errors.Join(failed, remove(ctx, c, all.Items[i].ID))
	}
	return failed
}

// Engines refuse to remove what just then ends by itself: then it is tried again.
const (
	removeTries = 10
	removeAgain = 200 * time.Millisecond
)

// remove ends and removes a container; one that is gone is none the worse.
func remove(ctx context.Context, c *client.Client, id string) error {
	ctx, done := context.WithTimeout(ctx, startTimeout)
	defer done()
	for try := 1; ; try++ {
		_, err := c.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil || errdefs.IsNotFound(err):
			return nil
		case try == removeTries || ctx.Err() != nil || client.IsErrConnectionFailed(err):
			return fmt.Errorf("remove container: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(removeAgain):
		}
	}
}
