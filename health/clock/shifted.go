//go:build mntestclock

package clock

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"
)

// variable names the file that says how this process's clocks go. It may be
// replaced, by another file of the same name, at any time.
const variable = "MN_TEST_CLOCK"

// staleAfter is how long what the file said is believed.
const staleAfter = 5 * time.Millisecond

// A shift is the line "BOOT WALL PPM SINCE": how far the clock of the time since
// boot is ahead, how far that of the day, how much both run faster than the
// kernel's in parts per million, and since when they do, in the kernel's time
// since boot. So it is the same for whoever reads it, whenever that is.
type shift struct {
	boot, wall time.Duration
	ppm        int64
	since      time.Duration
}

var errShift = errors.New("want BOOT WALL PPM SINCE, as in \"30s -5s 900 1h2m3s\"")

func parseShift(text []byte) (s shift, err error) {
	words := bytes.Fields(text)
	if len(words) != 4 {
		return s, errShift
	}
	var errs [4]error
	s.boot, errs[0] = time.ParseDuration(string(words[0]))
	s.wall, errs[1] = time.ParseDuration(string(words[1]))
	s.ppm, errs[2] = strconv.ParseInt(string(words[2]), 10, 64)
	s.since, errs[3] = time.ParseDuration(string(words[3]))
	return s, errors.Join(errs[:]...)
}

// drift is what the clocks have gained by their rate.
func (s shift) drift(now time.Duration) time.Duration {
	return time.Duration(float64(now-s.since) * float64(s.ppm) / 1e6)
}

// latest is what the file said last. Clocks are read from everywhere in a
// process, and nobody could hand them this.
var latest struct {
	sync.Mutex
	shift
	at time.Duration // 0: never read
}

// current is the shift that holds now. A file that is not there shifts nothing.
func current(now time.Duration) shift {
	latest.Lock()
	defer latest.Unlock()
	if latest.at != 0 && now-latest.at < staleAfter {
		return latest.shift
	}
	latest.shift, latest.at = shift{}, now
	path := os.Getenv(variable)
	if path == "" {
		return latest.shift
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return latest.shift
	}
	if err == nil {
		latest.shift, err = parseShift(text)
	}
	if err != nil {
		panic("clock: read test clock " + strconv.Quote(path) + ": " + err.Error())
	}
	return latest.shift
}

// Boot is the time since boot, suspension included, as the test wants it.
func Boot() time.Duration {
	now := kernel()
	s := current(now)
	return now + s.boot + s.drift(now)
}

// Wall is the time of day, as the test wants it.
func Wall() time.Time {
	now := kernel()
	s := current(now)
	return time.Now().Add(s.wall + s.drift(now))
}

// Environ is what a child process needs in its environment to have the same
// clocks.
func Environ() []string {
	if path := os.Getenv(variable); path != "" {
		return []string{variable + "=" + path}
	}
	return nil
}
