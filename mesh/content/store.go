package content

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mn/mesh"
	"mn/runner/disk"
)

// Store is the objects of one node, a file each. Its methods may be called at once; a
// process that dies leaves no half of an object under its name.
type Store struct {
	root    *os.Root
	reserve int64        // bytes of the disk that are not for content
	use     sync.RWMutex // held for writing while objects are removed

	mu     sync.Mutex
	dirty  map[string]bool // folders with new names that are not on the disk yet
	coming map[Hash]int    // pieces of files that are still coming, and of how many
}

// incoming is the folder of objects that are being written.
const incoming = "incoming"

// Open opens the store in a folder of its own, and makes it if there is none. What a
// process that died was writing is removed.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open content store: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open content store: %w", err)
	}
	if err := errors.Join(root.RemoveAll(incoming), root.Mkdir(incoming, 0o700)); err != nil {
		return nil, errors.Join(fmt.Errorf("open content store %q: %w", dir, err), root.Close())
	}
	return &Store{root: root, reserve: Spare, dirty: map[string]bool{}, coming: map[Hash]int{}}, nil
}

// Close frees the folder.
func (s *Store) Close() error { return s.root.Close() }

// place is where an object lies.
func place(h Hash) string {
	name := h.String()
	return filepath.Join(name[:2], name[2:])
}

// Has says whether an object is here. That it is whole shows when it is read.
func (s *Store) Has(h Hash) bool {
	info, err := s.root.Lstat(place(h))
	return err == nil && info.Mode().IsRegular()
}

// Touch says whether an object is here, and if so has Collect know that it is of use.
func (s *Store) Touch(h Hash) bool {
	now := time.Now()
	return s.root.Chtimes(place(h), now, now) == nil
}

// Get reads an object. One that is not what its name says is removed, and is as good as
// missing: the error is [ErrMissing].
func (s *Store) Get(h Hash) ([]byte, error) {
	f, err := s.root.Open(place(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %v", ErrMissing, h)
	}
	if err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, TreeBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read object %v: %w", h, err)
	}
	if HashOf(b) != h {
		if err := s.root.Remove(place(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove spoiled object: %w", err)
		}
		return nil, fmt.Errorf("%w: %v was spoiled on the disk", ErrMissing, h)
	}
	return b, nil
}

// Put keeps an object, and returns its name. It survives the end of the process; that of
// the machine, after Sync.
func (s *Store) Put(object []byte) (Hash, error) {
	h := HashOf(object)
	if len(object) > TreeBytes {
		return h, fmt.Errorf("keep object: %v, more than %v", mesh.Bytes(len(object)), mesh.Bytes(TreeBytes))
	}
	if s.Touch(h) {
		return h, nil
	}
	if err := s.room(s.root.Name(), 0); err != nil {
		return h, fmt.Errorf("keep object: %w", err)
	}
	if err := s.write(h, object); err != nil {
		return h, fmt.Errorf("keep object: %w", err)
	}
	return h, nil
}

// Spare is how many bytes stay free on the disk: others have to write there, too, and content can
// be had again.
const Spare = 256 << 20

// ErrNoRoom says that the disk is nearly full.
var ErrNoRoom = errors.New("the disk is nearly full")

// room says whether there is room for some bytes in a folder.
func (s *Store) room(dir string, bytes int64) error {
	free, _, err := disk.Room(dir)
	if err == nil && free-bytes < s.reserve {
		err = fmt.Errorf("%w: of %v that are free at %q, %v are wanted, and %v must stay",
			ErrNoRoom, mesh.Bytes(free), dir, mesh.Bytes(bytes), mesh.Bytes(s.reserve))
	}
	return err
}

// Spare is how many bytes may stay of what nobody wants any more, for it may be wanted
// again: a tenth of the disk, 20 GiB at most; nothing where the disk is nearly full.
func (s *Store) Spare() (bytes int64, err error) {
	free, all, err := disk.Room(s.root.Name())
	if err != nil || free < 2*s.reserve {
		return 0, err
	}
	return min(all/10, 20<<30), nil
}

func (s *Store) write(h Hash, object []byte) error {
	at := place(h)
	dir := filepath.Dir(at)
	if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	name := filepath.Join(incoming, rand.Text())
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(object)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.root.Rename(name, at)
	}
	if err != nil {
		return errors.Join(err, s.root.Remove(name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty[dir] = true
	return nil
}

// Sync returns when all that was Put before is on the disk.
func (s *Store) Sync() error {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty = map[string]bool{}
	s.mu.Unlock()
	dirs := []string{"."}
	for dir := range dirty {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		f, err := s.root.Open(dir)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("sync content store: %w", err)
		}
	}
	return nil
}

// each calls for every object that is here.
func (s *Store) each(do func(h Hash, info fs.FileInfo) error) error {
	return fs.WalkDir(s.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		var h Hash
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			return nil
		case err != nil:
			return err
		case d.IsDir() && name == incoming:
			return fs.SkipDir
		case d.IsDir(), h.UnmarshalText([]byte(strings.ReplaceAll(name, "/", ""))) != nil:
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return do(h, info)
	})
}
