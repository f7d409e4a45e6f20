package mesh

import (
	"strings"
	"testing"
	"time"
)

// TestForecast says what follows a failure, for each row of the table of defaults,
// and where a job says something else.
func TestForecast(t *testing.T) {
	const (
		soon   = "restarts here after 1s, 2s, 4s (3 in 10m); "
		daily  = "restarts here after 1s, 2s, 4s (3 in 24h); "
		moves  = "moves to another node after 5s, 10s, 20s, ... up to 5m, without end"
		waits  = "waits until the oldest of them is 10m ago, and restarts here again, without end"
		failed = "the job has failed"
		paused = "the job is paused and waits for a person: mn job retry lab"
	)
	none, one, two, ten, no, yes := 0, 1, 2, 10, false, true
	for _, tt := range []struct {
		jobType    JobType
		mode       RecoveryMode
		restart    *RestartPolicy
		reschedule *ReschedulePolicy
		want       string
	}{
		{Service, ClusterRecover, nil, nil, soon + moves},
		{System, "", nil, nil, soon + strings.ReplaceAll(moves, "moves to another", "is tried again on its")},
		{Service, LocalRestart, nil, nil, soon + waits},
		{Batch, ClusterRecover, nil, nil, daily + "moves to another node after 5s (1 in 24h); " + failed},
		{SysBatch, Auto, nil, nil, daily + "is tried again on its node after 5s (1 in 24h); " + failed},
		{Batch, LocalRestart, nil, nil, daily + failed},
		{Service, ManualRecover, nil, nil, paused},
		{"", ManualRecover, nil, nil, paused},

		{Service, LocalRestart, &RestartPolicy{Mode: RestartFail}, nil, soon + paused},
		{Service, "", &RestartPolicy{Mode: RestartDelay}, nil, soon + waits},
		{Service, "", &RestartPolicy{Attempts: &none, Mode: RestartDelay}, nil, moves},
		{Service, "", &RestartPolicy{Enabled: &no}, nil, moves},
		{Service, "", nil, &ReschedulePolicy{Enabled: &no}, soon + failed},
		{Service, "", nil, &ReschedulePolicy{Attempts: &none}, soon + failed},
		{Batch, "", &RestartPolicy{Attempts: &ten}, &ReschedulePolicy{Unlimited: &yes}, "restarts here after " +
			"1s, 2s, 4s, ... up to 30s (10 in 24h); moves to another node after 5s each time, without end"},
		{
			Batch, "", &RestartPolicy{Attempts: &two, DelayFunction: Constant}, &ReschedulePolicy{Enabled: &no},
			"restarts here after 1s each time (2 in 24h); " + failed,
		},
		{
			Batch, "", &RestartPolicy{Attempts: &one, Delay: Duration(time.Minute)},
			&ReschedulePolicy{Attempts: &ten, DelayFunction: Fibonacci},
			"restarts here after 1m (1 in 24h); moves to another node after 5s, 5s, 10s, ... up to 4m35s (10 in 24h); " +
				failed,
		},
	} {
		job := &Job{
			Name: "lab", Type: tt.jobType, Recovery: Recovery{Mode: tt.mode},
			Restart: tt.restart, Reschedule: tt.reschedule, Tasks: []Task{{Name: "work"}},
		}
		if got := strings.Join(ForecastOf(job).Tasks[0].Then, "; "); got != tt.want {
			t.Errorf("%s/%s:\ngot  %s\nwant %s", tt.jobType, tt.mode, got, tt.want)
		}
	}
}

func TestForecastOfEachTask(t *testing.T) {
	no := false
	job := &Job{Name: "lab", Type: Service, Tasks: []Task{
		{Name: "web", Group: "site"},
		{Name: "log", Group: "site", Restart: &RestartPolicy{Enabled: &no}},
	}}
	f := ForecastOf(job)
	want := `moves to another node with group "site" after 5s, 10s, 20s, ... up to 5m, without end`
	if len(f.Tasks[0].Then) != 2 || f.Tasks[0].Then[1] != want || len(f.Tasks[1].Then) != 1 || f.Tasks[1].Then[0] != want {
		t.Errorf("got %q", f.Tasks)
	}
}

