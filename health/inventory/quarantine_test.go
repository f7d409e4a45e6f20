package inventory

import "testing"

// well looks n times at a device that is well, and says whether it takes work after that.
func well(q *quarantine, n int) bool {
	for range n {
		q.look("", q.errors)
	}
	return q.reason == ""
}

func TestASickDeviceComesBackAfterPassingLooks(t *testing.T) {
	var q quarantine
	if got := q.look("", 0); got != "" {
		t.Errorf("got %q of a device that is well", got)
	}
	if got := q.look("lost", 0); got != "lost" {
		t.Errorf("got %q", got)
	}
	if well(&q, passesMin-1) {
		t.Error("it is back too early")
	}
	// It fails again while it is away: all over, but not for longer.
	if got := q.look("hot", 0); got != "hot" {
		t.Errorf("got %q", got)
	}
	if well(&q, passesMin-1) {
		t.Error("it is back too early after it failed again")
	}
	if !well(&q, 1) {
		t.Error("it is not back")
	}
}

// While it is tested it says so, and for how long.
func TestASelfTestIsNamed(t *testing.T) {
	var q quarantine
	q.look("lost", 0)
	const want = "lost; in self-test: 4 looks in a row must find no error, which takes 1m0s"
	for i := range passesMin - 1 {
		if got := q.look("", 0); got != want {
			t.Errorf("look %d: got %q, want %q", i, got, want)
		}
	}
	if got := q.look("", 0); got != "" {
		t.Errorf("got %q after it has passed", got)
	}
}

// A count that stays is an old error, one that grows is a new one.
func TestErrorsCountWhenTheyAreNew(t *testing.T) {
	var q quarantine
	const want = "its driver counts 3 errors that were not corrected"
	if got := q.look("", 3); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !well(&q, passesMin) {
		t.Fatal("errors that do not grow keep it away")
	}
	if q.look("", 4) == "" {
		t.Error("a new error does not count")
	}
	if !well(&q, 2*passesMin) {
		t.Fatal("it is not back")
	}
	if q.look("", 0) != "" {
		t.Error("a driver that was loaded again, without errors, counts")
	}
	if q.look("", 1) == "" {
		t.Error("an error after the driver was loaded again does not count")
	}
	if !well(&q, 4*passesMin) || q.look("", 5) == "" || !well(&q, passesMax) || q.look("", 2) == "" {
		t.Error("an error before the first look at the new driver does not count")
	}
}

// A device that fails whenever it has work is tried less and less, and is forgiven in
// the end.
func TestADeviceThatFailsAgainAndAgainStaysAwayLonger(t *testing.T) {
	var q quarantine
	for _, want := range []int{4, 8, 16, 32, 64, 128, 240, 240} {
		q.look("lost", 0)
		looks := 0
		for q.reason != "" {
			q.look("", 0)
			looks++
		}
		if looks != want {
			t.Errorf("it was back after %d looks, want %d", looks, want)
		}
	}
	for i := range 6 {
		if q.unblemished() {
			t.Errorf("it was forgiven after %d times %d looks", i, passesMax)
		}
		well(&q, passesMax)
	}
	if !q.unblemished() {
		t.Error("it is not forgiven")
	}
}
