package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
)

// answers has a store answer what is asked of it.
func answers(s *Store) Source {
	return Dial(func(context.Context) (io.ReadWriteCloser, error) {
		ask, answer := net.Pipe()
		go func() {
			defer answer.Close()
			_ = s.Answer(answer)
		}()
		return ask, nil
	})
}

// TestSentTreeIsReceivedOrRefused: what is not here is fetched on the way; what comes is
// checked before it is written.
func TestSentTreeIsReceivedOrRefused(t *testing.T) {
	from, via := open(t), open(t)
	big := bytes.Repeat([]byte("x"), PieceBytes+5)
	root := folder(t, map[string]string{
		"out/a": "aaa", "out/b": "", "big": string(big), "link": "->out/a", "skip": "no", "empty/": "",
	})
	h, err := from.Pack(t.Context(), root, Packing{
		Regular: true, FilesMax: 4, Skip: func(name string, _ bool) bool { return name == "skip" },
	})
	if err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	if err := via.Send(t.Context(), h, nil, &sent); !errors.Is(err, ErrMissing) || sent.Len() > 0 {
		t.Errorf("of what nobody has: got %v, and %d bytes", err, sent.Len())
	}
	if err := via.Send(t.Context(), h, []Source{answers(from)}, &sent); err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) (map[string]string, error) {
		got := map[string]*bytes.Buffer{}
		_, err := Receive(bytes.NewReader(b), h, func(e *Entry) (io.WriteCloser, error) {
			got[e.Path] = &bytes.Buffer{}
			return closing{got[e.Path]}, nil
		})
		texts := map[string]string{}
		for name, b := range got {
			texts[name] = b.String()
		}
		return texts, err
	}
	got, err := read(sent.Bytes())
	if err != nil || len(got) != 3 || got["out/a"] != "aaa" || got["big"] != string(big) || got["out/b"] != "" {
		t.Errorf("got %d files, %v", len(got), err)
	}
	spoilt := bytes.Clone(sent.Bytes())
	spoilt[len(spoilt)-2] ^= 1
	for name, b := range map[string][]byte{"spoilt": spoilt, "cut short": sent.Bytes()[:sent.Len()-3], "nothing": nil} {
		if _, err := read(b); err == nil {
			t.Errorf("%s: it is received", name)
		}
	}
	if _, err := from.Pack(t.Context(), root, Packing{Regular: true, FilesMax: 4}); err == nil {
		t.Error("more files are packed than may be")
	}
}

type closing struct{ *bytes.Buffer }

func (closing) Close() error { return nil }

// TestShortTextsAreKept by their names, in one tree.
func TestShortTextsAreKept(t *testing.T) {
	s := open(t)
	h, err := s.PutTexts(map[string][]byte{"stdout": []byte("a\n"), "stderr": nil})
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.Tree(h)
	if err != nil || len(tree.Entries) != 2 {
		t.Fatalf("got %+v, %v", tree, err)
	}
	b, err := s.Bytes(&tree.Entries[1])
	if err != nil || string(b) != "a\n" || tree.Entries[1].Sum() != HashOf([]byte("a\n")) {
		t.Errorf("got %q, %v", b, err)
	}
	if _, err := s.PutTexts(map[string][]byte{"../x": nil}); err == nil {
		t.Error("a name that leads out is kept")
	}
	if _, err := os.Stat("../x"); err == nil {
		t.Error("something was written")
	}
}