// TestFollowsWhatTheForecastSays: an event says the same of a failure as the forecast before it.
func TestFollowsWhatTheForecastSays(t *testing.T) {
	no := false
	work, tidy := Task{Name: "work"}, Task{Name: "tidy", Lifecycle: Poststop}
	for _, tt := range []struct {
		job   Job
		task  *Task
		begun bool
		want  string
	}{
		{Job{Type: Service}, &work, false, "moves to another node"},
		{Job{Type: System}, &work, false, "is tried again on its node"},
		{Job{Type: Batch}, &work, false, "moves to another node, as far as its reschedule policy allows"},
		{Job{Type: Service, Gang: true}, &work, false, "moves to another node with all copies of the job"},
		{Job{Type: Batch, Reschedule: &ReschedulePolicy{Enabled: &no}}, &work, false, "the job has failed"},
		{Job{Type: Batch, Recovery: Recovery{Mode: LocalRestart}}, &work, false, "the job has failed"},
		{
			Job{Type: Service, Recovery: Recovery{Mode: ManualRecover}},
			&work, false,
			"the job is paused and waits for a person: mn job retry lab",
		},
		{Job{Type: Service}, &work, true, "the job is paused and waits for a person: mn review ls"},
		{Job{Type: Service}, &tidy, true, "nothing: what its copy has come to is decided"},
	} {
		tt.job.Name, tt.job.Tasks = "lab", []Task{work, tidy}
		if got := Follows(&tt.job, tt.task, tt.begun); got != tt.want {
			t.Errorf("%s %v: got %q, want %q", tt.job.Type, tt.job.Recovery, got, tt.want)
		}
	}
	batch := &Job{Name: "lab", Tasks: []Task{work}}
	if got := FollowsTimeout(batch, false); got != "its copy is ended, and not moved: the job has failed" {
		t.Errorf("of a timeout: got %q", got)
	}
	if got := FollowsTimeout(batch, true); !strings.HasSuffix(got, "not moved: "+review) {
		t.Errorf("of a timeout, when an unsafe task has begun: got %q", got)
	}
}

func TestForecastOfATimeout(t *testing.T) {
	job := &Job{Name: "lab", Tasks: []Task{{Name: "work"}}}
	if got := ForecastOf(job).TimesOut; got != "" {
		t.Errorf("without a timeout: got %q", got)
	}
	job.Tasks[0].Timeout = Duration(time.Hour)
	if got := ForecastOf(job).TimesOut; !strings.Contains(got, "not restarted nor moved: the job has failed") {
		t.Errorf("with one: got %q", got)
	}
}

func TestForecastOfALostNode(t *testing.T) {
	minute := Duration(time.Minute)
	for _, tt := range []struct {
		recovery  Recovery
		lost      string
		partition string
	}{
		{Recovery{}, "move 1s after gossip has given the node up; if it comes back", "each side runs a copy"},
		{
			Recovery{Reconcile: LongestRunning},
			"that which has run longest stays",
			"of two copies that run that which has run longest stays",
		},
		{Recovery{Reconcile: KeepReplacement}, "the replacement stays", "the replacement stays"},
		{Recovery{Reconcile: BestScore}, "the better node for it stays", "the better node for it stays"},
		{
			Recovery{LostAfter: &minute, OnPartition: Majority},
			"move 1m after gossip has given the node up, and when",
			"stops its own within 15s",
		},
		{Recovery{OnPartition: Keep}, "wait until the node is known to be dead", "what runs goes on"},
		{Recovery{Mode: LocalRestart}, `mode "local_restart" never moves work`, "what runs goes on"},
		{Recovery{Mode: ManualRecover}, "the job is paused, and a person decides", "what runs goes on"},
	} {
		f := ForecastOf(&Job{Name: "lab", Recovery: tt.recovery})
		if !strings.Contains(f.NodeLost, tt.lost) || !strings.Contains(f.Partition, tt.partition) {
			t.Errorf("%+v: got %q and %q", tt.recovery, f.NodeLost, f.Partition)
		}
	}
}

