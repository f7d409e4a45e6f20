package cases

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mn/mesh"
)

// schedules are the cases of jobs that are due again and again.
func schedules() []Case {
	return []Case{{
		Name: "each-tick-once", Faults: "F1", run: (*scene).eachTickOnce,
		Shows: "whoever decides about a schedule is killed around its times: each has one run, by what those write",
	}}
}

const (
	tickEvery = 2 * time.Second
	tickKills = 3
)

// eachTickOnce is I11: each time that is due has exactly one run that is done.
func (s *scene) eachTickOnce() {
	out := filepath.Join(s.dir, "ticks")
	job := mesh.Job{
		Name: "ticks", Type: mesh.Batch,
		Schedule: &mesh.Schedule{
			Crons: []string{"@every " + tickEvery.String()}, Overlap: mesh.OverlapAllow,
			MissedGrace: mesh.Duration(5 * time.Minute),
		},
		Tasks: []mesh.Task{{
			Name: "note", Command: []string{"sh", "-c", `echo "$MN_SCHEDULED_AT" >> "$OUT"`},
			Env:       map[string]string{"OUT": out},
			Resources: mesh.Resources{CPU: taskCPU, Memory: taskMemory}, Isolation: mesh.IsolateNone,
		}},
	}
	job.Recovery.OnPartition = mesh.Keep
	s.must(s.submit(s.lab.Nodes()[0], job))
	s.until(startMax, "a first run is done", func() (bool, string) { return len(s.ticks(out)) > 0, "none is" })
	from := time.Now().Add(tickEvery)
	for i := range tickKills {
		victim := s.lab.Node(s.coordinator(job.Name))
		next := time.Now().Truncate(tickEvery).Add(tickEvery)
		s.pass(time.Until(next) + time.Duration(i-1)*50*time.Millisecond)
		s.must(victim.KillAgent())
		s.pass(tickEvery + tickEvery/2)
		s.startAgents(victim)
	}
	to := time.Now()
	s.say("those who decide were killed %d times around what is due", tickKills)
	s.until(majorityMax+eagerMax, "each time has one run", func() (bool, string) { return s.once(out, from, to) })
	s.must(s.end(s.running()[0], mesh.JobID(job.Name)))
	if each, why := s.once(out, from, to); !each {
		s.fail("I11", "afterwards %s", why)
	}
}

// ticks are how often each time was written down by a run.
func (s *scene) ticks(file string) map[string]int {
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		s.must(err)
	}
	times := map[string]int{}
	for _, line := range strings.Fields(string(text)) {
		times[line]++
	}
	return times
}

// once says whether each time of a span was written down once, and else which was not.
func (s *scene) once(file string, from, to time.Time) (bool, string) {
	times := s.ticks(file)
	for at := from.UTC().Truncate(tickEvery).Add(tickEvery); at.Before(to); at = at.Add(tickEvery) {
		if n := times[at.Format(time.RFC3339)]; n != 1 {
			return false, fmt.Sprintf("%s has %d runs", at.Format(time.TimeOnly), n)
		}
	}
	return true, ""
}
