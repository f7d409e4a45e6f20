package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"mn/mesh"
	"mn/mesh/api"
)

// The two files of a journal: when the new one is full it becomes the old one.
const (
	journalNew = "events.jsonl"
	journalOld = "events.old.jsonl"
)

// runMax is the latest run, as milliseconds since 1970, that a line can be of.
// linesMax is how many lines are written at a time.
const linesMax = 256

const runMax = 1 << 60

// journalLine is one line of the files: an event, or the end of a run.
type journalLine struct {
	Run    uint64        `json:"run"`
	Number uint64        `json:"n"`
	Before *api.Position `json:"before,omitempty"` // of the first event of a run, if known
	Event  *mesh.Event   `json:"event,omitempty"`
	End    bool          `json:"end,omitempty"` // there is nothing more of the run
}

// journal keeps events in two files of bounded size. It never fails: what cannot
// be written is left out, and that is said once. It is not synced: a cut of power
// takes the last lines, and may leave a torn one.
type journal struct {
	dir     string
	segment int64 // bytes after which a file is full
	log     *slog.Logger
	file    *os.File // nil until the first write, and after one that failed
	size    int64
	torn    bool // the last line of the file has no end
	warned  bool
}

func newJournal(dir string, segment int64, log *slog.Logger) *journal {
	return &journal{dir: dir, segment: segment, log: log}
}

// load reads what there is: events in their order, the last place, and whether
// the agent that wrote last has said that this was all. That it is taken back, for
// it does not hold any more.
func (j *journal) load() (past []pastEvent, last api.Position, ended bool) {
	past, last, mark := parseJournal(j.read(journalOld), j.read(journalNew))
	return past, last, mark > 0 && j.takeBack(mark)
}

// parseJournal reads the files, and says how long the line at the end is by which
// all that there was is there; 0 without it. Lines that are torn, or not ours, are
// skipped.
func parseJournal(files ...[]byte) (past []pastEvent, last api.Position, mark int) {
	for _, file := range files {
		mark = 0
		for line := range bytes.Lines(file) {
			var l journalLine
			err := json.Unmarshal(line, &l)
			at := api.Position{Run: l.Run, Number: l.Number}
			mark = 0
			if err != nil || at.Compare(last) < 0 || at.Run > runMax {
				continue
			}
			switch {
			case l.End:
				mark = len(line)
			case l.Event != nil && at != last && l.Number > 0:
				p := pastEvent{at: at, event: *l.Event}
				if l.Before != nil {
					p.before = *l.Before
				}
				past = append(past, p)
			}
			last = at
		}
	}
	return past, last, mark
}

// takeBack takes the last n bytes from the file, which needs no room on the disk,
// and says whether that was done.
func (j *journal) takeBack(n int) bool {
	f, err := os.OpenFile(filepath.Join(j.dir, journalNew), os.O_WRONLY, 0)
	if err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			err = errors.Join(f.Truncate(max(info.Size()-int64(n), 0)), f.Sync())
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		j.warn("write", err)
	}
	return err == nil
}

// read is what the end of a file has: more than a full one is not ours.
func (j *journal) read(name string) []byte {
	f, err := os.Open(filepath.Join(j.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		defer f.Close() //nolint:errcheck // it was only read
		most := 2 * j.segment
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			var b []byte
			from := max(info.Size()-most, 0)
			if b, err = io.ReadAll(io.NewSectionReader(f, from, most)); err == nil {
				return b
			}
		}
	}
	j.warn("read", err)
	return nil
}

// write adds events.
func (j *journal) write(past []pastEvent) {
	lines := make([]journalLine, 0, linesMax)
	for len(past) > 0 {
		n := min(len(past), linesMax)
		lines = lines[:0]
		for i := range past[:n] {
			l := journalLine{Run: past[i].at.Run, Number: past[i].at.Number, Event: &past[i].event}
			if past[i].before != (api.Position{}) {
				l.Before = &past[i].before
			}
			lines = append(lines, l)
		}
		if err := j.append(lines...); err != nil {
			j.warn("write", err)
		}
		past = past[n:]
	}
}

// end says that nothing of a run comes behind a place, and closes the file.
func (j *journal) end(at api.Position) {
	if err := j.append(journalLine{Run: at.Run, Number: at.Number, End: true}); err != nil {
		j.warn("write", err)
	}
	j.shut()
}

func (j *journal) append(lines ...journalLine) error {
	if err := j.ready(); err != nil {
		return err
	}
	var b bytes.Buffer
	if j.torn {
		b.WriteByte('\n')
	}
	e := json.NewEncoder(&b)
	for _, l := range lines {
		if err := e.Encode(l); err != nil {
			return fmt.Errorf("encode an event: %w", err)
		}
	}
	n, err := j.file.Write(b.Bytes())
	j.size += int64(n)
	if err != nil {
		j.shut() // where it ends is looked up the next time
		return err
	}
	j.torn = false
	return nil
}

// ready opens the file, or begins the next one where it is full.
func (j *journal) ready() error {
	if j.file == nil {
		if err := j.open(); err != nil {
			return err
		}
	}
	if j.size < j.segment {
		return nil
	}
	j.shut()
	if err := os.Rename(filepath.Join(j.dir, journalNew), filepath.Join(j.dir, journalOld)); err != nil {
		return err
	}
	return j.open()
}

func (j *journal) open() error {
	f, err := os.OpenFile(filepath.Join(j.dir, journalNew), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	last := []byte{'\n'}
	if err == nil && info.Size() > 0 {
		_, err = f.ReadAt(last, info.Size()-1)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.size, j.torn = f, info.Size(), last[0] != '\n'
	return nil
}

func (j *journal) shut() {
	if j.file != nil {
		_ = j.file.Close() // what could not be written is known by then
		j.file = nil
	}
}

// warn says once that the journal is not what it should be.
func (j *journal) warn(verb string, err error) {
	if !j.warned {
		j.warned = true
		j.log.Warn("events are kept in memory only, and are gone with the agent", "do", verb, "err", err)
	}
}
