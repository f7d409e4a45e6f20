package inventory

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAToolThatIsNotThere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := ask(t.Context(), smi); !errors.Is(err, errAbsent) {
		t.Errorf("got %v", err)
	}
	for _, s := range []Source{nvidia{os.DirFS(t.TempDir())}, apple{}, &cards{root: os.DirFS(t.TempDir())}} {
		if got, err := s.Read(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("%s: got %d devices, error %v", s.Name(), len(got), err)
		}
	}
}

// A tool that hangs is killed, with what it has started and what keeps its output open.
func TestAToolThatHangsIsKilled(t *testing.T) {
	put := fake(t, smi)
	fifo := filepath.Join(t.TempDir(), "held")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	put("does", "sleep 600 >"+fifo+" & sleep 600\n")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = ask(ctx, smi)
	if want := "nvidia-smi did not answer in time, and was killed"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if err := held.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := held.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("what it started lives on: %v", err)
	}
}

func TestAToolThatSaysTooMuch(t *testing.T) {
	put := fake(t, smi)
	put("does", "exec cat /dev/zero\n")
	if _, err := ask(t.Context(), smi); err == nil || err.Error() != "nvidia-smi says more than 8388608 bytes" {
		t.Errorf("got %v", err)
	}
}

func TestTextsFromOutsideAreMadePlain(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"  NVIDIA\n\tA100  ":     "NVIDIA A100",
		"\x1b[31mred\x00\u202e":  "[31mred",
		"bad \xff byte":          "bad byte",
		strings.Repeat("ü", 200): strings.Repeat("ü", 98) + "…",
	} {
		if got := plain(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
