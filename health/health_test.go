package health

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mn/mesh"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) Now { return Now{Boot: d, Wall: epoch.Add(d)} }

// node runs the checks of a machine by the results that it is told to give.
type node struct {
	*Machine
	now   time.Duration
	fails func(p Probe, now time.Duration) string
	told  []string
	minor []Change
	ran   map[string]int
	times []time.Duration
}

func newNode(seed uint64) *node {
	return &node{
		Machine: New(rand.New(rand.NewPCG(seed, 0))), ran: map[string]int{},
		fails: func(Probe, time.Duration) string { return "" },
	}
}

func (n *node) watch(attempt int, known []mesh.ServiceStatus, services ...mesh.ServiceDef) {
	n.Watch(Target{Of: Of{"a", "t"}, Attempt: attempt, Started: n.now, Services: services, Known: known}, at(n.now))
}

// run lets time pass; each check ends at once.
func (n *node) run(t interface{ Fatalf(string, ...any) }, until time.Duration) {
	for range 100_000 {
		for _, p := range n.Due(at(n.now)) {
			n.ran[p.Check.Title()]++
			n.times = append(n.times, n.now)
			n.Ended(p.ID, n.fails(p, n.now), at(n.now))
		}
		for _, c := range n.Changes(at(n.now)) {
			if c.Minor {
				n.minor = append(n.minor, c)
				continue
			}
			for _, s := range c.Services {
				text := fmt.Sprintf("%s %s", s.Name, s.Health)
				if c.Restart != "" {
					text += "; " + c.Restart
				}
				if c.Restart == "" && len(c.Services) == 1 && len(n.told) > 0 && n.told[len(n.told)-1] == text {
					continue // it was checked first, and is as healthy as before
				}
				n.told = append(n.told, text)
			}
		}
		next, any := n.Next()
		if !any || next > until {
			n.now = until
			return
		}
		if next <= n.now && len(n.due) == 0 {
			t.Fatalf("at %v it wants to be woken at %v", n.now, next)
		}
		n.now = max(n.now, next)
	}
	t.Fatalf("it never ends")
}

func service(checks ...mesh.Check) mesh.ServiceDef {
	return mesh.ServiceDef{Name: "web", Port: "80", Checks: checks}
}

// What a service comes to, by how one check of it ends: p passes, f fails.
func TestHowChecksCount(t *testing.T) {
	optional := false
	for _, tt := range []struct {
		name  string
		check mesh.Check
		ends  string
		want  string
	}{
		{"passes at once", mesh.Check{}, "p", "warning passing"},
		{"fails at once", mesh.Check{}, "f", "warning critical"},
		{"comes back", mesh.Check{}, "ppfp", "warning passing critical passing"},
		{"two to pass", mesh.Check{SuccessBeforePassing: 2}, "pfpp", "warning critical passing"},
		{"three to fail", mesh.Check{FailuresBeforeCritical: 3}, "pffpfff", "warning passing critical"},
		{"a warning before", mesh.Check{FailuresBeforeWarning: 1, FailuresBeforeCritical: 3}, "pfff", "warning passing warning critical"},
		{"no warning after", mesh.Check{FailuresBeforeWarning: 1, FailuresBeforeCritical: 2, SuccessBeforePassing: 2}, "ffpfpp", "warning critical passing"},
		{"not required", mesh.Check{Required: &optional}, "pfp", "warning passing warning passing"},
		{"a transient failure", mesh.Check{FailuresBeforeCritical: 2}, "pfpfp", "warning passing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, i := newNode(1), 0
			n.fails = func(Probe, time.Duration) string {
				end := tt.ends[min(i, len(tt.ends)-1)]
				i++
				if end == 'f' {
					return "refused"
				}
				return ""
			}
			n.watch(1, nil, service(tt.check))
			n.run(t, time.Duration(len(tt.ends))*mesh.DefaultCheckInterval-1)
			if got := strings.ReplaceAll(strings.Join(n.told, " "), "web ", ""); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if i != len(tt.ends) {
				t.Errorf("it ran %d times, want %d", i, len(tt.ends))
			}
		})
	}
}

