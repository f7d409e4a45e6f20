package mesh

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDelaysGrowAsTheirFunctionSays(t *testing.T) {
	const s = time.Second
	tests := []struct {
		delays Delays
		want   string // of the attempts 1 to 7
	}{
		{Delays{5 * s, Constant, 300 * s}, "5s 5s 5s 5s 5s 5s 5s"},
		{Delays{5 * s, "", 300 * s}, "5s 5s 5s 5s 5s 5s 5s"},
		{Delays{1 * s, Exponential, 30 * s}, "1s 2s 4s 8s 16s 30s 30s"},
		{Delays{5 * s, Exponential, 300 * s}, "5s 10s 20s 40s 1m20s 2m40s 5m0s"},
		{Delays{1 * s, Exponential, 32 * s}, "1s 2s 4s 8s 16s 32s 32s"},
		{Delays{1 * s, Fibonacci, 10 * s}, "1s 1s 2s 3s 5s 8s 10s"},
		{Delays{10 * s, Exponential, 3 * s}, "10s 10s 10s 10s 10s 10s 10s"},
		{Delays{0, Exponential, 3 * s}, "0s 0s 0s 0s 0s 0s 0s"},
		{Delays{-s, Fibonacci, -s}, "0s 0s 0s 0s 0s 0s 0s"},
	}
	for _, tt := range tests {
		var got []string
		for n := range 7 {
			got = append(got, tt.delays.After(n+1).String())
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%v: got %v, want %v", tt.delays, got, tt.want)
		}
	}
}

func TestDelaysDoNotOverflow(t *testing.T) {
	for _, f := range []DelayFunction{Constant, Exponential, Fibonacci} {
		d := Delays{time.Second, f, math.MaxInt64}
		for _, n := range []int{-1, 0, 1, 63, 64, 100, math.MaxInt} {
			if got := d.After(n); got < time.Second {
				t.Errorf("%s: attempt %d after %v", f, n, got)
			}
		}
	}
}

func TestWindowSlides(t *testing.T) {
	const s = time.Second
	w := Window{Interval: 10 * s}
	for _, at := range []time.Duration{3 * s, -2 * s, 5 * s} { // in no order
		w.Add(at)
	}
	tests := []struct {
		now   time.Duration
		count int
		opens time.Duration
	}{
		{5 * s, 3, 3 * s},
		{8*s - 1, 3, 1},
		{8 * s, 2, 5 * s},
		{13 * s, 1, 2 * s},
		{15 * s, 0, 0},
	}
	for _, tt := range tests {
		if got := w.Count(tt.now); got != tt.count {
			t.Errorf("at %v %d count, want %d", tt.now, got, tt.count)
		}
		if got := w.Opens(tt.now); got != tt.opens {
			t.Errorf("at %v it opens after %v, want %v", tt.now, got, tt.opens)
		}
	}
}

func TestWindowRemembersTheLatest(t *testing.T) {
	w := Window{Interval: time.Hour}
	for i := range 3 * WindowMax {
		w.Add(time.Duration(i))
	}
	if got := w.Count(0); got != WindowMax {
		t.Errorf("%d attempts count, want %d", got, WindowMax)
	}
	if got := w.Opens(3*WindowMax - 1); got != time.Hour-(WindowMax-1) {
		t.Errorf("it opens after %v: the oldest were not forgotten first", got)
	}
}

// text is a policy in a line, for tables.
func (e EffectiveRestart) text() string {
	if !e.Enabled {
		return "disabled"
	}
	return fmt.Sprintf("%d in %v, %s %v→%v, %s", e.Attempts, Duration(e.Interval),
		e.Delays.Function, e.Delays.Base, e.Delays.Max, e.Mode)
}

func (e EffectiveReschedule) text() string {
	attempts := fmt.Sprintf("%d in %v", e.Attempts, Duration(e.Interval))
	switch {
	case !e.Enabled:
		return "disabled"
	case e.Unlimited:
		attempts = "unlimited"
	}
	return fmt.Sprintf("%s, %s %v→%v", attempts, e.Delays.Function, e.Delays.Base, e.Delays.Max)
}

