package clock

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBootGoesOn(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	up, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	if err != nil {
		t.Fatal(err)
	}
	now := Boot()
	if now < up || now > up+time.Minute {
		t.Errorf("got %v since boot, the kernel says %v", now, up)
	}
	if again := Boot(); again < now {
		t.Errorf("it went back from %v to %v", now, again)
	}
}

func TestWallIsTheTimeOfDay(t *testing.T) {
	if off := time.Since(Wall()); off < 0 || off > time.Minute {
		t.Errorf("it is off by %v", off)
	}
}

// TestNoTraceOfATestClockInWhatIsShipped: only a build that asks for it can be
// told the time.
func TestNoTraceOfATestClockInWhatIsShipped(t *testing.T) {
	for _, build := range []struct {
		tags string
		want bool
	}{{"", false}, {"mntestclock", true}} {
		mn := filepath.Join(t.TempDir(), "mn")
		cmd := exec.Command("go", "build", "-tags", build.tags, "-o", mn, "mn/cmd/mn")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build mn: %v\n%s", err, out)
		}
		binary, err := os.ReadFile(mn)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(binary), "MN_TEST_CLOCK"); got != build.want {
			t.Errorf("tags %q: the binary knows of a test clock: %v, want %v", build.tags, got, build.want)
		}
	}
}
