package mesh

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// ServiceDef is what a copy offers to others under a name, for as long as it runs.
type ServiceDef struct {
	Name string `json:"name" toml:"name"`
	// Address is a host name or IP address; the node's if unset. With one, the service is external:
	// something that the job vouches for and does not run.
	Address string `json:"address,omitempty" toml:"address"`
	// Port is the label of a port of the copy, or a number.
	Port   Value             `json:"port,omitempty" toml:"port"`
	Tags   []string          `json:"tags,omitempty" toml:"tags"`
	Meta   map[string]string `json:"meta,omitempty" toml:"meta"`
	Checks []Check           `json:"check,omitempty" toml:"check"`
	// Restart restarts the task whose service fails for too long.
	Restart *CheckRestart `json:"check_restart,omitempty" toml:"check_restart"`
}

// External says whether the service is something that the job does not run.
func (s *ServiceDef) External() bool { return s.Address != "" }

// PortNumber is the service's port where that is a number, or 0.
func (s *ServiceDef) PortNumber() int {
	n, err := strconv.Atoi(string(s.Port))
	if err != nil {
		return 0
	}
	return n
}

// CheckType says how a service is checked.
type CheckType string

// The types of checks.
const (
	CheckTCP    CheckType = "tcp"    // it takes connections
	CheckHTTP   CheckType = "http"   // it answers a request as it should
	CheckGRPC   CheckType = "grpc"   // it says SERVING, by the standard health protocol
	CheckScript CheckType = "script" // a command ends with 0
	CheckGPU    CheckType = "gpu"    // the devices of the task are there, and not sick
)

var checkTypes = []CheckType{CheckTCP, CheckHTTP, CheckGRPC, CheckScript, CheckGPU}

// Networked says whether the check is of a port.
func (t CheckType) Networked() bool { return t != CheckScript && t != CheckGPU }

// Check is one way to find out whether a service can be used.
type Check struct {
	Name     string    `json:"name,omitempty" toml:"name"` // its type if unset
	Type     CheckType `json:"type,omitempty" toml:"type"` // CheckTCP if unset
	Port     Value     `json:"port,omitempty" toml:"port"` // the service's if unset
	Interval Duration  `json:"interval,omitempty" toml:"interval"`
	Timeout  Duration  `json:"timeout,omitempty" toml:"timeout"`
	// Required: a service whose required check fails is critical, with another only in warning; true if unset.
	Required *bool `json:"required,omitempty" toml:"required"`
	// How often the check has to succeed or fail without a break until that counts; 1 if unset, but
	// for FailuresBeforeWarning: FailuresBeforeCritical.
	SuccessBeforePassing   int `json:"success_before_passing,omitempty" toml:"success_before_passing"`
	FailuresBeforeWarning  int `json:"failures_before_warning,omitempty" toml:"failures_before_warning"`
	FailuresBeforeCritical int `json:"failures_before_critical,omitempty" toml:"failures_before_critical"`
	// Grace is for how long after the start of the task failures do not count.
	Grace Duration `json:"grace,omitempty" toml:"grace"`

	Scheme  string            `json:"scheme,omitempty" toml:"scheme"` // of http and grpc: "http" if unset, or "https"
	Method  string            `json:"method,omitempty" toml:"method"` // of http, as are the next: GET if unset
	Path    string            `json:"path,omitempty" toml:"path"`     // "/" if unset
	Headers map[string]string `json:"headers,omitempty" toml:"headers"`
	Body    string            `json:"body,omitempty" toml:"body"`
	// ExpectedStatus are statuses and ranges such as "200-299"; 200 to 399 if unset.
	ExpectedStatus []Value `json:"expected_status,omitempty" toml:"expected_status"`
	Contains       string  `json:"contains,omitempty" toml:"contains"` // what the answer has to have in it
	SkipVerify     bool    `json:"tls_skip_verify,omitempty" toml:"tls_skip_verify"`
	// Service is what a grpc check asks for; the whole server if unset.
	Service string   `json:"grpc_service,omitempty" toml:"grpc_service"`
	Command []string `json:"command,omitempty" toml:"command"` // of a script
}

// Defaults and bounds of checks.
const (
	DefaultCheckInterval = 10 * time.Second
	DefaultCheckTimeout  = 2 * time.Second
	DefaultStatusLeast   = 200
	DefaultStatusMost    = 399

	servicesMax      = 16 // of a task, and of a job
	checksMax        = 16 // of a service
	tagsMax          = 32
	statusesMax      = 32
	headersMax       = 64
	checkCountMax    = 1000
	checkIntervalMin = time.Second
	checkIntervalMax = 24 * time.Hour
	checkTimeoutMin  = 10 * time.Millisecond
	checkTimeoutMax  = 5 * time.Minute
	checkGraceMax    = 24 * time.Hour
)

// Kind is the effective Type.
func (c *Check) Kind() CheckType { return cmp.Or(c.Type, CheckTCP) }

