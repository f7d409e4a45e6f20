package exec

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// Owner is the task of this driver that a process belongs to: it, or who has started it, was
// told the task's folder. Of others, and of those that are not for us to see, there is none.
func (d *Driver) Owner(pid int) (alloc mesh.AllocID, task string, ok bool) {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return "", "", false
	}
	ours := []byte(mark(d.cfg.Root + string(filepath.Separator)))
	for v := range bytes.SplitSeq(environ, []byte{0}) {
		dir, found := bytes.CutPrefix(v, ours)
		if !found {
			continue
		}
		parts := strings.Split(string(dir), string(filepath.Separator))
		if len(parts) == 4 && string(dir) == runner.WorkDir(mesh.AllocID(parts[0]), parts[2]) {
			return mesh.AllocID(parts[0]), parts[2], true
		}
	}
	return "", "", false
}

// Fail ends the attempt of a task that runs, as one that has failed for a reason. The task
// has some time to end by itself. An agent that ends meanwhile forgets why.
func (d *Driver) Fail(alloc mesh.AllocID, name, why string, grace time.Duration) {
	d.mu.Lock()
	t := d.tasks[key{alloc, name}]
	d.mu.Unlock()
	if t == nil {
		return
	}
	t.mu.Lock()
	t.failed = why
	t.mu.Unlock()
	t.stop(supervise.StopCommand(grace))
}