func TestNext(t *testing.T) {
	two := 2
	service := &Job{Name: "lab", Type: Service}
	local := &Job{Name: "lab", Type: Service, Recovery: Recovery{Mode: LocalRestart}}
	batch := &Job{Name: "lab", Reschedule: &ReschedulePolicy{Attempts: &two, DelayFunction: Exponential}}
	for _, tt := range []struct {
		job             *Job
		restarts, moves int
		want            string
	}{
		{service, 0, 0, "restarts here after 1s"},
		{service, 2, 7, "restarts here after 4s"},
		{service, 3, 0, "moves to another node after 5s"},
		{service, 3, 2, "moves to another node after 20s"},
		{service, 3, 99, "moves to another node after 5m"},
		{local, 2, 0, "restarts here after 4s"},
		{local, 3, 0, "restarts here after 7m"},
		{batch, 3, 1, "moves to another node after 10s"},
		{batch, 3, 2, "the job has failed"},
		{
			&Job{Name: "lab", Recovery: Recovery{Mode: ManualRecover}}, 0, 0,
			"the job is paused and waits for a person: mn job retry lab",
		},
	} {
		if got := Next(tt.job, &Task{Name: "work"}, tt.restarts, tt.moves, 7*time.Minute); got != tt.want {
			t.Errorf("%s/%s with %d restarts and %d moves: got %q, want %q", tt.job.Type, tt.job.Recovery.Mode,
				tt.restarts, tt.moves, got, tt.want)
		}
	}
}

func TestForecastOfAGangAndOfGroupsInOrder(t *testing.T) {
	gang := ForecastOf(&Job{Name: "lab", Gang: true, Tasks: []Task{{Name: "work"}}})
	if got := gang.Tasks[0].Then[1]; got != "moves to another node with all copies of the job after 5s (1 in 24h)" {
		t.Errorf("of a gang: got %q", got)
	}
	order := &Job{Name: "lab", Tasks: []Task{{Name: "a"}, {Name: "b", After: []string{"a"}}}}
	if got := order.Spent(); !strings.HasPrefix(got, "its group has failed") {
		t.Errorf("with groups in order: got %q", got)
	}
}

// TestForecastKnowsWhenATaskRuns: what follows on a failure is another thing beside the
// work, and after it.
func TestForecastKnowsWhenATaskRuns(t *testing.T) {
	job := Job{Name: "sum", Type: Batch, Tasks: []Task{
		{Name: "sum", Group: "g", Command: []string{"sum"}},
		{Name: "proxy", Group: "g", Lifecycle: Sidecar, Command: []string{"proxy"}},
		{Name: "tidy", Group: "g", Lifecycle: Poststop, Command: []string{"tidy"}, Timeout: Duration(time.Minute)},
	}}
	f := ForecastOf(&job)
	if !strings.Contains(f.Fails, "of a sidecar, if it ends by itself") || f.TimesOut != "" {
		t.Errorf("it fails if %q, and %q when its time is over", f.Fails, f.TimesOut)
	}
	for i, restarts := range []bool{true, true, false} {
		then := strings.Join(f.Tasks[i].Then, "; ")
		next := Next(&job, &job.Tasks[i], 0, 0, 0)
		if strings.Contains(then, "restarts here") != restarts || strings.Contains(next, "restarts here") != restarts {
			t.Errorf("task %q: %s; now it %s", f.Tasks[i].Task, then, next)
		}
	}
}

