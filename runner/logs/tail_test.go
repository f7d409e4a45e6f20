package logs

import (
	"fmt"
	"strings"
	"testing"
)

// TestTailIsTheEndOfBothStreams, over files that were rotated, from the beginning of a line.
func TestTailIsTheEndOfBothStreams(t *testing.T) {
	dir := t.TempDir()
	if end, err := Tail(dir+"/none", 100); err != nil || len(end[Stdout]) != 0 {
		t.Errorf("of no log: got %v, %v", end, err)
	}
	out := NewWriter(dir, Stdout, Limits{FileBytes: 50, Files: 20})
	errs := NewWriter(dir, Stderr, Limits{FileBytes: 50, Files: 20})
	var all strings.Builder
	for i := range 40 {
		line := fmt.Sprintf("line %d\n", i)
		all.WriteString(line)
		if _, err := out.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := errs.Write([]byte("oh\n")); err != nil {
		t.Fatal(err)
	}
	if out.Close() != nil || errs.Close() != nil {
		t.Fatal("not closed")
	}
	for most, want := range map[int]string{
		1000: all.String(), 27: "line 37\nline 38\nline 39\n", 26: "line 38\nline 39\n", 4: "9\n",
	} {
		end, err := Tail(dir, most)
		if err != nil || string(end[Stdout]) != want && most > 4 {
			t.Errorf("%d bytes: got %q, %v, want %q", most, end[Stdout], err, want)
		}
		if n := len(end[Stdout]) + len(end[Stderr]); n > most {
			t.Errorf("%d bytes: got %d", most, n)
		}
		if most > 6 && string(end[Stderr]) != "oh\n" {
			t.Errorf("%d bytes: got %q of the other stream", most, end[Stderr])
		}
	}
	n, newest := Size(dir)
	if n != int64(all.Len()+3) || newest == 0 {
		t.Errorf("got %d bytes, newest %d, want %d", n, newest, all.Len()+3)
	}
	var got []string
	_ = Lines(Stdout, []byte("a\nb\n\nc"), 3, func(l Line) error { got = append(got, l.Text); return nil })
	if strings.Join(got, ",") != "b,,c" {
		t.Errorf("got %q", got)
	}
}
