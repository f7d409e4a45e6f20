package transport

import (
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Bounds of what is said about strangers.
const (
	maxSources   = 256              // remembered; then all are forgotten
	maxReasons   = 4                // told apart for one source; strangers can influence their words
	maxLines     = 20               // at once, about all of them
	linesPerSec  = 0.1              // in the long run
	quietPerNote = 10 * time.Minute // between two lines about one source and reason
)

// guard logs what strangers do: once for each source and reason, with a count
// when it is time to say it again, so that nobody can fill our log.
type guard struct {
	log  *slog.Logger
	rate bucket

	mu      sync.Mutex
	sources map[string]map[string]*note
}

type note struct {
	saidAt time.Time
	unsaid int
}

func newGuard(log *slog.Logger) *guard {
	return &guard{
		log: log, rate: bucket{burst: maxLines, perSecond: linesPerSec},
		sources: map[string]map[string]*note{},
	}
}

// note says that something of a source was turned away, unless it just has.
func (g *guard) note(from net.Addr, what string, why error) {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String()
	}
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.noteOf(host, what+" "+withoutDigits(why.Error()))
	if now.Sub(n.saidAt) < quietPerNote || !g.rate.take(now) {
		n.unsaid++
		return
	}
	g.log.Warn(what, "from", from.String(), "why", why, "repeated", n.unsaid)
	n.saidAt, n.unsaid = now, 0
}

// noteOf is what is kept about a source and reason; g.mu is held.
func (g *guard) noteOf(host, reason string) *note {
	reasons := g.sources[host]
	if reasons == nil {
		if len(g.sources) >= maxSources {
			clear(g.sources)
		}
		reasons = map[string]*note{}
		g.sources[host] = reasons
	}
	n := reasons[reason]
	if n == nil && len(reasons) >= maxReasons {
		n = reasons["more"]
		reason = "more"
	}
	if n == nil {
		n = &note{}
		reasons[reason] = n
	}
	return n
}

// withoutDigits is a text without times, ports and counts: the same reason is
// the same text.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
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
