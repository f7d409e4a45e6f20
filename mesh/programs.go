package mesh

import (
	"fmt"
	"slices"
)

// Programs are those of a node that tasks may need before they start: to fetch repositories, and
// to make environments for Python. A node says which of them it has.
var Programs = []string{programGit, programPython}

const (
	programGit    = "git"
	programPython = "python3"
)

// Prepares says why a node cannot make ready what a task asks for, or "". A task with a PATH of
// its own may find there what the node does not.
func (n *Node) Prepares(t *Task) string {
	lacks := func(program string) bool { return !slices.Contains(n.Programs, program) }
	for i := range t.Artifacts {
		if a := &t.Artifacts[i]; a.IsGit() && lacks(programGit) {
			return fmt.Sprintf("has no %s, for artifact %s", programGit, a.Shown())
		}
	}
	if _, own := t.Env["PATH"]; t.Python != nil && !own && lacks(programPython) {
		return fmt.Sprintf("has no %s, for the environment of task %q", programPython, t.Name)
	}
	return ""
}
