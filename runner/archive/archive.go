// Package archive is for unpacking archives that come from anybody: tar, plain or packed with
// gzip or zstd, and zip.
//
// What an archive says is not believed. Everything is made beneath one folder, through
// [os.Root], and:
//
//  1. A path is relative and clean, and what leads to it are folders of the archive. A name that
//     was there is an error, not replaced: so nothing is written through a link.
//  2. Symbolic links point to what is beneath the folder, by their text, and are made when all
//     else is there. Hard links are to files of the archive.
//  3. There are files, folders and links, and nothing else: devices, pipes and sockets are
//     errors. Of modes only who may read, write and execute is kept.
//  4. [Bounds] hold, whatever the headers say: they are counted while bytes are written.
//
// An error leaves what was made by then: unpack into a folder that nobody sees, and rename it
// when all is there.
package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/klauspost/compress/zstd"
)

// Bounds of what an archive may unpack to.
type Bounds struct {
	Entries int   // files, folders and links
	Bytes   int64 // of all files
	Ratio   int64 // bytes for each byte of the archive, beyond the first MiB
}

// Defaults are what no honest archive of a job comes near to.
var Defaults = Bounds{Entries: 200_000, Bytes: 128 << 30, Ratio: 200}

const (
	ratioFree  = 1 << 20  // bytes that may be had of however small an archive
	pathMax    = 1024     // bytes
	depthMax   = 64       // folders in each other
	namesMax   = 32 << 20 // bytes of all names, and of where links point to: they are kept in memory
	windowMax  = 128 << 20
	listMax    = 64 << 20  // bytes of a zip's list of files, which is kept in memory
	reserve    = 256 << 20 // bytes of the disk that stay free
	lookEvery  = 16 << 20  // bytes after which the disk is looked at
	bufferSize = 64 << 10
)

// Unpack unpacks an archive of some size into an empty folder. Its suffix says what it is:
// .tar, .tar.gz, .tgz, .tar.zst or .zip.
func Unpack(ctx context.Context, suffix string, r io.ReaderAt, size int64, into *os.Root, b Bounds) error {
	w := NewWriter(ctx, into, b, size)
	var err error
	switch in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), bufferSize); suffix {
	case ".tar":
		err = w.tar(in)
	case ".tar.gz", ".tgz":
		err = w.gzip(in)
	case ".tar.zst":
		err = w.zstd(in)
	case ".zip":
		err = w.zip(r, size)
	default:
		err = fmt.Errorf("%q is no suffix of an archive", suffix)
	}
	if err == nil {
		err = w.Finish()
	}
	if err != nil {
		return fmt.Errorf("unpack archive: %w", err)
	}
	return nil
}

func (w *Writer) gzip(r io.Reader) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	return errors.Join(w.tar(z), z.Close())
}

func (w *Writer) zstd(r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(windowMax),
		zstd.WithDecoderMaxMemory(windowMax))
	if err != nil {
		return err
	}
	defer z.Close()
	return w.tar(z)
}

// tar unpacks what a tar file lists. What is between the files counts, too: to read it takes time.
func (w *Writer) tar(r io.Reader) error {
	t := tar.NewReader(&metered{w, r, &w.read})
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		mode := fs.FileMode(h.Mode).Perm()
		switch h.Typeflag {
		case tar.TypeDir:
			err = w.folder(h.Name, mode)
		case tar.TypeReg:
			err = w.File(h.Name, mode, t)
		case tar.TypeSymlink:
			err = w.Link(h.Name, h.Linkname)
		case tar.TypeLink:
			err = w.hardLink(h.Name, h.Linkname)
		case tar.TypeXGlobalHeader: // a comment, such as git archive's
			err = w.count()
		default:
			err = fmt.Errorf("%q is neither a file, a folder nor a link, but of type %q", clip(h.Name), h.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

// zip unpacks what a zip file lists.
func (w *Writer) zip(r io.ReaderAt, size int64) error {
	listed := &bounded{r: r, left: listMax}
	z, err := zip.NewReader(listed, size)
	listed.left = math.MaxInt64 // of what is listed, all may be
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	if len(z.File) > w.bounds.Entries {
		return fmt.Errorf("%d files, more than %d", len(z.File), w.bounds.Entries)
	}
	for _, f := range z.File {
		if err := w.zipped(f); err != nil {
			return err
		}
	}
	return nil
}

// bounded is a file of which only so much is read while its list is.
type bounded struct {
	r    io.ReaderAt
	left int64
}

func (b *bounded) ReadAt(p []byte, at int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("its list of files is longer than %d bytes", listMax)
	}
	return b.r.ReadAt(p, at)
}

func (w *Writer) zipped(f *zip.File) error {
	mode := f.Mode()
	switch {
	case f.Flags&1 != 0:
		return fmt.Errorf("%q is encrypted", clip(f.Name))
	case mode.IsDir():
		return w.folder(f.Name, mode.Perm())
	case mode&fs.ModeType != 0 && mode&fs.ModeType != fs.ModeSymlink:
		return fmt.Errorf("%q is neither a file, a folder nor a link", clip(f.Name))
	}
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("read %q: %w", clip(f.Name), err)
	}
	defer in.Close()
	if mode&fs.ModeSymlink == 0 {
		return w.File(f.Name, mode.Perm(), in)
	}
	to, err := io.ReadAll(io.LimitReader(in, pathMax+1))
	if err != nil {
		return fmt.Errorf("read %q: %w", clip(f.Name), err)
	}
	return w.Link(f.Name, string(to))
}

// clip is the beginning of a name that may be too long to be told.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
