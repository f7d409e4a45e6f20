package mesh

import (
	"testing"
	"time"
)

func TestTheNamesOfRunsCanBeTold(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC)
	for _, o := range []Origin{
		{Cause: CauseTime, Due: at},
		{Cause: CauseTime, Due: at.Add(5 * time.Second)},
		{Cause: CauseEvent, Occurrence: "x", Due: at},
		{Cause: CausePerson, Occurrence: "run-now/monday", Due: at},
	} {
		if name := RunName("report", &o); !MayBeRun(name) || !ValidName(string(name)) {
			t.Errorf("%q is no name of a run", name)
		}
	}
	for _, name := range []JobID{"report", "report-1", "-20300102t0304z", "report-20301302t0304z"} {
		if MayBeRun(name) {
			t.Errorf("%q is the name of a run", name)
		}
	}
}
