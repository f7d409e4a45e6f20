package runner

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mn/crdt"
	"mn/mesh"
)

var update = flag.Bool("update", false, "rewrite the expectations of the stories")

// TestStories tells stories of copies. A story is a file of paragraphs: a line
// with what happens, below it what comes of it. See story.do for the lines.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/copy/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("found stories %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(text) && !*update {
				t.Errorf("the story went otherwise:\n%s\nwant:\n%s", got, text)
			}
		})
	}
}

// tell plays a story and returns it with what really came of each line.
func tell(t *testing.T, text string) string {
	s := &story{t: t}
	var out []string
	for par := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		line, _, _ := strings.Cut(par, "\n")
		if strings.HasPrefix(line, "#") {
			out = append(out, par)
			continue
		}
		out = append(out, strings.TrimRight(line+"\n"+s.do(line), "\n"))
	}
	return strings.Join(out, "\n\n") + "\n"
}

// story is a copy and its world.
type story struct {
	t    *testing.T
	job  mesh.Job
	copy *Copy
	now  time.Duration
	boot mesh.BootID   // of the machine
	on   time.Duration // when it was switched on
	skew time.Duration // of the clock on the wall
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *story) instant() Now {
	return Now{Boot: time.Hour + s.now - s.on, Wall: epoch.Add(s.now + s.skew)}
}

func (s *story) newCopy() {
	a := mesh.Alloc{ID: "a1", Job: mesh.JobID(s.job.Name), Fence: crdt.Fence{Epoch: 1, Ballot: 1}}
	s.copy = NewCopy(a, s.job.Groups()[0], &s.job, Facts{Root: "/allocs", Name: "n1", Boot: s.boot})
}

// do plays one line:
//
//	job JSON                   a new copy of the job's first group
//	run | tick                 at this time
//	after 5s                   a tick so much later
//	stop [at once, ]REASON | renew 15s
//	late 5s                    so much time passes, and nobody says so
//	wall -1h                   the clock on the wall is moved
//	checked TASK ATTEMPT HEALTH [why it is restarted]   by its only check
//	around [SERVICE[/TAG]=host:port,... ...] [label.KEY=VALUE ...]   what the node sees
//	reboot                     the machine was switched off, and is on for a minute
//	KIND TASK ATTEMPT [...]    an observation, see observation
//	agent restarts [and stops] [with KIND TASK ATTEMPT [...] ; ...]
//	                           a new copy resumes, then is told to run, or to stop
func (s *story) do(line string) string {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "job":
		s.job = mesh.Job{}
		if err := json.Unmarshal([]byte(rest), &s.job); err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		s.newCopy()
		return ""
	case "run":
		return s.step(Run{Fence: crdt.Fence{Epoch: 1, Ballot: 1}})
	case "tick":
		return s.step(Tick{})
	case "after":
		s.now += s.duration(rest)
		return s.step(Tick{})
	case "late":
		s.now += s.duration(rest)
		return ""
	case "wall":
		s.skew += s.duration(rest)
		return ""
	case "reboot":
		s.boot, s.on = s.boot+"+", time.Hour+s.now-time.Minute
		return ""
	case "stop":
		reason, atOnce := strings.CutPrefix(rest, "at once, ")
		return s.step(Stop{Reason: reason, AtOnce: atOnce})
	case "renew":
		return s.step(Renew{Lease: s.duration(rest)})
	case "checked":
		return s.step(s.checked(strings.Fields(rest)))
	case "around":
		return s.step(s.around(strings.Fields(rest)))
	case "agent":
		rest, stops := strings.CutPrefix(strings.TrimPrefix(rest, "restarts"), " and stops")
		return s.restart(strings.TrimPrefix(rest, " with "), stops)
	}
	return s.step(Observed{s.observation(line)})
}

func (s *story) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *story) restart(found string, stops bool) string {
	status := s.copy.Status()
	in := Resume{Status: &status}
	for line := range strings.SplitSeq(found, ";") {
		if line = strings.TrimSpace(line); line != "" {
			in.Found = append(in.Found, s.observation(line))
		}
	}
	s.newCopy()
	if stops {
		return s.step(in) + "-- stop\n" + s.step(Stop{Reason: "not wanted"})
	}
	return s.step(in) + "-- run\n" + s.step(Run{})
}

