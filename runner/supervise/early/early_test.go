package early_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	_ "mn/runner/supervise/early"
)

// The binary of this test is as good as mn: package testing imports reflect, too.
func TestSupervisorRunsBeforeWhatItDoesNotUse(t *testing.T) {
	cmd := exec.Command(os.Args[0], "supervise")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, _ := cmd.CombinedOutput()
	text := string(out)
	if !strings.Contains(text, "usage: mn supervise") || !strings.Contains(text, "init os ") {
		t.Fatalf("it is no supervisor, or does not trace its start:\n%s", text)
	}
	if strings.Contains(text, "init reflect ") {
		t.Errorf("package reflect was there before it: an import of runner/supervise or "+
			"runner/logs brings it in; see the comment of package early\n%s", text)
	}
}
