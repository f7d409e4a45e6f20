package cgroup

import (
	"bytes"
	"errors"
	"os"
	"path"
	"slices"
	"strconv"
)

// tree is the groups of version 2, or those of one mount of version 1.
type tree struct {
	mount       string   // its folder
	own         string   // the group of this process in it, as seen from the mount: "/a/b"
	v2          bool     //
	has         []string // its controllers
	controllers []string // those of them that we need, and no other tree has
}

// find finds where each controller is that we need, under root. It is an error
// if one is nowhere.
func find(root string) ([]tree, error) {
	mounts, err := os.ReadFile(path.Join(root, "/proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile(path.Join(root, "/proc/self/cgroup"))
	if err != nil {
		return nil, errors.New("the kernel has no control groups")
	}
	var trees []tree
	for line := range bytes.Lines(mounts) {
		if t, ok := mounted(line); ok {
			t.own = own(groups, t)
			t.mount = path.Join(root, t.mount)
			if t.v2 {
				t.has = fields(path.Join(t.mount, "cgroup.controllers"))
			}
			trees = append(trees, t)
		}
	}
	// A controller that is in version 1 is not in version 2: both do not list it.
	for _, c := range needed {
		i := slices.IndexFunc(trees, func(t tree) bool { return slices.Contains(t.has, c) })
		if i < 0 {
			return nil, errors.New("no controller " + strconv.Quote(c) + " of control groups is mounted")
		}
		trees[i].controllers = append(trees[i].controllers, c)
	}
	return trees, nil
}

// mounted reads a line of /proc/self/mountinfo: is it of control groups? Until
// find has seen to it, own is the group that the mount begins with.
func mounted(line []byte) (tree, bool) {
	// 33 25 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
	before, after, ok := bytes.Cut(line, []byte(" - "))
	b, a := bytes.Fields(before), bytes.Fields(after)
	if !ok || len(b) < 5 || len(a) < 3 {
		return tree{}, false
	}
	t := tree{mount: string(b[4]), own: string(b[3])}
	switch string(a[0]) {
	case "cgroup2":
		t.v2 = true
	case "cgroup":
		for option := range bytes.SplitSeq(a[2], []byte(",")) {
			t.has = append(t.has, string(option))
		}
	default:
		return tree{}, false
	}
	return t, true
}

// own is the group of this process in a tree, as its mount shows it, by the
// lines of /proc/self/cgroup.
func own(groups []byte, t tree) string {
	for line := range bytes.Lines(groups) {
		// "4:memory:/a/b" in version 1, "0::/a/b" in version 2.
		f := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 3)
		if len(f) != 3 || (len(f[1]) == 0) != t.v2 {
			continue
		}
		first, _, _ := bytes.Cut(f[1], []byte(","))
		if !t.v2 && !slices.Contains(t.has, string(first)) {
			continue
		}
		group, ok := bytes.CutPrefix(f[2], []byte(t.own))
		if !ok { // it is not below what is mounted
			return "/"
		}
		return path.Join("/", string(group)) // also of what is outside of our namespace: "/../a"
	}
	return "/"
}

// enable lets the groups in a group of version 2 have controllers.
func enable(dir string, controllers []string) error {
	file := path.Join(dir, "cgroup.subtree_control")
	enabled := fields(file)
	for _, c := range controllers {
		if slices.Contains(enabled, c) {
			continue
		}
		if err := write(file, "+"+c); err != nil {
			return err
		}
	}
	return nil
}

// fields are the words of a file; none if it cannot be read.
func fields(name string) []string {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	var all []string
	for f := range bytes.FieldsSeq(text) {
		all = append(all, string(f))
	}
	return all
}