// Title is the effective Name.
func (c *Check) Title() string { return cmp.Or(c.Name, string(c.Kind())) }

// Every is the effective Interval.
func (c *Check) Every() time.Duration { return cmp.Or(c.Interval.Std(), DefaultCheckInterval) }

// Limit is the effective Timeout.
func (c *Check) Limit() time.Duration {
	return cmp.Or(c.Timeout.Std(), min(DefaultCheckTimeout, c.Every()))
}

// IsRequired is the effective Required.
func (c *Check) IsRequired() bool { return c.Required == nil || *c.Required }

// ToPass is the effective SuccessBeforePassing.
func (c *Check) ToPass() int { return cmp.Or(c.SuccessBeforePassing, 1) }

// ToFail is the effective FailuresBeforeCritical.
func (c *Check) ToFail() int { return cmp.Or(c.FailuresBeforeCritical, 1) }

// ToWarn is the effective FailuresBeforeWarning.
func (c *Check) ToWarn() int { return cmp.Or(c.FailuresBeforeWarning, c.ToFail()) }

// StatusRange is some statuses of HTTP.
type StatusRange struct{ Least, Most int }

// ParseStatuses reads "204", "200-299" or "200..299".
func ParseStatuses(s string) (r StatusRange, ok bool) {
	least, most, isRange := strings.Cut(s, "..")
	if !isRange {
		least, most, isRange = strings.Cut(s, "-")
	}
	if !isRange {
		most = least
	}
	var err, err2 error
	r.Least, err = strconv.Atoi(strings.TrimSpace(least))
	r.Most, err2 = strconv.Atoi(strings.TrimSpace(most))
	return r, err == nil && err2 == nil && r.Least >= 100 && r.Least <= r.Most && r.Most <= 599
}

// Expects says whether a status of HTTP is a good one.
func (c *Check) Expects(status int) bool {
	if len(c.ExpectedStatus) == 0 {
		return status >= DefaultStatusLeast && status <= DefaultStatusMost
	}
	for _, s := range c.ExpectedStatus {
		if r, ok := ParseStatuses(string(s)); ok && status >= r.Least && status <= r.Most {
			return true
		}
	}
	return false
}

// CheckRestart says when a task is restarted because its service fails.
type CheckRestart struct {
	// Limit is how many failures of one check in a row are too many.
	Limit int `json:"limit" toml:"limit"`
	// Grace is for how long after each start of the task that is not looked at.
	Grace Duration `json:"grace,omitempty" toml:"grace"`
	// IgnoreWarnings: checks that are not required do not restart anything.
	IgnoreWarnings bool `json:"ignore_warnings,omitempty" toml:"ignore_warnings"`
}

// Health is what the checks of a service say of it.
type Health string

// The healths, from the best.
const (
	Passing  Health = "passing"
	Warning  Health = "warning"
	Critical Health = "critical"
)

// Worse is the worse of two healths.
func (h Health) Worse(o Health) Health {
	if o == Critical || h != Critical && o == Warning {
		return o
	}
	return h
}

// CheckStatus is what a check has come to.
type CheckStatus struct {
	Name   string    `json:"name"`
	Health Health    `json:"status"`
	Since  time.Time `json:"since"`
	// Reason is why it fails, without what may be secret.
	Reason string `json:"reason,omitempty"`
	// Failures is how often it has failed in a row, as long as it is not critical for that.
	Failures int `json:"consecutive_failures,omitempty"`
	// Required is as the check has it.
	Required bool `json:"required"`
}

// ServiceStatus is what the checks of one service of a task say.
type ServiceStatus struct {
	Name   string        `json:"name"`
	Health Health        `json:"status"`
	Since  time.Time     `json:"since"`
	Checks []CheckStatus `json:"checks,omitempty"`
}

// Text says how a service is, and why if it does not pass.
func (s *ServiceStatus) Text() string {
	text := fmt.Sprintf("service %s is %s", s.Name, s.Health)
	for _, c := range s.Checks {
		if c.Health == s.Health && c.Health != Passing && c.Reason != "" {
			return fmt.Sprintf("%s (%s: %s)", text, c.Name, c.Reason)
		}
	}
	return text
}

// ServiceKey stands for a service of a task of a copy, where there is no room for more. Two may have the
// same, which is as rare as with any hash of 64 bits.
type ServiceKey uint64

// KeyOf is the key of a service.
func KeyOf(copy AllocID, task, service string) ServiceKey {
	h := fnv.New64a()
	for _, s := range []string{string(copy), task, service} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return ServiceKey(h.Sum64())
}

// ServiceNeed is a service that a job or a task cannot do without. A job needs one instance of it
// that passes, anywhere; a task needs one on its own node.
type ServiceNeed struct {
	Name string   `json:"name" toml:"name"`
	Tags []string `json:"tags,omitempty" toml:"tags"` // all of which the instance has
}
