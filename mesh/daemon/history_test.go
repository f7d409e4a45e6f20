package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/crdt"
	"mn/mesh"
	"mn/mesh/api"
)

var (
	quiet    = slog.New(slog.DiscardHandler)
	smallest = historyLimits{events: 6, bytes: 1 << 20, segment: 600}
)

// past makes events with the texts from..to-1.
func past(from, to int) []mesh.Event {
	var events []mesh.Event
	for i := from; i < to; i++ {
		events = append(events, mesh.Event{At: time.Unix(int64(i), 0), Node: "me", Kind: mesh.TaskStarted, Text: fmt.Sprintf("%05d", i)})
	}
	return events
}

// readAll is what someone reads who was at a cursor: texts, "gap" for each gap,
// and the cursor after it.
func readAll(h *history, r api.EventsRequest) ([]string, api.Cursor) {
	in := newReader(h, "me", r)
	lines, _ := in.next()
	if r.After.IsZero() {
		lines = tail(lines, r.Tail)
	}
	var texts []string
	for _, l := range lines {
		if l.line.Kind == api.EventGap {
			texts = append(texts, "gap")
			continue
		}
		texts = append(texts, l.line.Text)
	}
	return texts, api.Cursor{Nodes: map[mesh.NodeID]api.Position{"me": in.at}}
}

// life is a history whose agent comes to an end again and again, and someone
// who reads it.
type life struct {
	*history
	dir  string
	now  time.Time
	made int        // events so far
	read int        // the number of the event that is expected next
	at   api.Cursor // of who reads
}

func (l *life) start() {
	l.now = l.now.Add(time.Second)
	l.history = openHistory(l.dir, smallest, l.now, quiet)
}