func (s *story) checked(f []string) Checked {
	in := Checked{Task: f[0], Restart: strings.Join(f[3:], " ")}
	in.Attempt, _ = strconv.Atoi(f[1])
	check := mesh.CheckStatus{Name: "tcp", Health: mesh.Health(f[2]), Required: true}
	if check.Health != mesh.Passing {
		check.Reason = "refused"
	}
	in.Services = []mesh.ServiceStatus{{Name: "api", Health: check.Health, Checks: []mesh.CheckStatus{check}}}
	return in
}

// around reads what the node sees: the first of a service's instances is the copy's.
func (s *story) around(words []string) Around {
	in := Around{Address: "10.0.0.1", Labels: map[string]string{}, Services: map[mesh.ServiceRef]Instances{}}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		if label, ok := strings.CutPrefix(name, "label."); ok {
			in.Labels[label] = value
			continue
		}
		var found Instances
		for at := range strings.SplitSeq(value, ",") {
			host, port, _ := strings.Cut(at, ":")
			n, _ := strconv.Atoi(port)
			found.All = append(found.All, Place{host, n})
		}
		found.First = found.All[0]
		ref := mesh.ServiceRef{}
		ref.Name, ref.Tag, _ = strings.Cut(name, "/")
		in.Services[ref] = found
	}
	return in
}

// observation reads "exited web 1 code=137 signal=9 oom expired pid=7 ago=2s err=...".
func (s *story) observation(line string) Observation {
	f := strings.Fields(line)
	if len(f) < 3 {
		s.t.Fatalf("%q is no line of a story", line)
	}
	o := Observation{Alloc: "a1", Task: f[1], Kind: Kind(f[0]), At: s.instant().Wall, StartedAt: epoch}
	o.Attempt, _ = strconv.Atoi(f[2])
	for i, word := range f[3:] {
		key, value, _ := strings.Cut(word, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "code":
			o.ExitCode = n
		case "signal":
			o.Signal = n
		case "pid":
			o.PID = n
		case "ago":
			o.At = o.At.Add(-s.duration(value))
		case "oom":
			o.OOM = true
		case "peak":
			o.Peak = mesh.Bytes(n) * mesh.MiB
		case "limit":
			o.Limit = mesh.Bytes(n) * mesh.MiB
		case "expired":
			o.Expired = true
		case "files":
			o.Files = strings.Split(value, ",")
		case "err":
			o.Err = strings.TrimPrefix(strings.Join(f[3+i:], " "), "err=")
			return o
		default:
			s.t.Fatalf("%q: %q is unknown", line, word)
		}
	}
	return o
}

// step plays an input and draws what came of it.
func (s *story) step(in Input) string {
	before := s.copy.Status()
	out := s.copy.Step(s.instant(), in)
	var b strings.Builder
	for _, o := range out.Orders {
		fmt.Fprintf(&b, "-> %v\n", o)
		if o.Spec != nil && o.Spec.Until != 0 {
			fmt.Fprintf(&b, "   until %v\n", o.Spec.Until-time.Hour)
		}
		files := o.Files
		if o.Spec != nil {
			files = o.Spec.Templates
		}
		for _, f := range files {
			fmt.Fprintf(&b, "   %s is %q\n", f.Path, f.Text)
		}
	}
	for _, e := range out.Events {
		fmt.Fprintf(&b, "%s: %s\n", e.Kind, e.Text)
	}
	after := s.copy.Status()
	if draw(before) != draw(after) {
		if !out.Changed {
			s.t.Errorf("a change was not told: %s", draw(after))
		}
		b.WriteString(draw(after))
	}
	if wake := s.copy.Wake(); wake != Never {
		fmt.Fprintf(&b, "wake in %v\n", wake-s.instant().Boot)
	}
	return b.String()
}

// draw is a picture of a status.
func draw(s mesh.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "copy %s", s.State)
	if s.Outcome != "" && s.Outcome != s.State {
		fmt.Fprintf(&b, ", to be %s", s.Outcome)
	}
	b.WriteString("\n")
	for _, t := range s.Tasks {
		fmt.Fprintf(&b, "  %s %s", t.Name, t.State)
		if t.PID != 0 {
			fmt.Fprintf(&b, " pid %d", t.PID)
		}
		if t.ExitCode != nil {
			fmt.Fprintf(&b, " exit %d", *t.ExitCode)
		}
		if t.Restarts > 0 {
			fmt.Fprintf(&b, " restarts %d", t.Restarts)
		}
		if t.Reason != "" {
			fmt.Fprintf(&b, " (%s)", t.Reason)
		}
		b.WriteString("\n")
	}
	return b.String()
}