// TestPolicyDefaults is the table of defaults, a row for each kind of job and mode.
func TestPolicyDefaults(t *testing.T) {
	var (
		long    = []JobType{Service, System}
		short   = []JobType{Batch, SysBatch, ""}
		all     = []JobType{Service, System, Batch, SysBatch, ""}
		moving  = []RecoveryMode{ClusterRecover, Auto, ""}
		staying = []RecoveryMode{LocalRestart}
		manual  = []RecoveryMode{ManualRecover}
	)
	for _, row := range []struct {
		types               []JobType
		modes               []RecoveryMode
		restart, reschedule string
		spent               JobStatus // what it leads to when both are used up
	}{
		{long, moving, "3 in 10m, exponential 1s→30s, fail", "unlimited, exponential 5s→5m0s", JobFailed},
		{long, staying, "3 in 10m, exponential 1s→30s, delay", "disabled", JobPaused},
		{short, moving, "3 in 24h, exponential 1s→30s, fail", "1 in 24h, constant 5s→5m0s", JobFailed},
		{short, staying, "3 in 24h, exponential 1s→30s, fail", "disabled", JobFailed},
		{all, manual, "disabled", "disabled", JobPaused},
	} {
		for _, jobType := range row.types {
			for _, mode := range row.modes {
				j := &Job{Type: jobType, Recovery: Recovery{Mode: mode}}
				if got := RestartFor(j, nil).text(); got != row.restart {
					t.Errorf("%s/%s restarts %q, want %q", jobType, mode, got, row.restart)
				}
				if got := RescheduleFor(j).text(); got != row.reschedule {
					t.Errorf("%s/%s reschedules %q, want %q", jobType, mode, got, row.reschedule)
				}
				if got := spentStatus(j); got != row.spent {
					t.Errorf("%s/%s is %s in the end, want %s", jobType, mode, got, row.spent)
				}
			}
		}
	}
}

func spentStatus(j *Job) JobStatus {
	if ReviewFor(j) {
		return JobPaused
	}
	return JobFailed
}

func TestPoliciesOverrideTheDefaults(t *testing.T) {
	two, yes, no := 2, true, false
	j := &Job{
		Type:       Service,
		Restart:    &RestartPolicy{Attempts: &two, Delay: Duration(time.Minute), Mode: RestartDelay},
		Reschedule: &ReschedulePolicy{Attempts: &two, DelayFunction: Fibonacci, MaxDelay: Duration(time.Hour)},
	}
	own := &Task{Restart: &RestartPolicy{Interval: Duration(time.Hour), Enabled: &yes}}
	for _, tt := range []struct{ name, got, want string }{
		{"the job's restart", RestartFor(j, &Task{}).text(), "2 in 10m, exponential 1m0s→30s, delay"},
		{"the task's instead of the job's", RestartFor(j, own).text(), "3 in 1h, exponential 1s→30s, fail"},
		{"attempts bound the moves", RescheduleFor(j).text(), "2 in 1h, fibonacci 5s→1h0m0s"},
		{
			"unlimited wins", RescheduleFor(&Job{Type: Batch, Reschedule: &ReschedulePolicy{Unlimited: &yes}}).text(),
			"unlimited, constant 5s→5m0s",
		},
		{"not enabled", RescheduleFor(&Job{Type: Service, Reschedule: &ReschedulePolicy{Enabled: &no}}).text(), "disabled"},
		{"a mode that never moves", RescheduleFor(&Job{
			Recovery:   Recovery{Mode: LocalRestart},
			Reschedule: &ReschedulePolicy{Enabled: &yes},
		}).text(), "disabled"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// TestEveryFieldOfAPolicyCounts sets each field alone, and wants the effective
// policy to change.
func TestEveryFieldOfAPolicyCounts(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[RestartPolicy]())
	plain := RestartFor(&Job{Type: Service}, nil)
	for _, f := range fields {
		var p RestartPolicy
		v := reflect.ValueOf(&p).Elem().FieldByIndex(f.Index)
		switch v.Kind() {
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem())) // 0, false
		case reflect.Int64:
			v.SetInt(1)
		default:
			v.SetString("other")
		}
		if RestartFor(&Job{Type: Service, Restart: &p}, nil) == plain {
			t.Errorf("%s is not read", f.Name)
		}
	}
}
