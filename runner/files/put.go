package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"mn/mesh"
	"mn/runner/disk"
)

// Owner is whose a folder is.
func (f *Folder) Owner() (uid, gid int, err error) {
	info, err := f.root.Stat(".")
	if err != nil {
		return 0, 0, fmt.Errorf("see whose folder it is: %w", err)
	}
	uid, gid = ownerOf(info)
	return uid, gid, nil
}

// ownerOf is whose a file is.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	s := info.Sys().(*syscall.Stat_t) //nolint:forcetypeassert // of a file of the system it is
	return int(s.Uid), int(s.Gid)
}

// Put is where files that are sent come to lie.
type Put struct {
	Path string // in the folder: one that is there, or the name that what is sent is to have
	Base string // its name in a folder that is there
	// Aside is a folder of the same file system that only the agent can enter: what is sent is
	// there until all of it has come.
	Aside *os.Root
	// Spare is how much of the disk must stay free: the agent has to write there, too.
	Spare int64
	// UID and GID are whose it is then; they count if the agent may give things away.
	UID, GID int
}

// Put takes a file or a folder, as [Folder.Send] sends it, and puts it in its place when all
// of it has come: in place of a file that is there, but of no folder. The folder may be that
// of a task which means ill: all that it can do meanwhile is to have the file elsewhere in it.
func (f *Folder) Put(from io.Reader, p Put) (done mesh.Arrived, err error) {
	dir, name, err := f.target(p)
	if err != nil {
		return done, err
	}
	to, err := openFolder(f.root, dir)
	if err != nil {
		return done, because(p.Path, err)
	}
	defer to.Close()
	done.Path = path.Join(dir, name)
	if err := vacant(to, name, done.Path); err != nil {
		return done, err
	}
	beside := rand.Text()
	if err := p.Aside.Mkdir(beside, 0o700); err != nil {
		return done, fmt.Errorf("make folder for what is sent: %w", err)
	}
	defer func() { err = errors.Join(err, disk.RemoveAll(p.Aside, beside)) }()
	into, err := p.Aside.OpenRoot(beside)
	if err != nil {
		return done, fmt.Errorf("open folder for what is sent: %w", err)
	}
	defer into.Close()
	count := func(files int, bytes int64, _ mesh.File) { done.Files, done.Bytes = files, bytes }
	if done.Left, err = receive(from, into, name, p.Spare, count); err != nil {
		return done, err
	}
	if err := give(into, name, p.UID, p.GID); err != nil {
		return done, fmt.Errorf("give %q to its owner: %w", done.Path, err)
	}
	return done, move(into, to, name, done.Path)
}

// target is the folder that something is put in, and under which name.
func (f *Folder) target(p Put) (dir, name string, err error) {
	rel, err := clean(p.Path)
	if err != nil {
		return "", "", err
	}
	info, err := f.root.Stat(rel)
	switch {
	case err == nil && info.IsDir():
		dir, name = rel, p.Base
	case p.Path != "" && p.Path[len(p.Path)-1] == '/':
		return "", "", mesh.Faultf(mesh.NotFound, "there is no folder %q", p.Path)
	default:
		dir, name = path.Dir(rel), path.Base(rel)
	}
	if name != path.Base(name) || name == "." || name == ".." || name == "/" || len(name) > nameMax ||
		strings.ContainsRune(name, 0) {
		return "", "", mesh.Faultf(mesh.Invalid, "%.64q is no name of a file", name)
	}
	return dir, name, nil
}

// nameMax is how long the name of a file may be, in bytes.
const nameMax = 255

// vacant says that a folder is where something is to be put, if so.
func vacant(in *os.Root, name, shown string) error {
	if info, err := in.Lstat(name); err == nil && info.IsDir() {
		return mesh.Faultf(mesh.Conflict, "the folder %q is there already", shown).
			Hint("remove it, or copy to somewhere else")
	}
	return nil
}

// give makes a user the owner of what has come, if the agent may.
func give(in *os.Root, name string, uid, gid int) error {
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	return fs.WalkDir(in.FS(), name, func(at string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return in.Lchown(at, uid, gid)
	})
}

// move renames what has come to its place. A link or a file that is there gives way, wherever
// it leads; a folder that has come to be there does not, unless it is empty.
func move(from, to *os.Root, name, shown string) error {
	source, err := from.Open(".")
	if err != nil {
		return fmt.Errorf("put %q: %w", shown, err)
	}
	defer source.Close()
	target, err := to.Open(".")
	if err != nil {
		return fmt.Errorf("put %q: %w", shown, err)
	}
	defer target.Close()
	err = syscall.Renameat(int(source.Fd()), name, int(target.Fd()), name)
	switch {
	case errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST),
		errors.Is(err, syscall.ENOTDIR):
		return mesh.Faultf(mesh.Conflict, "%q is there already, and cannot be replaced: %v", shown, err).
			Hint("remove it, or copy to somewhere else")
	case err != nil:
		return fmt.Errorf("put %q: %w", shown, err)
	}
	if err := target.Sync(); err != nil { // so that its name stays, too
		return fmt.Errorf("put %q: %w", shown, err)
	}
	return nil
}
