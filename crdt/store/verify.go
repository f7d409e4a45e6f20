package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// verify reads every table that the manifest names, with all checksums. Badger
// does the same, but in goroutines of its own, where a table that was cut ends
// the process instead of giving an error.
func (s *Store) verify() error {
	manifest := filepath.Join(s.dir, badger.ManifestFilename)
	tables, err := readManifest(manifest)
	if err != nil {
		return &DamageError{Dir: s.dir, File: manifest, Err: err}
	}
	for _, id := range tables {
		path := table.NewFilename(id, s.dir)
		if err := verifyTable(path); err != nil {
			return &DamageError{Dir: s.dir, File: path, Err: err}
		}
	}
	return nil
}

// readManifest is the numbers of the tables that make up the store, sorted.
func readManifest(path string) (ids []uint64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // a new directory
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	m, _, err := badger.ReplayManifestFile(f, 0, badger.Options{})
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(m.Tables)), nil
}

func verifyTable(path string) (err error) {
	defer guard(&err)
	f, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open table: %w", err)
	}
	const asItIs = -1 // do not truncate it
	defer func() { err = errors.Join(err, f.Close(asItIs)) }()
	// OpenTable closes the file itself when it is not happy; then ours is a
	// second close, whose error adds nothing.
	_, err = table.OpenTable(f, table.Options{
		BlockSize: 4 << 10, Compression: options.Snappy, ChkMode: options.OnTableAndBlockRead,
	})
	return err
}
