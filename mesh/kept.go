package mesh

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Kept is what is left of a task when it, or its node, is gone: its outputs, or the end of
// its log. It is on the disks of some nodes for as long as the copy is on record.
type Kept struct {
	Tree  string    `json:"tree,omitempty"` // what it is called in the content stores
	Bytes int64     `json:"bytes,omitempty"`
	Files int       `json:"files,omitempty"`
	At    time.Time `json:"at"`
	Nodes []NodeID  `json:"nodes,omitempty"` // who has it on disk, as far as the node of its copy knows
	Fault string    `json:"fault,omitempty"` // why there is nothing
}

// Bounds of what is kept.
const (
	OutputBytesMax = 8 * GiB // of the outputs of one task
	OutputFilesMax = 10_000
	LogKeptMax     = 256 * KiB // of the end of one task's log
	KeptCopies     = 2         // other nodes that have it

	outputsMax    = 32
	outputSize    = 256 // bytes of a pattern
	outputDeepMax = 16  // folders of a pattern
)

// Left is all that is to be kept of a task, what is small first.
func (t *TaskStatus) Left() []*Kept { return there(t.Log, t.Outputs) }

// Ends are the ends of a task's log that may be to be had, the latest first.
func (t *TaskStatus) Ends() []*Kept { return there(t.Log, t.LogBefore) }

func there(all ...*Kept) []*Kept {
	return slices.DeleteFunc(all, func(k *Kept) bool { return k == nil || k.Tree == "" })
}

// On is k with a node among those who have it.
func (k *Kept) On(node NodeID) *Kept {
	more := *k
	if !slices.Contains(k.Nodes, node) {
		more.Nodes = append(slices.Clone(k.Nodes), node)
	}
	return &more
}

// Readable is k as it can stand in a record, whatever bytes the fault has; nil of nil.
func (k *Kept) Readable() *Kept {
	if k == nil {
		return nil
	}
	plain := *k
	plain.Fault = Plain(k.Fault, TextMax)
	return &plain
}

// Held is the status with a node among those who have something of the task, and whether
// that is news.
func (t TaskStatus) Held(tree string, by NodeID) (TaskStatus, bool) {
	news := false
	if t.Log != nil && t.Log.Tree == tree && t.LogBefore != nil {
		t.LogBefore, news = nil, true
	}
	for _, k := range []**Kept{&t.Outputs, &t.Log} {
		if *k != nil && (*k).Tree == tree && !slices.Contains((*k).Nodes, by) {
			*k, news = (*k).On(by), true
		}
	}
	return t, news
}

// Output says whether a file is one of a task's outputs, or a folder may have some in it.
// Its name is relative to the task's folder, with slashes.
func Output(patterns []string, name string, dir bool) bool {
	parts := strings.Split(name, "/")
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(strings.Split(p, "/"), parts, dir) })
}

// matches says whether a path matches a pattern, of which ** stands for any number of
// folders; or, of a folder, whether something in it may. It goes through the pattern once.
func matches(pattern, name []string, dir bool) bool {
	at := map[int]bool{0: true} // how much of the pattern the path may have used up
	skip := func() {
		for i := range pattern {
			if at[i] && pattern[i] == "**" {
				at[i+1] = true // for no folder
			}
		}
	}
	skip()
	for _, part := range name {
		next := map[int]bool{}
		for i := range at {
			switch {
			case i == len(pattern):
			case pattern[i] == "**":
				next[i] = true
			default:
				if ok, err := path.Match(pattern[i], part); ok && err == nil {
					next[i+1] = true
				}
			}
		}
		if at = next; len(at) == 0 {
			return false
		}
		skip()
	}
	if !dir {
		return at[len(pattern)]
	}
	for i := range pattern {
		if at[i] {
			return true
		}
	}
	return false
}

// outputs checks the patterns of a task's outputs.
func (v *validator) outputs(patterns []string) {
	if len(patterns) > outputsMax {
		v.fault("has %d entries, more than %d", len(patterns), outputsMax).at("outputs")
		return
	}
	for i, p := range patterns {
		_, err := path.Match(p, "x")
		switch {
		case p == "" || len(p) > outputSize:
			v.fault("pattern %q must have 1 to %d bytes", clip(p), outputSize).at("outputs")
		case path.IsAbs(p) || path.Clean(p) != p || p == "." || strings.HasPrefix(p, "../") || p == "..":
			v.fault("pattern %q must be a path within the task's folder, without . and ..", clip(p)).at("outputs")
		case strings.Count(p, "/") >= outputDeepMax:
			v.fault("pattern %q has more than %d parts", clip(p), outputDeepMax).at("outputs")
		case err != nil || strings.ContainsAny(p, "\\\x00"):
			v.fault("pattern %q is none: want names with *, ?, [a-z], or ** for any folders", clip(p)).at("outputs")
		case slices.Contains(patterns[:i], p):
			v.fault("has %q twice", clip(p)).at("outputs")
		}
	}
}
