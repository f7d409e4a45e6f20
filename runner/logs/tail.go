package logs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"slices"
)

// Tail is the end of the streams of a log, of most bytes together: half of them for each,
// and what one has not used for the other. A stream that is longer begins with a whole line.
func Tail(dir string, most int) (map[string][]byte, error) {
	end := map[string][]byte{}
	for _, stream := range []string{Stdout, Stderr} {
		b, err := last(dir, stream, most)
		if err != nil {
			return nil, err
		}
		end[stream] = b
	}
	half := most / 2
	out := max(half, most-len(end[Stderr]))
	end[Stdout] = cutLines(end[Stdout], out)
	end[Stderr] = cutLines(end[Stderr], max(half, most-len(end[Stdout])))
	return end, nil
}

// Size is how many bytes of a log are kept, and of which files: while neither changes nothing
// was written.
func Size(dir string) (bytes int64, newest int) {
	for _, stream := range []string{Stdout, Stderr} {
		found, err := fileNumbers(dir, stream)
		if err != nil || len(found) == 0 {
			continue
		}
		newest += found[len(found)-1]
		for _, n := range found {
			if info, err := os.Lstat(path.Join(dir, fileName(stream, n))); err == nil {
				bytes += info.Size()
			}
		}
	}
	return bytes, newest
}

// last is the end of a stream, of most bytes and one more if there are.
func last(dir, stream string, most int) ([]byte, error) {
	found, err := fileNumbers(dir, stream)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parts [][]byte
	for left := most + 1; left > 0 && len(found) > 0; found = found[:len(found)-1] {
		b, err := lastOf(path.Join(dir, fileName(stream, found[len(found)-1])), left)
		if err != nil {
			return nil, err
		}
		parts, left = append(parts, b), left-len(b)
	}
	slices.Reverse(parts)
	return bytes.Join(parts, nil), nil
}

func lastOf(name string, most int) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // rotated away
	}
	if err != nil {
		return nil, &fault{"open log", err}
	}
	defer f.Close()
	size, err := sizeOf(f)
	if err == nil {
		_, err = f.Seek(max(0, size-int64(most)), io.SeekStart)
	}
	if err != nil {
		return nil, &fault{"read log", err}
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)))
	if err != nil {
		return nil, &fault{"read log", err}
	}
	return b, nil
}

// cutLines is the end of a text of at most so many bytes, from the beginning of a line on if
// there is one.
func cutLines(b []byte, most int) []byte {
	if len(b) <= most {
		return b
	}
	b = b[len(b)-most-1:] // and what comes before
	if i := bytes.IndexByte(b, '\n'); i >= 0 && i+1 < len(b) {
		return b[i+1:]
	}
	return b[1:]
}

// Lines sends the lines of a text, of which so many are wanted of its end; all if it is -1.
func Lines(stream string, text []byte, tail int, send func(Line) error) error {
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	if len(text) == 0 {
		return nil
	}
	if tail >= 0 {
		lines = lines[max(0, len(lines)-tail):]
	}
	for _, l := range lines {
		for len(l) > LineMax {
			if err := send(Line{Stream: stream, Text: string(l[:LineMax])}); err != nil {
				return err
			}
			l = l[LineMax:]
		}
		if err := send(Line{Stream: stream, Text: string(l)}); err != nil {
			return err
		}
	}
	return nil
}
