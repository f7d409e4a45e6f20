package store

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	"github.com/dgraph-io/badger/v4"
)

var logName = regexp.MustCompile(`^\d+\.(vlog|mem)$`)

// mend removes files that a crash left half made and that Badger then takes
// for spoiled: it makes a log in two steps, and trips over one that is empty. No
// record is in them, nor in the list of encryption keys, of which there are none.
func mend(dir string, log *slog.Logger) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("mend store %q: %w", dir, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			return fmt.Errorf("mend store %q: %w", dir, err)
		}
		emptyLog := logName.MatchString(f.Name()) && info.Size() == 0
		if !emptyLog && !(f.Name() == badger.KeyRegistryFileName && isSpoiledRegistry(dir)) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return fmt.Errorf("mend store %q: %w", dir, err)
		}
		log.Warn("removed a half made file that holds nothing", "store", dir, "file", f.Name())
	}
	return nil
}

// isSpoiledRegistry says whether the list of keys is not an empty one: 16 bytes
// of chance, and a text that would show whether a key fits.
func isSpoiledRegistry(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, badger.KeyRegistryFileName))
	return err != nil || len(b) < 16 || string(b[16:]) != "Hello Badger"
}
