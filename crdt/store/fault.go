package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// DamageError says that the files of a store are spoiled beyond what it can mend.
type DamageError struct {
	Dir  string
	File string // "" if it cannot be told
	Err  error
}

// Error names the file and says what to do.
func (e *DamageError) Error() string {
	what := "its files are"
	if e.File != "" {
		what = fmt.Sprintf("file %q is", e.File)
	}
	return fmt.Sprintf("open store %q: %s damaged: %v; move the directory away (mv %s %s.damaged) "+
		"and start again: the peers have the data", e.Dir, what, e.Err, e.Dir, e.Dir)
}

// Unwrap is the cause.
func (e *DamageError) Unwrap() error { return e.Err }

// damaged makes a DamageError of an error from Badger; what the operating
// system says of a file (no space, no permission) stays what it is.
func (s *Store) damaged(err error) error {
	if errors.As(err, new(syscall.Errno)) {
		return fmt.Errorf("open store %q: %w", s.dir, err)
	}
	return &DamageError{Dir: s.dir, File: fileIn(err.Error(), s.dir), Err: err}
}

var fileName = regexp.MustCompile(`\b(\d+\.(sst|mem|vlog)|MANIFEST|KEYREGISTRY|DISCARD)\b`)

// fileIn is the file of dir that a message names.
func fileIn(message, dir string) string {
	name := fileName.FindString(message)
	if name == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// SpaceError refuses to write to a disk that is nearly full.
type SpaceError struct {
	Dir  string
	Free int64
}

// Error says how much there is, and how much it takes.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("disk of %q is full: %d MiB are free, the store leaves %d MiB alone: "+
		"free some space", e.Dir, e.Free>>20, reserveBytes>>20)
}

// Unwrap makes it what the operating system says of a full disk.
func (e *SpaceError) Unwrap() error { return syscall.ENOSPC }

func checkSpace(dir string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < reserveBytes {
		return &SpaceError{Dir: dir, Free: free}
	}
	return nil
}

// firstFrame is where a panic came from: the first function of Badger's in a stack.
func firstFrame(stack []byte) string {
	for line := range bytes.Lines(stack) {
		if bytes.HasPrefix(line, []byte("github.com/dgraph-io/")) {
			return string(bytes.TrimSpace(line))
		}
	}
	return "unknown place"
}

// bridge gives Badger's messages to slog: its warnings and errors as such, the
// rest, which is much, at debug level.
type bridge struct{ log *slog.Logger }

func (b bridge) say(level slog.Level, format string, args []any) {
	if ctx := context.Background(); b.log.Enabled(ctx, level) {
		b.log.Log(ctx, level, "storage engine: "+strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

// Errorf is part of badger.Logger.
func (b bridge) Errorf(format string, args ...any) { b.say(slog.LevelError, format, args) }

// Warningf is part of badger.Logger.
func (b bridge) Warningf(format string, args ...any) { b.say(slog.LevelWarn, format, args) }

// Infof is part of badger.Logger.
func (b bridge) Infof(format string, args ...any) { b.say(slog.LevelDebug, format, args) }

// Debugf is part of badger.Logger.
func (b bridge) Debugf(format string, args ...any) { b.say(slog.LevelDebug, format, args) }
