package supervise

import "time"

// lease is the dead-man's switch: over yields once at its end. It counts on the
// boot-time clock, which does not stand still while the machine is suspended:
// a machine that wakes up after the end finds the end passed.
type lease struct {
	over  chan struct{} // nil without a lease
	alarm *alarm        // nil if there is none to be had
	until time.Duration
}

// newLease makes a lease that ends at until since boot, or never if that is 0.
// Should the kernel have no alarm to give, the lease is over at once: a task
// that might run too long does not run.
func newLease(until time.Duration) *lease {
	l := &lease{}
	if until == 0 {
		return l
	}
	l.over = make(chan struct{}, 1)
	alarm, err := newAlarm()
	if err != nil {
		say(err.Error())
		l.over <- struct{}{}
		return l
	}
	l.alarm = alarm
	l.renew(until)
	go l.wait()
	return l
}

// renew moves the end, never back.
func (l *lease) renew(until time.Duration) {
	if l.alarm == nil || until <= l.until {
		return
	}
	if err := l.alarm.set(until); err != nil {
		say(err.Error())
		return // the old end stands
	}
	l.until = until
}

func (l *lease) wait() {
	if err := l.alarm.wait(); err != nil {
		say(err.Error())
	}
	l.over <- struct{}{}
}
