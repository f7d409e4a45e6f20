package runner

import "fmt"

// once is why a task must not be started here again, or "". What is marked unsafe
// may have done its work whenever it was ordered to start, whatever was heard of
// it since: only a person can tell. Not so where the driver has said that it had nothing to
// start it with.
func (t *task) once() string {
	mark := t.def.Safety.Mark()
	if mark == "" || t.attempt <= t.status.Looks && t.status.FirstStart.IsZero() {
		return ""
	}
	return fmt.Sprintf("is marked unsafe (%s): waits for review", mark)
}