func TestSumOfChecks(t *testing.T) {
	check := func(required bool, h mesh.Health) mesh.CheckStatus {
		return mesh.CheckStatus{Required: required, Health: h}
	}
	for _, tt := range []struct {
		checks []mesh.CheckStatus
		want   mesh.Health
	}{
		{nil, mesh.Passing},
		{[]mesh.CheckStatus{check(true, mesh.Passing), check(false, mesh.Passing)}, mesh.Passing},
		{[]mesh.CheckStatus{check(true, mesh.Passing), check(false, mesh.Critical)}, mesh.Warning},
		{[]mesh.CheckStatus{check(true, mesh.Warning), check(true, mesh.Passing)}, mesh.Warning},
		{[]mesh.CheckStatus{check(false, mesh.Critical), check(true, mesh.Critical)}, mesh.Critical},
		{[]mesh.CheckStatus{check(true, mesh.Critical), check(true, mesh.Passing)}, mesh.Critical},
	} {
		if got := Sum(tt.checks); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.checks, got, tt.want)
		}
	}
}

func TestAServiceWithoutChecksPasses(t *testing.T) {
	n := newNode(1)
	n.watch(1, nil, service())
	n.run(t, time.Minute)
	if got := strings.Join(n.told, ", "); got != "web passing" {
		t.Errorf("got %s", got)
	}
}

// In its grace a check may fail, and is run often, so that what starts is found soon.
func TestGrace(t *testing.T) {
	n := newNode(1)
	n.fails = func(_ Probe, now time.Duration) string {
		if now < 25*time.Second {
			return "refused"
		}
		return ""
	}
	n.watch(1, nil, service(mesh.Check{Grace: mesh.Duration(time.Minute), Interval: mesh.Duration(30 * time.Second)}))
	n.run(t, 28*time.Second)
	if got := strings.Join(n.told, ", "); got != "web warning, web passing" {
		t.Errorf("got %s", got)
	}
	n.fails = func(Probe, time.Duration) string { return "refused" }
	n.run(t, 70*time.Second)
	if got := n.told[len(n.told)-1]; got != "web critical" {
		t.Errorf("got %s: once it has passed there is no more grace", got)
	}
}

func TestFailuresRestart(t *testing.T) {
	optional := false
	for _, tt := range []struct {
		name    string
		restart mesh.CheckRestart
		check   mesh.Check
		after   int // failures, until it is restarted; 0 for never
	}{
		{"at the limit", mesh.CheckRestart{Limit: 3}, mesh.Check{}, 3},
		{"whatever they make of the service", mesh.CheckRestart{Limit: 2}, mesh.Check{FailuresBeforeCritical: 100}, 2},
		{"not in its grace", mesh.CheckRestart{Limit: 2, Grace: mesh.Duration(25 * time.Second)}, mesh.Check{}, 5},
		{"not in that of the check", mesh.CheckRestart{Limit: 1}, mesh.Check{Grace: mesh.Duration(5 * time.Second)}, 4},
		{"not required", mesh.CheckRestart{Limit: 2}, mesh.Check{Required: &optional}, 2},
		{"which is ignored", mesh.CheckRestart{Limit: 2, IgnoreWarnings: true}, mesh.Check{Required: &optional}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, failures := newNode(1), 0
			n.fails = func(Probe, time.Duration) string { failures++; return "refused" }
			s := service(tt.check)
			s.Restart = &tt.restart
			n.watch(1, nil, s)
			for n.now < 100*time.Second && !strings.Contains(strings.Join(n.told, " "), ";") {
				n.run(t, n.now+time.Second)
			}
			if tt.after == 0 {
				failures = 0
			}
			if restarts := strings.Contains(strings.Join(n.told, " "), "; check \"tcp\" of service \"web\" failed"); failures != tt.after || restarts != (tt.after > 0) {
				t.Errorf("after %d failures, want %d; told %v", failures, tt.after, n.told)
			}
		})
	}
	n, failing := newNode(1), true
	n.fails = func(Probe, time.Duration) string {
		if failing = !failing; failing {
			return "refused"
		}
		return ""
	}
	s := service(mesh.Check{})
	s.Restart = &mesh.CheckRestart{Limit: 2}
	n.watch(1, nil, s)
	n.run(t, 10*time.Minute)
	if told := strings.Join(n.told, " "); strings.Contains(told, ";") {
		t.Errorf("failures that do not follow each other restarted it: %s", told)
	}
}

