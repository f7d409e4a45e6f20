package mesh

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Next is the first time after one at which the job is due, or zero if it never is again. Submitted
// is when the job was.
func (s *Schedule) Next(job JobID, after, submitted time.Time) time.Time {
	var next time.Time
	for _, c := range s.Crons {
		every, err := time.ParseDuration(strings.TrimPrefix(c, "@every "))
		if err != nil {
			continue
		}
		if at := after.Truncate(every).Add(every); next.IsZero() || at.Before(next) {
			next = at.UTC()
		}
	}
	if at := submitted.Add(s.In.Std()); s.In > 0 && at.After(after) && (next.IsZero() || at.Before(next)) {
		next = at
	}
	if s.At.After(after) && (next.IsZero() || s.At.Before(next)) {
		next = s.At
	}
	return next
}

// Matches says whether the trigger wants a run for what has happened.
func (t *Trigger) Matches(o *Occurrence) bool { return t.Event == o.Event }

// Takes says why a run cannot be handed those, if it cannot.
func (p *Parameters) Takes(payload []byte, meta map[string]string) *Fault {
	if len(payload) > 0 && !json.Valid(payload) {
		return Faultf(Invalid, "the payload is not JSON")
	}
	return nil
}

// Check says what is wrong with what is said to have happened.
func (o *Occurrence) Check() *Fault {
	var p *Parameters
	if !ValidName(o.Event) {
		return Faultf(Invalid, "%q is no kind of event", clip(o.Event))
	}
	return p.Takes(o.Payload, o.Meta)
}

// RunName is the name of the run that an origin has.
func RunName(job JobID, o *Origin) JobID {
	if o.Cause != CauseTime {
		sum := sha256.Sum256([]byte(o.Occurrence))
		return job + "-" + JobID(hex.EncodeToString(sum[:7]))
	}
	return job + "-" + JobID(o.Due.UTC().Format("20060102t150405z"))
}

// Overlaps is the effective Overlap.
func (s *Schedule) Overlaps() Overlap {
	if s == nil {
		return OverlapAllow
	}
	return cmp.Or(s.Overlap, OverlapForbid)
}

// CatchUp is how many of the times that were missed are made up for.
func (s *Schedule) CatchUp() int {
	switch s.Missed {
	case CatchUpOne:
		return 1
	case CatchUpAll:
		return cmp.Or(s.CatchUpLimit, 10)
	}
	return 0
}

// Grace is the effective MissedGrace.
func (s *Schedule) Grace() time.Duration { return cmp.Or(s.MissedGrace.Std(), time.Minute) }

// Ends says whether a run is cancelled when its window is over.
func (s *Schedule) Ends() bool { return s != nil && s.Window > 0 && s.WindowEnd != WindowLeaves }

// Kept is the effective Keep.
func (s *Schedule) Kept() int {
	if s == nil || s.Keep == 0 {
		return 20
	}
	return s.Keep
}

// Timed says whether there is a time at which the job is due.
func (s *Schedule) Timed() bool { return s != nil && (len(s.Crons) > 0 || !s.At.IsZero() || s.In > 0) }
