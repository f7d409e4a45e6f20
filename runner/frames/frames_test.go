package frames

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFramesAreReadAsTheyWereWritten(t *testing.T) {
	long := bytes.Repeat([]byte("x"), PayloadMax)
	var b bytes.Buffer
	for _, p := range [][]byte{nil, []byte("a"), long, {0}} {
		if err := Write(&b, Stdout, p); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader(&b)
	for _, want := range [][]byte{nil, []byte("a"), long, {0}} {
		kind, got, err := r.Next()
		if err != nil || kind != Stdout || !bytes.Equal(got, want) {
			t.Errorf("got %q with %d bytes, %v, want %d bytes", kind, len(got), err, len(want))
		}
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: got %v, want EOF", err)
	}
}

func TestWhatIsNoFrameIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"half a header":  {"o\x00\x00", io.ErrUnexpectedEOF},
		"no payload":     {"o\x00\x00\x00\x02", io.ErrUnexpectedEOF},
		"half a payload": {"o\x00\x00\x00\x02a", io.ErrUnexpectedEOF},
		"too long":       {"o\x00\x00\x80\x01", ErrTooLong},
		"longest":        {"o\xff\xff\xff\xff", ErrTooLong},
	} {
		if _, _, err := NewReader(bytes.NewReader([]byte(c.text))).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// Whatever comes, what is read is what was sent, and no more memory is taken than a frame has.
func FuzzFramesOfStrangers(f *testing.F) {
	f.Add([]byte("i\x00\x00\x00\x01a"))
	f.Add([]byte("x\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := NewReader(bytes.NewReader(text))
		var again []byte
		for {
			kind, payload, err := r.Next()
			if err != nil {
				break
			}
			again = Append(again, kind, payload)
		}
		if !bytes.HasPrefix(text, again) || cap(r.buf) > PayloadMax {
			t.Errorf("%q was read as %q, with a buffer of %d", text, again, cap(r.buf))
		}
	})
}
