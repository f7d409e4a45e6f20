package inventory

import (
	"fmt"
	"time"
)

// How many looks in a row at a device must find nothing new before it takes work again.
const (
	passesMin = 4   // the first time: about a minute
	passesMax = 240 // after many times: about an hour
)

// quarantine keeps a device away from work from when its driver reports an error
// until it passes its self-test: enough looks in a row that find none. Each time that it falls ill again
// doubles how many are enough, so that a device which fails under load and
// recovers without does not take one task after the other with it. Each time
// that it stays well for passesMax looks halves it.
//
// It is a state machine without a clock; its zero value is a device that is well.
type quarantine struct {
	errors uint64 // that its driver had counted at the last look
	reason string // why it takes no work, "" if it does
	passes int    // looks in a row that found nothing
	enough int    // of them, to take work again
}

// look takes what a look has found: what is wrong, "" if nothing is, and how many errors
// the driver has counted. It says why the device takes no work, "" if it does.
func (q *quarantine) look(wrong string, errors uint64) string {
	if errors < q.errors {
		q.errors = 0 // the driver was loaded again, and counts from the start
	}
	if wrong == "" && errors > q.errors {
		wrong = fmt.Sprintf("its driver counts %d errors that were not corrected", errors)
	}
	q.errors = errors
	if wrong != "" {
		if q.reason == "" {
			q.enough = min(max(2*q.enough, passesMin), passesMax)
		}
		q.reason, q.passes = wrong, 0
		return q.reason
	}
	q.passes++
	switch {
	case q.reason != "" && q.passes >= q.enough:
		q.reason, q.passes = "", 0
	case q.reason != "":
		return fmt.Sprintf("%s; in self-test: %d looks in a row must find no error, which takes %v",
			q.reason, q.enough, time.Duration(q.enough)*rest)
	case q.reason == "" && q.passes >= passesMax:
		if q.enough, q.passes = q.enough/2, 0; q.enough < passesMin {
			q.enough = 0
		}
	}
	return q.reason
}

// unblemished says whether there is nothing to remember of the device, except how many
// errors its driver counts.
func (q *quarantine) unblemished() bool { return q.reason == "" && q.enough == 0 }
