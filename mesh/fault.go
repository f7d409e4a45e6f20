package mesh

import (
	"errors"
	"fmt"
	"net/http"
)

// FaultKind says what sort of thing went wrong, for callers and exit codes.
type FaultKind string

// The kinds of faults.
const (
	Internal    FaultKind = "internal"
	Invalid     FaultKind = "invalid"
	NotFound    FaultKind = "not_found"
	Conflict    FaultKind = "conflict"
	Unavailable FaultKind = "unavailable"
	Denied      FaultKind = "denied"
)

var faults = map[FaultKind]struct{ exit, http int }{
	Internal:    {1, http.StatusInternalServerError},
	Invalid:     {2, http.StatusBadRequest},
	NotFound:    {2, http.StatusNotFound},
	Conflict:    {1, http.StatusConflict},
	Unavailable: {1, http.StatusServiceUnavailable},
	Denied:      {13, http.StatusForbidden},
}

// Fault is an error of a kind, with hints on what to do about it.
type Fault struct {
	Kind  FaultKind `json:"kind"`
	Text  string    `json:"error"`
	Hints []string  `json:"hints,omitempty"`
}

// Faultf makes a Fault.
func Faultf(kind FaultKind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Hint adds what to do about it.
func (f *Fault) Hint(format string, args ...any) *Fault {
	f.Hints = append(f.Hints, fmt.Sprintf(format, args...))
	return f
}

func (f *Fault) Error() string { return f.Text }

// ExitCode is the exit code of a command that ends with f.
func (f *Fault) ExitCode() int { return faults[f.Kind].exit }

// HTTPStatus is the status of an API answer that is f.
func (f *Fault) HTTPStatus() int { return faults[f.Kind].http }

// FaultOf is err as a Fault: itself if it is or wraps one, else internal.
func FaultOf(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Kind: Internal, Text: err.Error()}
}
