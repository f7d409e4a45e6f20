package content

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"mn/crdt"
	"mn/mesh"
)

// Tree is what is in a folder.
type Tree struct {
	Entries []Entry `json:"e"` // by path
}

// Entry is a file, a folder or a symbolic link.
type Entry struct {
	Path   string      `json:"p"` // below the root, with slashes
	Mode   fs.FileMode `json:"m"` // the type, and who may do what
	Size   int64       `json:"s,omitempty"`
	Link   string      `json:"l,omitempty"` // where a symbolic link points to
	Pieces []byte      `json:"h,omitempty"` // the hashes of the pieces of a file, one after the other
}

// kept is what is kept of a mode: no set-user-id, nothing of a device.
const kept = fs.ModeDir | fs.ModeSymlink | 0o777

// pieces are the objects of a file, in order.
func (e *Entry) pieces(yield func(Hash) bool) {
	for rest := e.Pieces; len(rest) >= len(Hash{}); rest = rest[len(Hash{}):] {
		if !yield(Hash(rest[:len(Hash{})])) {
			return
		}
	}
}

// Bytes is the size of all files.
func (t *Tree) Bytes() int64 {
	var n int64
	for i := range t.Entries {
		n += t.Entries[i].Size
	}
	return n
}

// encode is the tree as an object.
func (t *Tree) encode() ([]byte, error) {
	b, err := crdt.Encode(t)
	if err != nil {
		return nil, err
	}
	if len(b) > TreeBytes {
		return nil, fmt.Errorf("list of files: %v, more than %v", mesh.Bytes(len(b)), mesh.Bytes(TreeBytes))
	}
	return b, nil
}

// decodeTree reads a tree from an object, and checks it.
func decodeTree(object []byte) (*Tree, error) {
	var t Tree
	if err := crdt.Decode(object, &t); err != nil {
		return nil, fmt.Errorf("read list of files: %w", err)
	}
	return &t, t.Check()
}

// Check says what is wrong with a tree, whoever made it: a path that leaves the root, or
// leads through something that is no folder; a file whose pieces are not as many as its
// bytes need.
func (t *Tree) Check() error {
	if len(t.Entries) > FilesMax {
		return fmt.Errorf("%d files, more than %d", len(t.Entries), FilesMax)
	}
	folders := map[string]bool{".": true}
	for i := range t.Entries {
		e := &t.Entries[i]
		if i > 0 && e.Path <= t.Entries[i-1].Path {
			return fmt.Errorf("path %q comes after %q", e.Path, t.Entries[i-1].Path)
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("path %q: %w", e.Path, err)
		}
		if !folders[path.Dir(e.Path)] {
			return fmt.Errorf("path %q: %q is no folder", e.Path, path.Dir(e.Path))
		}
		if e.Mode.IsDir() {
			folders[e.Path] = true
		}
	}
	return nil
}

func (e *Entry) check() error {
	size := int64(len(e.Pieces)) / int64(len(Hash{}))
	switch {
	case !fs.ValidPath(e.Path), e.Path == ".", len(e.Path) > PathMax, strings.ContainsAny(e.Path, "\\\x00"):
		return errors.New("not a path below the root")
	case e.Mode&^kept != 0:
		return fmt.Errorf("mode %v is kept of nothing", e.Mode)
	case e.Mode&fs.ModeSymlink != 0:
		if e.Size != 0 || len(e.Pieces) != 0 || e.Mode.IsDir() {
			return errors.New("a link with a content")
		}
		return inside(e.Path, e.Link)
	case e.Link != "":
		return errors.New("it points somewhere, and is no link")
	case e.Mode.IsDir() && (e.Size != 0 || len(e.Pieces) != 0):
		return errors.New("a folder with a content")
	case e.Size < 0, len(e.Pieces)%len(Hash{}) != 0, size != (e.Size+PieceBytes-1)/PieceBytes:
		return fmt.Errorf("%d bytes in %d pieces", e.Size, size)
	}
	return nil
}

// inside says what is wrong with where a symbolic link points to: it must be below the
// root, and the way there must not depend on the machine.
func inside(at, link string) error {
	target := path.Join(path.Dir(at), link)
	if link == "" || len(link) > PathMax || path.IsAbs(link) || strings.ContainsAny(link, "\\\x00") ||
		!fs.ValidPath(target) {
		return fmt.Errorf("the link points to %q, which is not below the folder", link)
	}
	return nil
}
