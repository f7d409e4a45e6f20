package mesh

import (
	"strings"
	"testing"
	"time"
)

// TestMarksOfSafety is the whole table: what of it is unsafe wins over what is safe,
// and without a word a task is safe.
func TestMarksOfSafety(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name   string
		safety *Safety
		want   string
	}{
		{"no table", nil, ""},
		{"an empty table", &Safety{}, ""},

		{"unsafe", &Safety{Unsafe: true}, "unsafe = true"},
		{"approval", &Safety{RequiresApproval: true}, "requires_approval = true"},
		{"not safe to retry", &Safety{SafeToRetry: &no}, "safe_to_retry = false"},
		{"not idempotent", &Safety{Idempotent: &no}, "idempotent = false"},
		{"external effects", &Safety{SideEffects: EffectsExternal}, `side_effects = "external"`},
		{"writes", &Safety{SideEffects: EffectsWrite}, `side_effects = "write"`},
		{"unsafe effects", &Safety{SideEffects: EffectsUnsafe}, `side_effects = "unsafe"`},

		{"safe to retry", &Safety{SafeToRetry: &yes}, ""},
		{"idempotent", &Safety{Idempotent: &yes}, ""},
		{"a key", &Safety{IdempotencyKey: "run-1"}, ""},
		{"no effects", &Safety{SideEffects: EffectsNone}, ""},

		{
			"unsafe, and all that is safe",
			&Safety{SafeToRetry: &yes, Idempotent: &yes, IdempotencyKey: "k", Unsafe: true},
			"unsafe = true",
		},
		{"approval of what is idempotent", &Safety{Idempotent: &yes, RequiresApproval: true}, "requires_approval = true"},
		{"not safe to retry, with a key", &Safety{SafeToRetry: &no, IdempotencyKey: "k"}, "safe_to_retry = false"},
		{"not idempotent, safe to retry", &Safety{SafeToRetry: &yes, Idempotent: &no}, "idempotent = false"},
		{"writes, idempotent", &Safety{Idempotent: &yes, SideEffects: EffectsWrite}, `side_effects = "write"`},
		{
			"the first of several",
			&Safety{SafeToRetry: &no, Idempotent: &no, SideEffects: EffectsWrite},
			"safe_to_retry = false",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.safety.Mark(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestForecastOfUnsafeWork: it is not run again, nor is what shares its copy.
func TestForecastOfUnsafeWork(t *testing.T) {
	job := &Job{
		Name: "lab", Recovery: Recovery{OnPartition: Keep}, Timeout: Duration(time.Hour),
		Tasks: []Task{{Name: "fetch", Group: "g"}, {Name: "pay", Group: "g", Safety: &Safety{Unsafe: true}}, {Name: "sum"}},
	}
	const once = "is not run again, as it is marked unsafe (unsafe = true): " +
		"the job is paused and waits for a person: mn review ls"
	f := ForecastOf(job)
	for i, want := range []string{
		`restarts here after 1s, 2s, 4s (3 in 24h); once task "pay" has started, its copy ` + once,
		once,
		"restarts here after 1s, 2s, 4s (3 in 24h); moves to another node after 5s (1 in 24h); the job has failed",
	} {
		if got := strings.Join(f.Tasks[i].Then, "; "); got != want {
			t.Errorf("task %q: got %q, want %q", f.Tasks[i].Task, got, want)
		}
	}
	if want := `copies of the group of task "pay" are not replaced: one of them ` + once; f.NodeLost != want {
		t.Errorf("got %q, want %q", f.NodeLost, want)
	}
	want := `after 1h: its copy is not restarted nor moved: the job has failed; if task "pay" had started, ` +
		"the job is paused and waits for a person: mn review ls"
	if f.TimesOut != want {
		t.Errorf("got %q, want %q", f.TimesOut, want)
	}
	if got := Next(job, &job.Tasks[1], 0, 0, 0); got != once {
		t.Errorf("got %q, want %q", got, once)
	}
	if got, want := Next(job, &job.Tasks[0], 3, 0, 0), `once task "pay" has started, its copy `+once; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
