package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// What both streams have is read by time, whether it is followed or not; a tail is of both.
func TestStreamsAreMergedByTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		streams := rapid.SliceOfN(rapid.SampledFrom([]string{Stdout, Stderr}), 0, 40).Draw(r, "streams")
		tail := rapid.IntRange(-1, 45).Draw(r, "tail")
		follow := rapid.Bool().Draw(r, "follow")
		size := rapid.Int64Range(8, 64).Draw(r, "file")
		fault := ""
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(must(os.MkdirTemp(t.TempDir(), "")), "log")
			limits := Limits{FileBytes: size, Files: 1000}
			out, err := NewWriter(dir, Stdout, limits), NewWriter(dir, Stderr, limits)
			defer out.Close()
			defer err.Close()
			var want []string
			for i, s := range streams {
				w := out
				if s == Stderr {
					w = err
				}
				write(t, w, fmt.Sprintln(i))
				want = append(want, strconv.Itoa(i))
				time.Sleep(2 * timesEvery)
			}
			if tail >= 0 {
				want = want[max(0, len(want)-tail):]
			}
			var got []string
			done := make(chan struct{})
			close(done)
			failed := Read(t.Context(), dir, Query{Tail: tail, Follow: follow, Done: done}, func(l Line) error {
				if got = append(got, l.Text); !l.At.IsZero() {
					return errors.New("a time that nobody asked for")
				}
				return nil
			})
			if failed != nil || !slices.Equal(got, want) {
				fault = fmt.Sprintf("got %q, %v, want %q", got, failed, want)
			}
		})
		if fault != "" {
			r.Fatal(fault)
		}
	})
}

func TestStreamsWithoutTimesComeOneAfterTheOther(t *testing.T) {
	dir := t.TempDir()
	for stream, text := range map[string]string{Stdout: "a\nb\nc", Stderr: "x\ny\n"} {
		if err := os.WriteFile(filepath.Join(dir, fileName(stream, 0)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What has no newline yet may go on: it comes last.
	for tail, want := range map[int]string{-1: "a b x y c", 1: "c", 2: "y c", 3: "x y c", 9: "a b x y c"} {
		var got []string
		err := Read(context.Background(), dir, Query{Tail: tail}, func(l Line) error {
			got = append(got, l.Text)
			return nil
		})
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("tail %d: got %q, %v, want %q", tail, got, err, want)
		}
	}
}