// end ends the agent; if not in order, then its last bytes never reach the disk.
func (l *life) end(t *rapid.T, lost int64) {
	l.close()
	file := filepath.Join(l.dir, journalNew)
	info, err := os.Stat(file)
	if err == nil && lost > 0 {
		err = os.Truncate(file, max(info.Size()-lost, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// goOn reads what has come: all that is kept of it, and where some are missing,
// that they are.
func (l *life) goOn(t *rapid.T) {
	var want []string
	for _, p := range l.past {
		if p.event.Text >= fmt.Sprintf("%05d", l.read) {
			want = append(want, p.event.Text)
		}
	}
	lines, at := readAll(l.history, api.EventsRequest{After: l.at})
	got := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return line == "gap" })
	if !slices.Equal(got, want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	told := false
	for _, line := range lines {
		if line == "gap" {
			told = true
			continue
		}
		if next := fmt.Sprintf("%05d", l.read); line != next && !told {
			t.Fatalf("%s is missing, and nobody says so: %v", next, lines)
		}
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		l.read, told = n+1, false
	}
	l.at = at
}

// TestEachKeptEventIsReadOnce: whatever happens to the agent and its files
// between, who reads on after a cursor has each event that is kept exactly once,
// in its order, and is told where some are missing.
func TestEachKeptEventIsReadOnce(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		l := &life{dir: dir, now: time.Unix(1e9, 0)}
		l.start()
		defer func() { l.close() }()
		_, l.at = readAll(l.history, api.EventsRequest{})
		t.Repeat(map[string]func(*rapid.T){
			"happen": func(t *rapid.T) {
				n := rapid.IntRange(1, 9).Draw(t, "events")
				l.add(past(l.made, l.made+n))
				l.made += n
			},
			"read":    l.goOn,
			"restart": func(t *rapid.T) { l.end(t, 0); l.start() },
			"kill": func(t *rapid.T) {
				l.end(t, rapid.Int64Range(1, 1500).Draw(t, "bytes lost"))
				l.start()
			},
		})
		l.goOn(t)
	})
}

func TestWhatIsReadOfAHistory(t *testing.T) {
	h := newHistory(historyLimits{events: 5, bytes: 1 << 20}, time.UnixMilli(7))
	h.add(past(1, 9)) // 4 to 8 are kept
	after := func(run, number uint64) api.Cursor {
		return api.Cursor{Nodes: map[mesh.NodeID]api.Position{"me": {Run: run, Number: number}}}
	}
	for _, test := range []struct {
		name string
		r    api.EventsRequest
		want string
	}{
		{"all", api.EventsRequest{Tail: -1}, "00004 00005 00006 00007 00008"},
		{"the last", api.EventsRequest{Tail: 2}, "00007 00008"},
		{"more than there are", api.EventsRequest{Tail: 9}, "00004 00005 00006 00007 00008"},
		{"none", api.EventsRequest{}, ""},
		{"since a time", api.EventsRequest{Tail: -1, Since: time.Unix(7, 0)}, "00007 00008"},
		{"after one", api.EventsRequest{After: after(7, 6)}, "00007 00008"},
		{"after the last", api.EventsRequest{After: after(7, 8)}, ""},
		{"after one that is gone", api.EventsRequest{After: after(7, 2)}, "gap 00004 00005 00006 00007 00008"},
		{"after the last that is gone", api.EventsRequest{After: after(7, 3)}, "00004 00005 00006 00007 00008"},
		{"after one of an earlier run", api.EventsRequest{After: after(6, 1)}, "gap 00004 00005 00006 00007 00008"},
		{"after one that was never", api.EventsRequest{After: after(7, 9)}, "gap 00004 00005 00006 00007 00008"},
		{"after one of a run to come", api.EventsRequest{After: after(8, 1)}, "gap 00004 00005 00006 00007 00008"},
		{
			"of a node that the cursor does not have",
			api.EventsRequest{After: api.Cursor{Floor: time.Unix(8, 0)}},
			"00008",
		},
		{"of another job", api.EventsRequest{Tail: -1, Job: "other"}, ""},
		{"gaps whatever is asked for", api.EventsRequest{After: after(7, 2), Job: "other"}, "gap"},
	} {
		t.Run(test.name, func(t *testing.T) {
			texts, _ := readAll(h, test.r)
			if got := strings.Join(texts, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestAnotherHistoryIsReadOnce: the one that a cursor is of is gone.
func TestAnotherHistoryIsReadOnce(t *testing.T) {
	h := newHistory(smallest, time.UnixMilli(7))
	at := api.Cursor{Nodes: map[mesh.NodeID]api.Position{"me": {Run: 9, Number: 9}}}
	for _, want := range []string{"", "gap 00001", "00002", ""} {
		var texts []string
		texts, at = readAll(h, api.EventsRequest{After: at})
		if got := strings.Join(texts, " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if h.head.Number < 2 {
			h.add(past(int(h.head.Number)+1, int(h.head.Number)+2))
		}
	}
}

// TestOrderlyRestartsLeaveNoGap: not even that of an agent that saw nothing.
func TestOrderlyRestartsLeaveNoGap(t *testing.T) {
	l := &life{dir: t.TempDir(), now: time.Unix(1e9, 0)}
	l.start()
	l.add(past(1, 3))
	for i := 3; i < 9; i++ {
		_, at := readAll(l.history, api.EventsRequest{})
		for range i % 3 {
			l.close()
			l.start()
		}
		_, fresh := readAll(l.history, api.EventsRequest{})
		l.close()
		l.start()
		l.add(past(i, i+1))
		for _, from := range []api.Cursor{at, fresh} {
			if got, _ := readAll(l.history, api.EventsRequest{After: from}); len(got) != 1 || got[0] == "gap" {
				t.Errorf("after %v: got %v, want %05d", from, got, i)
			}
		}
	}
	l.close()
}

func TestAHistoryIsBoundedInMemoryAndOnDisk(t *testing.T) {
	dir := t.TempDir()
	l := historyLimits{events: 1000, bytes: 20_000, segment: 10_000}
	h := openHistory(dir, l, clocks().Wall, quiet)
	long := past(0, 1)
	long[0].Text = strings.Repeat("ü", eventTextMax)
	for i := range 200 {
		h.add(past(i, i+1))
		if i%10 == 0 {
			h.add(long)
		}
		if h.bytes > l.bytes {
			t.Fatalf("%d bytes are kept, more than %d", h.bytes, l.bytes)
		}
	}
	h.close()
	for _, name := range []string{journalNew, journalOld} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Size() > l.segment+linesMax*(eventTextMax+1000) {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	again := openHistory(dir, l, clocks().Wall, quiet)
	defer again.close()
	if last := again.past[len(again.past)-1].event.Text; last != "00199" {
		t.Errorf("the last after a restart is %q", last)
	}
	for _, p := range again.past {
		if n := len(p.event.Text); n > eventTextMax+len("…") {
			t.Errorf("a text of %d bytes is kept", n)
		}
	}
}

// TestADiskThatRefusesCostsEventsOnlyAfterARestart: they are served, with one
// warning, and what is lost of them is said.
func TestADiskThatRefusesCostsEventsOnlyAfterARestart(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, journalNew), 0o700); err != nil { // in the file's place
		t.Fatal(err)
	}
	var said bytes.Buffer
	h := openHistory(dir, smallest, time.UnixMilli(7), slog.New(slog.NewTextHandler(&said, nil)))
	_, at := readAll(h, api.EventsRequest{})
	h.add(past(0, 2))
	h.add(past(2, 3))
	texts, at := readAll(h, api.EventsRequest{After: at})
	if got := strings.Join(texts, " "); got != "00000 00001 00002" {
		t.Errorf("read %q on a disk that refuses", got)
	}
	h.close()
	if n := strings.Count(said.String(), "memory only"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, &said)
	}
	if err := os.Remove(filepath.Join(dir, journalNew)); err != nil {
		t.Fatal(err)
	}
	h = openHistory(dir, smallest, time.UnixMilli(8), quiet)
	defer h.close()
	h.add(past(3, 4))
	texts, _ = readAll(h, api.EventsRequest{After: at})
	if got := strings.Join(texts, " "); got != "gap 00003" {
		t.Errorf("read %q after a restart", got)
	}
}

// TestATornLineCostsOneEvent: also the next one is on a line of its own.
func TestATornLineCostsOneEvent(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(dir, 1<<20, quiet)
	event := func(n uint64) []pastEvent {
		return []pastEvent{{at: api.Position{Run: 1, Number: n}, event: past(int(n), int(n)+1)[0]}}
	}
	j.write(event(1))
	j.write(event(2))
	j.shut()
	file := filepath.Join(dir, journalNew)
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, info.Size()-9)
	}
	if err != nil {
		t.Fatal(err)
	}
	j.write(event(3))
	j.end(api.Position{Run: 1, Number: 3})
	kept, last, ended := j.load()
	if len(kept) != 2 || kept[1].event.Text != "00003" || last.Number != 3 || !ended {
		t.Errorf("got %+v, %v, %v", kept, last, ended)
	}
	if _, _, ended = j.load(); ended {
		t.Error("the end stands after somebody went on")
	}
}

// Whatever the files have, events have an order, and the next run is after them.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(nil), []byte(`{"run":1,"n":1,"event":{"at":"2026-11-23T09:00:00Z","kind":"node_lost"}}`+"\n"))
	f.Add([]byte("{\"run\":1,\"n\":1,\"event\":{}}\nx"), []byte("{\"run\":1,\"n\":2,\"event\":{}}\n{\"run\":1,\"n\":2,\"end\":true}\n"))
	f.Fuzz(func(t *testing.T, old, recent []byte) {
		past, last, mark := parseJournal(old, recent)
		before := api.Position{}
		for _, p := range past {
			if p.at.Compare(before) <= 0 {
				t.Fatalf("%v is behind %v", p.at, before)
			}
			before = p.at
		}
		if last.Compare(before) < 0 || last.Run+1 < last.Run {
			t.Errorf("the last place is %v, behind %v", last, before)
		}
		if mark > 0 && !bytes.Contains(recent[len(recent)-mark:], []byte("end")) {
			t.Errorf("%q does not end a run", recent[len(recent)-mark:])
		}
	})
}

func TestWhatIsKeptIsWhatWasAdded(t *testing.T) {
	dir := t.TempDir()
	e := mesh.Event{
		At: time.Date(2026, 11, 23, 9, 0, 0, 123456789, time.UTC), Node: "me", Kind: mesh.AllocReplaced, Job: "web",
		Alloc: "a1", Peer: "you", Fence: crdt.Fence{Epoch: 2, Ballot: 17}, Text: "n3 is lost; <\"&\n",
	}
	h := openHistory(dir, smallest, time.UnixMilli(7), quiet)
	h.add([]mesh.Event{e})
	h.close()
	h = openHistory(dir, smallest, time.UnixMilli(8), quiet)
	defer h.close()
	if len(h.past) != 1 || h.past[0].event != e {
		t.Errorf("got  %+v\nwant %+v", h.past, e)
	}
}
