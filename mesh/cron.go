package mesh

import "time"

// Next is the first time after one at which the job is due, or zero if it never is again. Submitted
// is when the job was.
func (s *Schedule) Next(after, submitted time.Time) time.Time { return time.Time{} }

// Matches says whether the trigger wants a run for what has happened.
func (t *Trigger) Matches(o *Occurrence) bool { return false }

// Takes says why a run cannot be handed those, if it cannot.
func (p *Parameters) Takes(payload []byte, meta map[string]string) *Fault { return nil }
