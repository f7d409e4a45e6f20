package lease

import (
	"errors"
	"fmt"
	"time"
)

// The limits of a Config.
const (
	lengthMin = 100 * time.Millisecond
	lengthMax = time.Minute
	rateMax   = 0.1
)

// Config is the timing of leases and of the roster. Durations are on a node's
// own boot clock; clocks of two machines are never compared.
type Config struct {
	// Length of a lease. The founder writes it into the roster, and the
	// roster's length is what counts, whatever a node's own file says.
	Length time.Duration
	// Renew is how often a holder renews; at most a third of Length.
	Renew time.Duration
	// Retry is the wait for an answer before a message is sent again.
	Retry time.Duration
	// Rate bounds how far a boot clock's rate is off: 0.001 is 1 ms a second.
	Rate float64
	// Yield is how long a holder keeps a slot that it no longer bids for, so
	// that a node that comes and goes does not move leases each time.
	Yield time.Duration
	// Settle is how long a node must have been alive to become a voter.
	Settle time.Duration
	// Replace is how long a voter may be lost before another takes its place.
	Replace time.Duration
}

// Default is the Config of a small mesh on one network.
func Default() Config {
	return Config{
		Length:  3 * time.Second,
		Renew:   time.Second,
		Retry:   250 * time.Millisecond,
		Rate:    0.001,
		Yield:   2 * time.Second,
		Settle:  2 * time.Second,
		Replace: 5 * time.Minute,
	}
}

// Validate names every fault of c.
func (c Config) Validate() error {
	var faults []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	bad(c.Length >= lengthMin && c.Length <= lengthMax,
		"length: %v is not within %v and %v", c.Length, lengthMin, lengthMax)
	bad(c.Renew > 0 && c.Renew <= c.Length/3,
		"renew: %v is not above 0 and at most a third of the length %v", c.Renew, c.Length)
	bad(c.Retry > 0 && c.Retry <= c.Renew,
		"retry: %v is not above 0 and at most renew %v", c.Retry, c.Renew)
	bad(c.Rate >= 0 && c.Rate <= rateMax, "rate: %v is not within 0 and %v", c.Rate, rateMax)
	bad(c.Yield >= 0, "yield: %v is negative", c.Yield)
	bad(c.Settle >= 0, "settle: %v is negative", c.Settle)
	bad(c.Replace >= c.Length, "replace: %v is less than the length %v", c.Replace, c.Length)
	return errors.Join(faults...)
}
