package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"syscall"
)

// watermark is a file with the number of commits. It is written after each
// commit and not synced, so after a power cut it may be behind; never ahead. If
// it is ahead, then commits that were acknowledged are gone. Whoever has it
// open, has the directory.
type watermark struct {
	file  *os.File
	found uint64
}

const watermarkSize = 12

func openWatermark(path string) (*watermark, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the commit count: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process has it open, and a directory is for one agent")
		}
		return nil, errors.Join(err, f.Close())
	}
	w := &watermark{file: f}
	var b [watermarkSize]byte
	_, err = f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read the commit count: %w", err), f.Close())
	}
	// A count that is cut or spoiled says nothing: it only warns.
	if crc32.Checksum(b[:8], castagnoli) == binary.LittleEndian.Uint32(b[8:]) {
		w.found = binary.LittleEndian.Uint64(b[:8])
	}
	return w, nil
}

// behind is by how many a store with that many commits is behind the count.
func (w *watermark) behind(commits uint64) uint64 {
	if w.found <= commits {
		return 0
	}
	return w.found - commits
}

func (w *watermark) set(commits uint64) error {
	var b [watermarkSize]byte
	binary.LittleEndian.PutUint64(b[:8], commits)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[:8], castagnoli))
	if _, err := w.file.WriteAt(b[:], 0); err != nil {
		return fmt.Errorf("write the commit count: %w", err)
	}
	return nil
}

func (w *watermark) close() error { return w.file.Close() }