// An agent that is restarted goes on with what it knew: what passes is not hidden for a moment.
func TestWhatWasKnownGoesOn(t *testing.T) {
	n := newNode(1)
	known := []mesh.ServiceStatus{{Name: "web", Health: mesh.Passing, Since: epoch.Add(-time.Hour), Checks: []mesh.CheckStatus{{
		Name: "tcp", Health: mesh.Passing, Since: epoch.Add(-time.Hour), Required: true,
	}}}}
	n.watch(1, known, service(mesh.Check{}))
	c := n.Changes(at(0))
	if len(c) != 1 || c[0].Services[0].Health != mesh.Passing || !c[0].Services[0].Since.Equal(epoch.Add(-time.Hour)) {
		t.Errorf("got %+v", c)
	}
	n.watch(1, nil, service(mesh.Check{})) // the same attempt, said again
	n.run(t, time.Minute)
	if len(n.told) > 0 {
		t.Errorf("told %v", n.told)
	}
	n.watch(2, nil, service(mesh.Check{}))
	n.run(t, 2*time.Minute)
	if got := strings.Join(n.told, ", "); got != "web warning, web passing" {
		t.Errorf("of the next attempt: %s", got)
	}
}

// Whatever checks take, their turns are whole intervals after the first.
func TestChecksDoNotDrift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(rapid.Uint64().Draw(t, "seed"))
		every := time.Duration(rapid.IntRange(1, 30).Draw(t, "interval")) * time.Second
		n.watch(1, nil, service(mesh.Check{Interval: mesh.Duration(every)}))
		var first time.Duration
		for turn := range 50 {
			next, any := n.Next()
			if !any {
				t.Fatal("nothing is due")
			}
			n.now = max(n.now, next)
			n.Changes(at(n.now))
			for _, p := range n.Due(at(n.now)) {
				if turn == 0 || first == 0 {
					first = n.now
				}
				if off := (n.now - first) % every; off != 0 && every-off > time.Millisecond {
					t.Fatalf("turn at %v, %v after the first at %v: not of %v", n.now, n.now-first, first, every)
				}
				if len(n.Due(at(n.now+10*every))) > 0 {
					t.Fatal("it is due again while it runs")
				}
				n.now += time.Duration(rapid.Int64Range(0, int64(every)-1).Draw(t, "takes"))
				n.Ended(p.ID, "", at(n.now))
			}
		}
	})
}

// A thousand checks that come and go as fast as they can are told in bounds, and what is last told is
// what is so.
func TestAStormIsBounded(t *testing.T) {
	n := newNode(7)
	n.fails = func(p Probe, now time.Duration) string {
		if now < 30*time.Second && (now/time.Second)%2 == 0 || now >= 30*time.Second && p.Of.Alloc[1]%2 == 0 {
			return "refused"
		}
		return ""
	}
	last := map[Of]mesh.Health{}
	for i := range 1000 {
		of := Of{mesh.AllocID(fmt.Sprintf("a%03d", i)), "t"}
		n.Watch(Target{Of: of, Attempt: 1, Services: []mesh.ServiceDef{service(mesh.Check{Interval: mesh.Duration(time.Second)})}}, at(0))
	}
	told := 0
	for n.now < 90*time.Second {
		for _, p := range n.Due(at(n.now)) {
			n.Ended(p.ID, n.fails(p, n.now), at(n.now))
		}
		for _, c := range n.Changes(at(n.now)) {
			told++
			last[c.Of] = c.Services[0].Health
		}
		n.now += 50 * time.Millisecond
		if most := tellBurst + int(n.now.Seconds()*tellRate) + 1; told > most {
			t.Fatalf("%d changes were told until %v, more than %d", told, n.now, most)
		}
	}
	for of, h := range last {
		want := mesh.Passing
		if of.Alloc[1]%2 == 0 {
			want = mesh.Critical
		}
		if h != want {
			t.Errorf("%s was last told to be %s, want %s", of.Alloc, h, want)
		}
	}
	if len(last) != 1000 {
		t.Errorf("%d tasks were told, want 1000", len(last))
	}
}