// TestForecastOfAnEnd says how a task is ended, and what follows if it leaves its devices idle.
func TestForecastOfAnEnd(t *testing.T) {
	for _, tt := range []struct {
		change      func(*Task)
		ended, idle string
	}{
		{func(*Task) {}, "SIGTERM asks it to end, and 5s later it is killed", ""},
		{
			func(t *Task) { t.StopSignal, t.KillGrace, t.WarnSignal = "SIGINT", Duration(time.Minute), "SIGUSR1" },
			"SIGUSR1 warns it if there is time; 10s later SIGINT asks it to end, and 1m later it is killed", "",
		},
		{
			func(t *Task) { t.WarnBefore = Duration(2 * time.Second) },
			"nobody is sent to it any more; 2s later, if there is time, SIGTERM asks it to end, and 5s later it is killed", "",
		},
		{
			func(t *Task) { t.Driver, t.Container = ContainerDriver, &Container{Image: "x"} },
			"SIGTERM, or what its image wants, asks it to end, and 5s later it is killed", "",
		},
		{
			func(t *Task) { t.Idle = &IdlePolicy{Action: IdleStop} },
			"SIGTERM asks it to end, and 5s later it is killed",
			"if it has used its devices for less than 5 % of the time for 1h: the job is stopped, if all its copies do so",
		},
	} {
		job := &Job{Name: "j", Type: Service, Tasks: []Task{{Name: "t", Command: []string{"true"}}}}
		tt.change(&job.Tasks[0])
		if got := ForecastOf(job).Tasks[0]; got.Ended != tt.ended || got.Idle != tt.idle {
			t.Errorf("got %q, %q; want %q, %q", got.Ended, got.Idle, tt.ended, tt.idle)
		}
	}
}

// TestForecastOfAGangOnALostNode: the others are not left alone, whatever the job's choice is.
func TestForecastOfAGangOnALostNode(t *testing.T) {
	for _, tt := range []struct {
		choice OnPartition
		want   string
	}{
		{"", "all copies of the gang stop, and begin again together, 1s after gossip has given the node up; " +
			"if it comes back, of two gangs the later one stays"},
		{Majority, "all copies of the gang stop, and begin again together, 1s after gossip has given the node up, " +
			"and when they have stopped for sure: within their lease of 15s and the longest kill_grace"},
		{Keep, "the copies wait until the node is known to be dead: it has booted again, or a person forgets it; " +
			"the others of the gang go on until then, and all begin again together"},
	} {
		f := ForecastOf(&Job{Name: "lab", Gang: true, Recovery: Recovery{OnPartition: tt.choice}})
		if f.NodeLost != tt.want {
			t.Errorf("%s: got %q, want %q", tt.choice, f.NodeLost, tt.want)
		}
	}
}

// When there is a run of a job, and what becomes of times at which there is none.
func TestForecastOfWhenAJobIsDue(t *testing.T) {
	for _, tt := range []struct {
		name     string
		schedule *Schedule
		triggers []Trigger
		want     string
	}{
		{"at once", nil, nil, ""},
		{
			"at times", &Schedule{Crons: []string{"0 2 * * *", "@hourly"}, Timezone: "Europe/Berlin"}, nil,
			`at "0 2 * * *" in Europe/Berlin, at "@hourly" in Europe/Berlin; while one is under way the next is left out; ` +
				"what is missed for more than 1m is left out",
		},
		{
			"once, with all that can be said",
			&Schedule{
				In: Duration(time.Hour), Overlap: OverlapReplace, Missed: CatchUpAll, CatchUpLimit: 3,
				MissedGrace: Duration(time.Second), Window: Duration(time.Minute),
			}, nil,
			"1h after it is submitted; while one is under way the next takes its place; " +
				"what is missed for more than 1s is made up for, at most 3 times; a run is cancelled 1m after its time",
		},
		{
			"for events", nil,
			[]Trigger{{Event: "landed"}, {Event: "file_appeared", Path: "/in/*"}},
			"for each event landed, for each event file_appeared that its filter lets through; " +
				"while one is under way the next runs beside it",
		},
		{
			"when asked", &Schedule{Overlap: OverlapQueue}, nil,
			"whenever somebody asks for one: mn schedule run-now tidy; while one is under way the next waits",
		},
	} {
		job := Job{Name: "tidy", Type: Batch, Schedule: tt.schedule, Triggers: tt.triggers}
		if got := ForecastOf(&job).Due; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
