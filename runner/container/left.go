package container

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
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

// Remove ends and removes the containers of a task: of that attempt, and of those before.
func (e *Engine) Remove(ctx context.Context, alloc mesh.AllocID, task string, attempt int) error {
	return e.removeIf(ctx, func(a mesh.AllocID, t string, n int) bool {
		return a == alloc && t == task && n <= attempt
	}, labelAlloc+"="+string(alloc), labelTask+"="+task)
}

// sweep removes the containers of attempts that nobody has in hand.
func (e *Engine) sweep(ctx context.Context, has Has) error {
	return e.removeIf(ctx, func(a mesh.AllocID, t string, n int) bool { return !has(a, t, n) })
}

// list lists the containers of a node that have some labels.
func list(ctx context.Context, c *client.Client, node mesh.NodeID, more ...string) ([]container.Summary, error) {
	ctx, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	all, err := c.ContainerList(ctx, client.ContainerListOptions{
		All: true, Limit: leftMax,
		Filters: client.Filters{}.Add("label", append(more, labelNode+"="+string(node))...),
	})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	return slices.DeleteFunc(all.Items, func(s container.Summary) bool {
		return s.Labels[labelNode] != string(node) || s.Labels[labelAlloc] == ""
	}), nil
}

// removeIf removes containers of this node. They are listed first: one that is made later is
// of an attempt that somebody had in hand by then. Of each it is asked just before.
func (e *Engine) removeIf(ctx context.Context, is func(mesh.AllocID, string, int) bool, more ...string) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	all, err := list(ctx, c, e.cfg.Node, more...)
	if err != nil {
		return err
	}
	var failed error
	for i := range all {
		l := all[i].Labels
		attempt, _ := strconv.Atoi(l[labelAttempt]) // without one it is of none that anybody has in hand
		if !is(mesh.AllocID(l[labelAlloc]), l[labelTask], attempt) {
			continue
		}
		e.cfg.Log.Info("remove container that was left",
			"alloc", l[labelAlloc], "task", l[labelTask], "attempt", attempt)
		failed = errors.Join(failed, remove(ctx, c, all[i].ID))
	}
	return failed
}

// Engines refuse to remove what just then ends by itself: then it is tried again.
const (
	removeTries = 10
	removeAgain = 200 * time.Millisecond
)

// remove ends and removes a container; one that is gone is none the worse. It is killed first:
// Podman's removal by force asks it to end, and waits for ten seconds.
func remove(ctx context.Context, c *client.Client, id string) error {
	ctx, done := context.WithTimeout(ctx, startTimeout)
	defer done()
	for try := 1; ; try++ {
		_, _ = c.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "KILL"}) // it may not run
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