// What is said of a check is what is so now: also while it starts, while its failures are too few to count,
// and when it fails in another way than at first. But that is told seldom, and no service is worse for it.
func TestWhatIsSaidOfACheckIsWhatIsSo(t *testing.T) {
	n := newNode(3)
	said := func() mesh.CheckStatus { return n.targets[Of{"a", "t"}].said[0].Checks[0] }
	end := "refused"
	n.fails = func(Probe, time.Duration) string { return end }
	n.watch(1, nil, service(mesh.Check{
		Interval: mesh.Duration(5 * time.Second), Grace: mesh.Duration(time.Minute), FailuresBeforeCritical: 3,
		SuccessBeforePassing: 2,
	}))
	for _, tt := range []struct {
		end    string
		until  time.Duration
		health mesh.Health
		reason string
		fails  int
	}{
		{"refused", 2100 * time.Millisecond, mesh.Warning, "is still starting: refused", 0},
		{"status 503", 30 * time.Second, mesh.Warning, "is still starting: status 503", 0},
		{"", 50 * time.Second, mesh.Passing, "", 0},
		{"status 500", 58 * time.Second, mesh.Passing, "status 500", 1},
		{"", 80 * time.Second, mesh.Passing, "", 0},
		{"status 500", 84 * time.Second, mesh.Passing, "status 500", 1},
		{"status 500", 96 * time.Second, mesh.Critical, "status 500", 0},
		{"refused", 120 * time.Second, mesh.Critical, "refused", 0},
		{"", 140 * time.Second, mesh.Passing, "", 0},
	} {
		end = tt.end
		n.run(t, tt.until)
		if got := said(); got.Health != tt.health || got.Reason != tt.reason || got.Failures != tt.fails {
			t.Errorf("until %v: %s, %q, %d failures; want %s, %q, %d",
				tt.until, got.Health, got.Reason, got.Failures, tt.health, tt.reason, tt.fails)
		}
	}
	if got := strings.Join(n.told, ", "); got != "web warning, web passing, web critical, web passing" {
		t.Errorf("told %s", got)
	}
	if len(n.minor) == 0 || len(n.minor) > 7 {
		t.Errorf("%d things were told that change no service, want a few", len(n.minor))
	}
}

// Reasons that are never the same twice keep nobody from being told what matters.
func TestReasonsLeaveRoomForFailures(t *testing.T) {
	n := newNode(4)
	n.fails = func(p Probe, now time.Duration) string {
		if p.Of.Alloc == "z" && now < 60*time.Second {
			return ""
		}
		return fmt.Sprint("failed at ", now)
	}
	one := []mesh.ServiceDef{service(mesh.Check{Interval: mesh.Duration(time.Second)})}
	for i := range 2000 {
		n.Watch(Target{Of: Of{mesh.AllocID(fmt.Sprint("a", i)), "t"}, Attempt: 1, Services: one}, at(0))
	}
	n.Watch(Target{Of: Of{"z", "t"}, Attempt: 1, Services: one}, at(0))
	minor, failed := 0, time.Duration(0)
	for n.now < 62*time.Second {
		for _, p := range n.Due(at(n.now)) {
			n.Ended(p.ID, n.fails(p, n.now), at(n.now))
		}
		for _, c := range n.Changes(at(n.now)) {
			if c.Minor {
				minor++
			}
			if c.Alloc == "z" && c.Services[0].Health == mesh.Critical {
				failed = n.now
			}
		}
		n.now += 50 * time.Millisecond
	}
	if minor < 100 || failed < 60*time.Second || failed > 61100*time.Millisecond {
		t.Errorf("%d reasons were told, and at %v the failure of 1m0s", minor, failed)
	}
}

// What a script says may be anything, and is shown on terminals.
func TestReasonsArePlain(t *testing.T) {
	for why, want := range map[string]string{
		"":                                     "it failed",
		" \x1b ":                               "\ufffd",
		"a\x1b[31mred\a\tb\r\nc\xff":           "a\ufffd[31mred\ufffd b  c\ufffd",
		strings.Repeat("é", reasonMax/2) + "x": strings.Repeat("é", reasonMax/2) + "…",
	} {
		if got := clip(why); got != want {
			t.Errorf("%q: got %q, want %q", why, got, want)
		}
	}
}

func TestWhatIsForgottenIsNotRun(t *testing.T) {
	n := newNode(1)
	n.watch(1, nil, service(mesh.Check{Name: "a"}, mesh.Check{Name: "b"}))
	n.now = 2 * time.Second
	probes := n.Due(at(n.now))
	if len(probes) != 2 || len(n.targets) != 1 {
		t.Fatalf("got %d checks of %v", len(probes), n.targets)
	}
	n.Ended(probes[0].ID, "", at(n.now))
	n.Forget(Of{"a", "t"})
	n.Ended(probes[1].ID, "refused", at(n.now))
	n.run(t, time.Hour)
	if len(n.ran) > 0 || len(n.told) > 0 || len(n.running) > 0 || len(n.targets) > 0 {
		t.Errorf("ran %v, told %v, running %d", n.ran, n.told, len(n.running))
	}
	if _, any := n.Next(); any {
		t.Error("there is something to do")
	}
	if slices.Contains(n.told, "web critical") {
		t.Error("what was forgotten was told")
	}
}
