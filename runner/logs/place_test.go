package logs

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whoever goes on from where any line ended, or from where the reading began, misses nothing and
// gets nothing twice, however the log has grown and rotated.
func TestReaderGoesOnFromItsPlace(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dir := must(os.MkdirTemp(t.TempDir(), ""))
		lines := rapid.SliceOfN(rapid.StringMatching(`[a-z]{0,9}`), 1, 30).Draw(r, "lines")
		cut := rapid.IntRange(0, len(lines)).Draw(r, "cut") // that are there when the first reader reads
		stop := rapid.IntRange(0, cut).Draw(r, "stop")      // lines until it is gone
		limits := Limits{FileBytes: rapid.Int64Range(10, 64).Draw(r, "file"), Files: 1 << 20}
		w := NewWriter(dir, Stdout, limits)
		defer w.Close()
		writeLines := func(lines []string) {
			for _, l := range lines {
				w.Write([]byte(l + "\n"))
			}
		}
		writeLines(lines[:cut])
		var got []string
		from := map[string]Place{}
		gone := errors.New("gone")
		begins := func(stream string, at Place) error {
			if from[stream] = at; stop == 0 && stream == Stderr {
				return gone
			}
			return nil
		}
		err := Read(t.Context(), dir, Query{Tail: -1, Begins: begins}, func(l Line) error {
			if len(got) == stop {
				return gone
			}
			got, from[l.Stream] = append(got, l.Text), l.Next
			return nil
		})
		if err != nil && !errors.Is(err, gone) {
			r.Fatal(err)
		}
		writeLines(lines[cut:])
		for stream, p := range from {
			if again, ok := ParsePlace(p.String()); !ok || again != p {
				r.Fatalf("the place %+v of %s is read as %+v, %v", p, stream, again, ok)
			}
		}
		err = Read(t.Context(), dir, Query{From: from}, func(l Line) error {
			got = append(got, l.Text)
			return nil
		})
		if err != nil || !slices.Equal(got, lines) {
			r.Fatalf("got %q, %v, want %q", got, err, lines)
		}
	})
}

func TestReaderGoesOnBehindWhatIsGone(t *testing.T) {
	for name, test := range map[string]struct {
		first int // file that is left
		text  string
		from  Place
		want  string
	}{
		"rotated away":           {3, "c\n", Place{1, 5}, "2 files of stdout were rotated away before they were read c"},
		"shorter than it was":    {1, "c\n", Place{1, 5}, ""},
		"a log that began anew":  {0, "c\n", Place{1, 5}, "c"},
		"within what there is":   {1, "c\nd\n", Place{1, 2}, "d"},
		"at the end of the file": {1, "c\nd\n", Place{1, 4}, ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+fileName(Stdout, test.first), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := Read(t.Context(), dir, Query{From: map[string]Place{Stdout: test.from}}, func(l Line) error {
			got = append(got, l.Text)
			return nil
		})
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
		}
	}
	for _, s := range []string{"", "1", "1.", ".1", "1.-1", "-1.1", "01.1", "1.1.1"} {
		if p, ok := ParsePlace(s); ok {
			t.Errorf("%q is read as %+v", s, p)
		}
	}
}
