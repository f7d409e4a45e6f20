package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Of whatever is written whenever, one reads since an instant all lines that were begun then or
// later, and of those before none that is older than the times are exact; and each line has its
// time.
func TestSinceGivesWhatWasWrittenSince(t *testing.T) {
	type piece struct {
		pause  time.Duration // before it
		ends   bool          // its line
		anew   bool          // the writer begins anew behind it
		joined bool          // it is written together with the one before
	}
	rapid.Check(t, func(r *rapid.T) {
		ms := func(most int, name string) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(r, name)) * time.Millisecond
		}
		pieces := make([]piece, rapid.IntRange(1, 30).Draw(r, "pieces"))
		for i := range pieces {
			pieces[i] = piece{
				ms(4000, "pause"), rapid.Bool().Draw(r, "ends"),
				rapid.IntRange(0, 9).Draw(r, "anew") == 0, rapid.Bool().Draw(r, "joined"),
			}
		}
		ago := ms(60_000, "since")
		fault := ""
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(must(os.MkdirTemp(t.TempDir(), "")), "log")
			limits := Limits{FileBytes: 64, Files: 1000}
			w := NewWriter(dir, Stdout, limits)
			var begun []time.Time // of the lines, which are called by their numbers
			since, text, within := time.Now().Add(ago), "", false
			for i, p := range pieces {
				if !p.joined {
					write(t, w, text)
					time.Sleep(p.pause)
					text = ""
				}
				if !within {
					text += fmt.Sprint(len(begun))
					begun = append(begun, time.Now())
				}
				text += " and"
				if within = !p.ends; p.ends {
					text += "\n"
				}
				if p.anew || i == len(pieces)-1 {
					write(t, w, text)
					w.Close()
					w, text = NewWriter(dir, Stdout, limits), ""
				}
			}
			fault = wrongSince(t, dir, since, begun)
		})
		if fault != "" {
			r.Fatal(fault)
		}
	})
}

// wrongSince is what is wrong with what one reads since an instant of lines that were begun at
// some, or "".
func wrongSince(t *testing.T, dir string, since time.Time, begun []time.Time) (fault string) {
	var got []int
	err := Read(t.Context(), dir, Query{Tail: -1, Since: since, Times: true}, func(l Line) error {
		n := -1
		fmt.Sscan(l.Text, &n)
		if n < 0 || n >= len(begun) {
			return fmt.Errorf("the line %q is none", l.Text)
		}
		got = append(got, n)
		if late := begun[n].Sub(l.At); late < 0 || late >= timesEvery {
			return fmt.Errorf("line %d was begun at %v, and has the time %v", n, begun[n], l.At)
		}
		if since.Sub(begun[n]) >= timesEvery {
			return fmt.Errorf("line %d of %v came, since %v", n, begun[n], since)
		}
		return nil
	})
	if err != nil {
		return err.Error()
	}
	for n, at := range begun {
		if !at.Before(since) && !slices.Contains(got, n) {
			return fmt.Sprintf("line %d of %v is missing, since %v: %v", n, at, since, got)
		}
	}
	if !slices.IsSorted(got) {
		return fmt.Sprintf("the order is %v", got)
	}
	return ""
}

func TestSinceAndTailAreBothHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := NewWriter(dir, Stdout, DefaultLimits())
		defer w.Close()
		write(t, w, "a\nb\n")
		time.Sleep(time.Minute)
		now := time.Now()
		write(t, w, "c\nd\n")
		for tail, want := range map[int]int{-1: 2, 1: 1, 3: 2, 0: 0} {
			n := 0
			if err := Read(t.Context(), dir, Query{Tail: tail, Since: now}, func(Line) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
			if n != want {
				t.Errorf("of the last %d there are %d since then, want %d", tail, n, want)
			}
		}
	})
}

// Files without times, as mn once wrote, are read whole, and spoiled times harm nobody.
func TestLogsWithoutTimes(t *testing.T) {
	for name, times := range map[string][]byte{
		"none": nil, "torn": {1, 2, 3}, "beyond the end": append(make([]byte, 12), 255, 255, 255, 255),
		"before the file": append(make([]byte, 8), 255, 255, 255, 255, 255, 255, 255, 255),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, fileName(Stdout, 0))
			if err := os.WriteFile(file, []byte("a\nb\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if times != nil {
				if err := os.WriteFile(file+timesEnd, times, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w := NewWriter(dir, Stdout, DefaultLimits())
			write(t, w, "c\n")
			w.Close()
			var got []string
			q := Query{Tail: -1, Since: time.Now().Add(-time.Hour), Times: true}
			err := Read(t.Context(), dir, q, func(l Line) error {
				got = append(got, l.Text)
				return nil
			})
			if err != nil || len(got) == 0 || got[len(got)-1] != "c" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestTimesGoWithTheirFiles(t *testing.T) {
	dir := t.TempDir()
	w := NewWriter(dir, Stdout, Limits{FileBytes: 4, Files: 2})
	defer w.Close()
	for range 9 {
		write(t, w, "abc\n")
	}
	left := must(filepath.Glob(filepath.Join(dir, "*")))
	if len(left) != 4 {
		t.Errorf("there are %q, want two files and their times", left)
	}
}
