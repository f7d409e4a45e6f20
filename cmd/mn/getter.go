package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/content"
)

// partName is the file in which what comes is written until it is whole. It may be left by a
// command that was killed: the next one writes it anew.
const partName = ".mn-result.part"

// getter writes files that come from a peer, whatever that calls them, into one folder.
type getter struct {
	c          *command
	dir        *os.Root
	lock       *os.File
	folders    map[string]bool // in it, of copies
	wanted     []*api.Result
	got        []gotFile
	bytes, all mesh.Bytes
	told       time.Time
}

// gotFile is a file that was written, or was there before.
type gotFile struct {
	Path string     `json:"path"`
	Size mesh.Bytes `json:"size"`
	Hash string     `json:"sha256"` // as of `mn result ls`
}

// open makes the folder, and has it to itself until it is closed.
func (g *getter) open(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	g.dir = root
	g.lock, err = root.Open(".")
	if err == nil && syscall.Flock(int(g.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		err = mesh.Faultf(mesh.Conflict, "another command writes to folder %q", dir).
			Hint("wait for it, or take another: -o DIR")
	}
	if err != nil {
		g.lock.Close()
		root.Close() // what is in it is the other's
		return err
	}
	return nil
}

func (g *getter) close() {
	_ = g.dir.Remove(partName) // there seldom is one
	g.lock.Close()
	g.dir.Close()
}

// folder is the one for what a copy has left: no other's, whatever nodes and tasks are called.
func (g *getter) folder(r *api.Result) (string, error) {
	if !mesh.ValidName(r.Task) {
		return "", fmt.Errorf("%q is no name of a task", r.Task)
	}
	name := fmt.Sprintf("%s-%d", r.Task, r.Index)
	if r.Each {
		node := r.Node
		if !mesh.ValidName(node) {
			node = r.NodeID.Short()
		}
		name = r.Task + "-" + node
	}
	if g.folders[name] {
		name += "-" + string(r.Alloc)
	}
	if g.folders[name] || !mesh.ValidName(string(r.Alloc)) || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("%q is no name of a copy", r.Alloc)
	}
	g.folders[name] = true
	return name, nil
}

// get writes the files of one task.
func (g *getter) get(r *api.Result, in io.Reader) error {
	var tree content.Hash
	if err := tree.UnmarshalText([]byte(r.Tree)); err != nil {
		return err
	}
	folder, err := g.folder(r)
	if err != nil {
		return err
	}
	_, err = content.Receive(in, tree, func(e *content.Entry) (io.WriteCloser, error) {
		p := &part{g: g, name: path.Join(folder, e.Path), of: e}
		if p.there() {
			return p, nil
		}
		if err := g.dir.MkdirAll(path.Dir(p.name), 0o777); err != nil {
			return nil, err
		}
		if err := g.dir.Remove(partName); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		var err error
		p.file, err = g.dir.OpenFile(partName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, e.Mode.Perm()|0o600)
		return p, err
	})
	return err
}

// part is a file that comes, of which what is written is told now and then.
type part struct {
	g    *getter
	name string
	of   *content.Entry
	file *os.File // nil: it is there already, the same
	has  int64
}

// there says whether the file is there already, the same.
func (p *part) there() bool {
	info, err := p.g.dir.Lstat(p.name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != p.of.Size {
		return false
	}
	f, err := p.g.dir.OpenFile(p.name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	sum, err := content.SumOf(f)
	return err == nil && sum == p.of.Sum()
}

func (p *part) Write(b []byte) (n int, err error) {
	n = len(b)
	if p.file != nil {
		n, err = p.file.Write(b)
	}
	p.has += int64(n)
	g := p.g
	g.bytes += mesh.Bytes(n)
	if now := time.Now(); now.Sub(g.told) >= sayEvery {
		g.told = now
		g.c.say("files: %v of %v are here", g.bytes, g.all)
	}
	return n, err
}

// Close gives the file its name if all of it has come, unless there is something of that name.
func (p *part) Close() error {
	var err error
	if p.file != nil {
		err = p.file.Close()
		if err == nil && p.has == p.of.Size {
			err = p.g.dir.Link(partName, p.name)
		}
		err = errors.Join(err, p.g.dir.Remove(partName))
	}
	if err == nil && p.has == p.of.Size {
		p.g.got = append(p.g.got, gotFile{p.name, mesh.Bytes(p.of.Size), p.of.Sum().String()})
	}
	return err
}
