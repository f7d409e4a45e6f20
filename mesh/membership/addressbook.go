package membership

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mn/mesh"
)

// Bounds of an address book.
const (
	maxAddresses = 4    // of one node, the newest first
	maxEntries   = 4096 // nodes; then the one seen longest ago is forgotten
	maxBookBytes = 4 << 20
)

// Book remembers where peers were, across restarts, splits and outages of any
// length. It is a cache: a damaged one is set aside and begun anew.
type Book struct {
	path string
	log  func(msg string, args ...any)

	mu      sync.Mutex
	entries map[mesh.NodeID]bookEntry
	dirty   bool
}

type bookEntry struct {
	Addresses []string  `json:"addresses"`
	SeenAt    time.Time `json:"seen_at"`
}

// OpenBook reads the book at path, or begins one there. Warnings go to warn.
func OpenBook(path string, warn func(msg string, args ...any)) (*Book, error) {
	b := &Book{path: path, log: warn, entries: map[mesh.NodeID]bookEntry{}}
	raw, err := readBounded(path, maxBookBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read address book: %w", err)
	}
	if err := json.Unmarshal(raw, &b.entries); err != nil {
		b.entries = map[mesh.NodeID]bookEntry{}
		aside := path + ".damaged"
		if err := os.Rename(path, aside); err != nil {
			return nil, fmt.Errorf("set damaged address book aside: %w", err)
		}
		warn("address book damaged: begun anew", "path", path, "kept", aside, "why", err)
	}
	for id, e := range b.entries {
		e.Addresses = slices.DeleteFunc(e.Addresses, invalidAddress)
		b.entries[id] = e
	}
	return b, nil
}

func invalidAddress(s string) bool {
	_, err := netip.ParseAddrPort(s)
	return err != nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%q has %d bytes, more than %d", path, info.Size(), limit)
	}
	return os.ReadFile(path)
}

// Saw notes that a node was at an address just now.
func (b *Book) Saw(id mesh.NodeID, addr string) {
	if invalidAddress(addr) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if len(e.Addresses) > 0 && e.Addresses[0] == addr && time.Since(e.SeenAt) < time.Minute {
		return
	}
	list := slices.DeleteFunc(slices.Clone(e.Addresses), func(a string) bool { return a == addr })
	list = slices.Insert(list, 0, addr)
	b.entries[id] = bookEntry{Addresses: list[:min(len(list), maxAddresses)], SeenAt: time.Now().UTC()}
	b.dirty = true
	if len(b.entries) > maxEntries {
		b.forgetOldest()
	}
}

func (b *Book) forgetOldest() {
	oldest := slices.MinFunc(slices.Collect(maps.Keys(b.entries)), func(x, y mesh.NodeID) int {
		return cmp.Or(b.entries[x].SeenAt.Compare(b.entries[y].SeenAt), cmp.Compare(x, y))
	})
	delete(b.entries, oldest)
}

// Addresses is where a node was, the newest first.
func (b *Book) Addresses(id mesh.NodeID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.entries[id].Addresses)
}

// Nodes is everyone in the book, by id.
func (b *Book) Nodes() []mesh.NodeID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.entries))
}

// Forget removes a node, as when it was evicted.
func (b *Book) Forget(id mesh.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.entries[id]; ok {
		delete(b.entries, id)
		b.dirty = true
	}
}

func (b *Book) changed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dirty
}

// Flush writes the book if it has changed: whole, durably, for its owner only.
func (b *Book) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty {
		return nil
	}
	raw, err := json.MarshalIndent(b.entries, "", " ")
	if err != nil {
		return fmt.Errorf("encode address book: %w", err)
	}
	if err := replaceFile(b.path, append(raw, '\n')); err != nil {
		return fmt.Errorf("write address book: %w", err)
	}
	b.dirty = false
	return nil
}

// replaceFile writes a file whole: it never holds half of data.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
