package exec

import (
	"fmt"
	"testing"

	"mn/runner"
	"mn/runner/drivertest"
)

// What it takes to end a task must not grow with the square of what it leaves behind: these processes
// would take minutes then.
func TestHundredsOfProcessesAreEndedAtOnce(t *testing.T) {
	const many = 900
	for _, i := range isolations(t) {
		for _, by := range []string{"a stop", "the end of the first"} {
			t.Run(fmt.Sprintf("isolation %s, by %s", i, by), func(t *testing.T) {
				w := suite().NewWorld(t)
				s := drivertest.Spec("web", fmt.Sprintf(`
					i=0; while [ $i -lt %d ]; do sleep 1000 & i=$((i+1)); done
					i=0; while [ $i -lt 50 ]; do setsid sleep 1000 & i=$((i+1)); done
					touch ready; until [ -e go ]; do sleep 0.01; done; exit 7`, many))
				s.Isolation = i
				w.Run(s)
				if by == "a stop" {
					w.Driver.Stop(alloc, "web", 0)
				} else {
					w.Touch("web", "go")
				}
				o := w.Expect(runner.Exited)
				if o.Err != "" || by != "a stop" && o.ExitCode != 7 {
					t.Errorf("observed %+v", o)
				}
				if pids := w.Marked(); len(pids) > 0 {
					t.Errorf("%d processes live although the end was observed", len(pids))
				}
			})
		}
	}
}
