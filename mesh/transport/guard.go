package transport

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// Bounds of what is said about strangers.
const (
	maxSources   = 256              // remembered; then all are forgotten
	quietPerNote = 10 * time.Minute // between two lines about one source and reason
)

// guard logs what strangers do: once for each source and reason, with a count
// when it is time to say it again, so that nobody can fill our log.
type guard struct {
	log *slog.Logger

	mu    sync.Mutex
	notes map[string]*note
}

type note struct {
	saidAt time.Time
	unsaid int
}

func newGuard(log *slog.Logger) *guard { return &guard{log: log, notes: map[string]*note{}} }

// note says that something of a source was turned away, unless it just has.
func (g *guard) note(from net.Addr, what string, why error) {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String()
	}
	now, key := time.Now(), host+" "+what+" "+why.Error()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.notes[key]
	switch {
	case n == nil:
		if len(g.notes) >= maxSources {
			clear(g.notes)
		}
		n = &note{}
		g.notes[key] = n
	case now.Sub(n.saidAt) < quietPerNote:
		n.unsaid++
		return
	}
	g.log.Warn(what, "from", from.String(), "why", why, "repeated", n.unsaid)
	n.saidAt, n.unsaid = now, 0
}

// bucket bounds the rate of something: so many at once, so many a second.
type bucket struct {
	burst, perSecond float64

	mu    sync.Mutex
	level float64
	at    time.Time
}

// take says whether one more may happen now.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.level = b.burst
	} else {
		b.level = min(b.burst, b.level+b.perSecond*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
