package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"mn/mesh"
)

// Packing says what is packed of a folder.
type Packing struct {
	Skip     func(path string, dir bool) bool // what is left out; nil: nothing is
	BytesMax int64                            // of all files; 0: any number
	FilesMax int                              // entries; 0: as many as a tree may have
	Regular  bool                             // links, what is no file, and empty folders are left out
}

// Sink takes the objects of a folder.
type Sink interface {
	// Put keeps an object, and returns its name.
	Put(object []byte) (Hash, error)
	// Sync returns when all that was Put before is safe.
	Sync() error
}

// Pack brings a folder into the store, and returns the name of its tree; when it
// returns, all of it is on the disk. What is neither a file, a folder nor a link within
// the folder is refused. The error is [ErrChanged] if somebody wrote to the folder
// meanwhile.
func (s *Store) Pack(ctx context.Context, folder *os.Root, p Packing) (Hash, error) {
	s.use.RLock()
	defer s.use.RUnlock()
	h, _, err := Pack(ctx, folder, p, s)
	return h, err
}

// Pack gives the objects of a folder to a sink, the tree last, as [Store.Pack] does.
func Pack(ctx context.Context, folder *os.Root, p Packing, to Sink) (Hash, *Tree, error) {
	k := packer{to: to, folder: folder, Packing: p, ctx: ctx, piece: make([]byte, PieceBytes)}
	h, err := k.pack()
	if err != nil {
		return Hash{}, nil, fmt.Errorf("pack folder %q: %w", folder.Name(), err)
	}
	return h, &k.tree, nil
}

// packer is a Pack under way.
type packer struct {
	Packing
	ctx    context.Context
	to     Sink
	folder *os.Root
	tree   Tree
	top    fs.FileInfo // of the folder itself
	seen   []seen      // each entry, and each folder that is none
	bytes  int64
	piece  []byte
}

// seen is what was there when it was packed.
type seen struct {
	path string
	info fs.FileInfo
}

func (k *packer) pack() (Hash, error) {
	var err error
	if k.top, err = k.folder.Lstat("."); err != nil {
		return Hash{}, err
	}
	if err := k.walk("."); err != nil {
		return Hash{}, err
	}
	if err := k.unchanged(); err != nil {
		return Hash{}, err
	}
	slices.SortFunc(k.tree.Entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	if err := k.tree.Check(); err != nil {
		return Hash{}, err
	}
	object, err := k.tree.encode()
	if err != nil {
		return Hash{}, err
	}
	h, err := k.to.Put(object)
	return h, cmp.Or(err, k.to.Sync())
}

// walk takes in all that is in a folder. Whoever owns it may have put a pipe in its place: do
// not wait at it.
func (k *packer) walk(dir string) error {
	f, err := k.folder.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return gone(err)
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return gone(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := k.visit(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (k *packer) visit(name string) error {
	info, err := k.folder.Lstat(name)
	if err = cmp.Or(err, k.ctx.Err()); err != nil {
		return gone(err)
	}
	if k.Skip != nil && k.Skip(name, info.IsDir()) {
		return nil
	}
	if k.Regular && !info.IsDir() && !info.Mode().IsRegular() {
		return nil
	}
	if most := min(cmp.Or(k.FilesMax, FilesMax), FilesMax); len(k.tree.Entries) >= most {
		return fmt.Errorf("more than %d files", most)
	}
	if len(k.seen) >= FilesMax {
		return fmt.Errorf("more than %d files and folders to look at", FilesMax)
	}
	e := Entry{Path: name, Mode: info.Mode() & kept}
	switch {
	case info.IsDir():
	case info.Mode()&fs.ModeSymlink != 0:
		e.Link, err = k.folder.Readlink(name)
	case info.Mode().IsRegular():
		err = k.read(&e, info)
	default:
		err = fmt.Errorf("%q is neither a file, a folder nor a link: leave it out", name)
	}
	if err != nil {
		return gone(err)
	}
	k.tree.Entries, k.seen = append(k.tree.Entries, e), append(k.seen, seen{name, info})
	if !info.IsDir() {
		return nil
	}
	n := len(k.tree.Entries)
	err = k.walk(name)
	if k.Regular && len(k.tree.Entries) == n {
		k.tree.Entries = k.tree.Entries[:n-1]
	}
	return err
}

// gone is an error; one that a file, or a folder, is not there any more says that the folder
// changed.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}

// read takes a file in, piece by piece.
func (k *packer) read(e *Entry, info fs.FileInfo) error {
	// A pipe may be there since: do not wait at it.
	if k.BytesMax > 0 && k.bytes+info.Size() > k.BytesMax {
		return k.tooLarge(e.Path, info.Size())
	}
	f, err := k.folder.OpenFile(e.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if is, err := f.Stat(); err != nil || !is.Mode().IsRegular() {
		return cmp.Or(err, fmt.Errorf("%w: %q", ErrChanged, e.Path))
	}
	for {
		n, err := io.ReadFull(f, k.piece)
		if n > 0 {
			h, err := k.to.Put(k.piece[:n])
			if err != nil {
				return err
			}
			e.Size += int64(n)
			e.Pieces = append(e.Pieces, h[:]...)
			k.bytes += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if e.Size != info.Size() {
				return fmt.Errorf("%w: %q", ErrChanged, e.Path)
			}
			return nil
		case err != nil:
			return err
		case k.BytesMax > 0 && k.bytes > k.BytesMax:
			return k.tooLarge(e.Path, e.Size)
		}
		if err := k.ctx.Err(); err != nil {
			return err
		}
	}
}

// tooLarge says that a file is too much, and which are the largest of those that are packed.
func (k *packer) tooLarge(name string, size int64) error {
	const shown = 3
	all := append(slices.Clone(k.tree.Entries), Entry{Path: name, Size: size})
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Compare(b.Size, a.Size) })
	text := ""
	for _, e := range all[:min(len(all), shown)] {
		text += fmt.Sprintf(", %q (%v)", e.Path, mesh.Bytes(e.Size))
	}
	return fmt.Errorf("more than %v, with %q; the largest: %s", mesh.Bytes(k.BytesMax), name, text[len(", "):])
}

// unchanged looks at everything once more.
func (k *packer) unchanged() error {
	if err := k.same(".", k.top); err != nil {
		return err
	}
	for _, was := range k.seen {
		if err := k.same(was.path, was.info); err != nil {
			return err
		}
	}
	return nil
}

func (k *packer) same(name string, was fs.FileInfo) error {
	is, err := k.folder.Lstat(name)
	if err != nil {
		return gone(err)
	}
	if is.Mode() != was.Mode() || !is.ModTime().Equal(was.ModTime()) || !was.IsDir() && is.Size() != was.Size() {
		return fmt.Errorf("%w: %q", ErrChanged, name)
	}
	return nil
}
