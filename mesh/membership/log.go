package membership

import (
	"context"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Bounds of what Serf may say in our log.
const (
	maxLines     = 256              // kinds of lines that are remembered
	quietPerLine = 10 * time.Minute // between two lines of one kind
	maxPerMinute = 20               // lines of all kinds
)

// levels are what Serf and memberlist put in front of a line. What they report
// at [INFO] we report ourselves, as events.
var levels = map[string]slog.Level{
	"[TRACE]": slog.LevelDebug, "[DEBUG]": slog.LevelDebug, "[INFO]": slog.LevelDebug,
	"[WARN]": slog.LevelWarn, "[ERR]": slog.LevelWarn, "[ERROR]": slog.LevelWarn,
}

// routine are warnings that say nothing but that a node has gone, or come
// back, for which there are events.
var routine = []string{
	"Failed fallback TCP ping", "Failed to send ack", "Shutdown without a Leave", "Refuting a",
	"Conflicting address",
	"Name conflict", "Push/Pull with", "is not admitted", "UDP probes failed",
}

// serfLog passes Serf's lines to slog: each kind of line once, and again only
// after a while, with a count, so that garbage on the port cannot fill the log.
type serfLog struct {
	log *slog.Logger

	mu     sync.Mutex
	lines  map[string]*line
	minute time.Time // that is counted
	said   int       // in it
}

type line struct {
	saidAt time.Time
	unsaid int
}

func newSerfLog(l *slog.Logger) *log.Logger {
	return log.New(&serfLog{log: l, lines: map[string]*line{}}, "", 0)
}

// Write takes one line.
func (s *serfLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	mark, rest, _ := strings.Cut(text, " ")
	level, ok := levels[mark]
	if !ok {
		level, rest = slog.LevelWarn, text
	}
	for _, r := range routine {
		if strings.Contains(rest, r) {
			level = slog.LevelDebug
		}
	}
	if !s.log.Enabled(context.Background(), level) {
		return len(b), nil
	}
	if unsaid, say := s.say(kindOf(rest), time.Now()); say || level < slog.LevelWarn {
		s.log.Log(context.Background(), level, "gossip: "+rest, "repeated", unsaid)
	}
	return len(b), nil
}

// say decides whether a line of that kind may be said now.
func (s *serfLog) say(kind string, now time.Time) (unsaid int, say bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[kind]
	switch {
	case l == nil:
		if len(s.lines) >= maxLines {
			clear(s.lines)
		}
		l = &line{}
		s.lines[kind] = l
	case now.Sub(l.saidAt) < quietPerLine:
		l.unsaid++
		return 0, false
	}
	if now.Sub(s.minute) >= time.Minute {
		s.minute, s.said = now, 0
	}
	if s.said++; s.said > maxPerMinute {
		l.unsaid++
		return 0, false
	}
	unsaid = l.unsaid
	l.saidAt, l.unsaid = now, 0
	return unsaid, true
}

// kindOf is a line without what differs from one to the next: numbers. The
// address of a source stays, its port does not.
func kindOf(text string) string {
	var b strings.Builder
	text, source, hasSource := strings.Cut(text, "from=")
	for _, r := range text {
		if r < '0' || r > '9' {
			b.WriteRune(r)
		}
	}
	if i := strings.LastIndexByte(source, ':'); hasSource && i > 0 {
		b.WriteString(source[:i])
	}
	return b.String()
}
