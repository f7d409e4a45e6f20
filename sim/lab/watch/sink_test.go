package watch

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSinkKeepsTheOrder(t *testing.T) {
	s := Sink(filepath.Join(t.TempDir(), "sink"))
	if got, err := s.Tokens(); err != nil || got != nil {
		t.Errorf("an empty sink has %v, %v", got, err)
	}
	var want []Token
	for i := range 5 {
		w := Token{At: Now(), Job: "web", Index: i % 2, Fence: uint64(i), Alloc: "abc", Node: "n", What: "tick"}
		want = append(want, w)
		if err := s.Write(w); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Tokens(); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestSinkThatMakesNoSenseIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sink")
	if err := os.WriteFile(path, []byte("1 web zero 1 a n tick\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Sink(path).Tokens(); err == nil {
		t.Errorf("it was read as %v", got)
	}
}

func TestBackward(t *testing.T) {
	token := func(job string, index int, fence uint64) Token {
		return Token{Job: job, Index: index, Fence: fence}
	}
	got := Backward([]Token{
		token("web", 0, 5), token("web", 1, 4), token("db", 0, 1), // each index of each job for itself
		token("web", 0, 5), token("web", 0, 7),
		token("web", 0, 5),                     // this one
		token("web", 0, 7), token("web", 1, 3), // and this one
		token("web", 0, 8),
	})
	want := [][2]Token{{token("web", 0, 7), token("web", 0, 5)}, {token("web", 1, 4), token("web", 1, 3)}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
