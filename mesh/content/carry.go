package content

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WriteObject writes an object as [Store.Take] reads it.
func WriteObject(w io.Writer, object []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(object))), object...))
	return err
}

// Take keeps all objects that come from a reader, and returns how many bytes they are. What
// has come stays if the reader fails: whoever sent it goes on from there.
func (s *Store) Take(r io.Reader) (bytes int64, err error) {
	s.use.RLock()
	defer s.use.RUnlock()
	for {
		object, err := readObject(r)
		switch {
		case errors.Is(err, io.EOF):
			return bytes, s.Sync()
		case err != nil:
			return bytes, errors.Join(fmt.Errorf("take objects: %w", err), s.Sync())
		case object == nil:
			return bytes, errors.New("take objects: one is empty")
		}
		if _, err := s.Put(object); err != nil {
			return bytes, errors.Join(err, s.Sync())
		}
		bytes += int64(len(object))
	}
}
