package mesh

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Forecast is what follows, by a job's policies, when something of it goes wrong,
// in words.
type Forecast struct {
	Job       string         `json:"job"`
	Type      JobType        `json:"type"`
	Mode      RecoveryMode   `json:"mode"`
	Due       string         `json:"due,omitempty"`    // when there is a run of it; "" if it is none by itself
	Begins    string         `json:"begins,omitempty"` // what it waits for; "" if for no other job, nor limit
	Fails     string         `json:"fails"`            // which end of a task is a failure
	Tasks     []TaskForecast `json:"tasks"`            // in the order of the file
	TimesOut  string         `json:"times_out"`        // "" if nothing of it can
	NodeLost  string         `json:"node_lost"`
	Partition string         `json:"partition"` // while nodes do not see each other
	Update    string         `json:"update"`    // how a new version takes the place of the one that runs
}

// TaskForecast is what follows when a task fails, again and again, and how it is ended.
type TaskForecast struct {
	Task  string   `json:"task"`
	Then  []string `json:"then"`           // one after the other
	Ended string   `json:"ended"`          // how it is, when somebody or something has it end
	Idle  string   `json:"idle,omitempty"` // what follows if it leaves its devices idle; "" if nothing
}

// ForecastOf is the forecast for a job, as it is decided by [RestartFor],
// [RescheduleFor], [Delays.After] and [ReviewFor].
func ForecastOf(job *Job) Forecast {
	full := job.normal()
	f := Forecast{
		Job: full.Name, Type: full.Type, Mode: full.Recovery.Mode,
		Due: full.due(), Begins: full.begins(), Fails: full.failsIf(),
		TimesOut: full.timesOut(), NodeLost: full.nodeLost(), Partition: full.split(),
		Update: full.updates(),
	}
	for i := range full.Tasks {
		t := &full.Tasks[i]
		f.Tasks = append(f.Tasks, TaskForecast{t.Name, full.fails(t), t.ended(), t.idles()})
	}
	return f
}

// updates says how a new version takes the place of the one that runs, and by when it has to be well.
func (j *Job) updates() string {
	u := j.Update
	if u == nil || !j.Type.Long() {
		return cmp.Or(j.UpdateText(), "all copies that it changes are replaced at once")
	}
	return fmt.Sprintf("%s; each is to be healthy for %v, within %v, and one more each %v, or it fails", j.UpdateText(),
		Duration(u.Healthy()), Duration(u.HealthyIn()), Duration(u.ProgressIn()))
}

// ended says how a task is asked to end.
func (t *Task) ended() string {
	asks := cmp.Or(t.StopSignal, "SIGTERM")
	if t.StopSignal == "" && t.Container != nil {
		asks = "SIGTERM, or what its image wants,"
	}
	text := fmt.Sprintf("%s asks it to end, and %v later it is killed", asks, t.KillGrace)
	switch {
	case t.WarnSignal != "":
		text = fmt.Sprintf("%s warns it if there is time; %v later %s", t.WarnSignal, t.WarnBefore, text)
	case t.WarnBefore > 0:
		text = fmt.Sprintf("nobody is sent to it any more; %v later, if there is time, %s", t.WarnBefore, text)
	}
	return text
}

// idles says what follows if a task leaves its devices idle.
func (t *Task) idles() string {
	if t.Idle == nil {
		return ""
	}
	then := map[IdleAction]string{
		IdleWarn: "it is told", IdlePause: "the job is paused, if all its copies do so",
		IdleStop: "the job is stopped, if all its copies do so",
	}
	return fmt.Sprintf("if it %v: %s", t.Idle, then[t.Idle.Does()])
}

// begins says which other jobs the job waits for, and its copies.
func (j *Job) begins() string {
	text := j.beginsAfter()
	if j.Limit == nil {
		return text
	}
	if text != "" {
		text += "; then "
	}
	if j.Limit.Max == 1 {
		return text + fmt.Sprintf("each copy when no other runs under limit %q, of all jobs", j.Limit.Key)
	}
	return text + fmt.Sprintf("each copy when fewer than %d others run under limit %q, of all jobs",
		j.Limit.Max, j.Limit.Key)
}

func (j *Job) beginsAfter() string {
	names := strings.Join(quoted(j.After), ", ")
	switch {
	case len(j.After) == 0:
		return ""
	case j.AfterRule == "" || j.AfterRule == AllSuccess:
		return "when these jobs have completed: " + names
	case j.AfterRule == QuorumSuccess:
		return fmt.Sprintf("when %s completed: %s",
			Counted(j.AfterQuorum, "of these jobs has", "of these jobs have"), names)
	}
	return fmt.Sprintf("after these jobs, by the rule %s: %s", j.AfterRule, names)
}

// failsIf says which end of a task is a failure.
func (j *Job) failsIf() string {
	const coded = "it ends by a signal, or with an exit code other than 0 and its success_exit_codes"
	if !j.Type.Long() {
		if slices.ContainsFunc(j.Tasks, func(t Task) bool { return t.Lifecycle == Sidecar }) {
			return coded + "; of a sidecar, if it ends by itself before it is told to"
		}
		return coded
	}
	ends := func(t Task) bool { return t.Lifecycle == Prestart || t.Lifecycle == Poststop }
	if slices.ContainsFunc(j.Tasks, ends) {
		return "it ends by itself, whatever its exit code; of prestart and poststop, if " + coded
	}
	return "it ends by itself, whatever its exit code"
}

// timesOut is what becomes of a copy that times out, if one can.
func (j *Job) timesOut() string {
	bound := func(t Task) bool { return t.Timeout > 0 && t.Lifecycle != Poststop }
	if j.Timeout == 0 && !slices.ContainsFunc(j.Tasks, bound) {
		return ""
	}
	then := j.timeouts() + ": its copy is not restarted nor moved: " + j.Spent()
	if t := Hazard(j.Tasks); t != nil && !ReviewFor(j) {
		then += fmt.Sprintf("; if task %q had started, %s", t.Name, review)
	}
	return then
}

// timeouts are when a copy has timed out, in words.
func (j *Job) timeouts() string {
	var all []string
	if j.Timeout > 0 {
		all = append(all, fmt.Sprintf("after %v", j.Timeout))
	}
	for i := range j.Tasks {
		if t := &j.Tasks[i]; t.Timeout > 0 && t.Lifecycle != Poststop {
			all = append(all, fmt.Sprintf("%v after task %q has first started", t.Timeout, t.Name))
		}
	}
	return strings.Join(all, ", or ")
}

// review is what becomes of what must not run twice, in words.
const review = "the job is paused and waits for a person: mn review ls"

// once says that what is marked unsafe is not run again, in words.
func (t *Task) once() string {
	return fmt.Sprintf("is not run again, as it is marked unsafe (%s): %s", t.Safety.Mark(), review)
}

// hazard is the task beside t for which the copy of both is not run again, or nil.
func (j *Job) hazard(t *Task) *Task {
	g, _ := j.Group(t.Group)
	return Hazard(g.Tasks)
}

// fails is what follows when a task of the job fails for as long as it can.
func (j *Job) fails(t *Task) []string {
	r, m := RestartFor(j, t), RescheduleFor(j)
	var then []string
	switch {
	case t.Safety.Mark() != "":
		return []string{t.once()}
	case t.Lifecycle == Poststop:
		return []string{afterwards}
	}
	if r.restarts() {
		then = append(then, fmt.Sprintf("restarts here after %s (%d in %v)",
			r.Delays.ladder(r.Attempts), r.Attempts, Duration(r.Interval)))
	}
	switch {
	case r.restarts() && r.Mode == RestartDelay:
		return append(then, fmt.Sprintf(
			"waits until the oldest of them is %v ago, and restarts here again, without end", Duration(r.Interval)))
	case j.hazard(t) != nil:
		return append(then, fmt.Sprintf("once task %q has started, its copy %s", j.hazard(t).Name, j.hazard(t).once()))
	case m.Enabled && m.Unlimited:
		return append(then, fmt.Sprintf("%s after %s, without end", j.moves(t), m.Delays.ladder(math.MaxInt)))
	case m.Enabled && m.Attempts > 0:
		then = append(then, fmt.Sprintf("%s after %s (%d in %v)",
			j.moves(t), m.Delays.ladder(m.Attempts), m.Attempts, Duration(m.Interval)))
	}
	return append(then, j.Spent())
}

// afterwards is what follows when a poststop task fails, in words.
const afterwards = "is not run again, and changes nothing: what its copy has come to is decided"

// restarts says whether the policy restarts anything.
func (r *EffectiveRestart) restarts() bool { return r.Enabled && r.Attempts > 0 }

// moves is the move of a task, in words: those of its group go with it.
func (j *Job) moves(t *Task) string {
	if j.Type.PerNode() {
		return "is tried again on its node"
	}
	if j.Gang {
		return "moves to another node with all copies of the job"
	}
	if g, _ := j.Group(t.Group); len(g.Tasks) > 1 {
		return fmt.Sprintf("moves to another node with group %q", g.Name)
	}
	return "moves to another node"
}

// Spent is what the job is when a copy has failed for good. Where groups come after
// others, that is not all.
func (j *Job) Spent() string {
	if ReviewFor(j) {
		return fmt.Sprintf("the job is paused and waits for a person: mn job retry %s", j.Name)
	}
	if slices.ContainsFunc(j.Tasks, func(t Task) bool { return len(t.After) > 0 }) {
		return "its group has failed, and so has the job in the end, unless a group after it answers for that"
	}
	return "the job has failed"
}

// Next is what follows if a task of the job fails now that its policies count so
// many restarts and moves. The restarts allow another after opens.
func Next(job *Job, task *Task, restarts, moves int, opens time.Duration) string {
	full := job.normal()
	r, m := RestartFor(&full, task), RescheduleFor(&full)
	switch {
	case task.Safety.Mark() != "":
		return task.once()
	case task.Lifecycle == Poststop:
		return afterwards
	case r.restarts() && restarts < r.Attempts:
		return fmt.Sprintf("restarts here after %v", Duration(r.Delays.After(restarts+1)))
	case r.restarts() && r.Mode == RestartDelay:
		return fmt.Sprintf("restarts here after %v", Duration(opens.Round(time.Second)))
	case full.hazard(task) != nil:
		return fmt.Sprintf("once task %q has started, its copy %s", full.hazard(task).Name, full.hazard(task).once())
	case m.Enabled && (m.Unlimited || moves < m.Attempts):
		return fmt.Sprintf("%s after %v", full.moves(task), Duration(m.Delays.After(moves+1)))
	}
	return full.Spent()
}

// Follows is what follows when a task has failed for good where it was, in words. Begun says
// whether an unsafe task of its copy was ordered to start. How many moves are used up, and when
// the next is, the job's coordinator says.
func Follows(job *Job, task *Task, begun bool) string {
	full := job.normal()
	m := RescheduleFor(&full)
	switch {
	case task.Lifecycle == Poststop:
		return "nothing: what its copy has come to is decided"
	case begun:
		return review
	case m.Enabled && m.Unlimited:
		return full.moves(task)
	case m.Enabled && m.Attempts > 0:
		return full.moves(task) + ", as far as its reschedule policy allows"
	}
	return full.Spent()
}

// FollowsTimeout is what follows when a copy has timed out, in words.
func FollowsTimeout(job *Job, begun bool) string {
	full, then := job.normal(), review
	if !begun {
		then = full.Spent()
	}
	return "its copy is ended, and not moved: " + then
}

const (
	ladderAll  = 5 // so many delays are all told
	ladderSome = 3 // of more, the first
)

// ladder is the delays before n attempts, in words.
func (d Delays) ladder(n int) string {
	most := d.After(min(n, WindowMax))
	if n > 1 && most == d.After(1) {
		return Duration(most).String() + " each time"
	}
	all := n <= ladderAll
	var parts []string
	for i := 1; i <= n && (all || i <= ladderSome); i++ {
		parts = append(parts, Duration(d.After(i)).String())
	}
	if !all {
		parts = append(parts, "... up to "+Duration(most).String())
	}
	return strings.Join(parts, ", ")
}

// nodeLost is what becomes of the copies on a node that is lost, in words.
func (j *Job) nodeLost() string {
	r := j.Recovery
	move := "the copies move"
	if j.Gang {
		move = "all copies of the gang stop, and begin again together,"
	}
	after := fmt.Sprintf("%s %v after gossip has given the node up", move, Duration(r.Lost()))
	switch {
	case j.Type.PerNode():
		return "its copy waits for it to come back, as long as it belongs to the mesh"
	case Hazard(j.Tasks) != nil:
		t := Hazard(j.Tasks)
		return fmt.Sprintf("copies of the group of task %q are not replaced: one of them %s", t.Name, t.once())
	case r.Mode == ManualRecover:
		return fmt.Sprintf("%v after gossip has given the node up the job is paused, and a person decides "+
			"(mn review ls); a copy goes on by itself if the node comes back with it before", Duration(r.Lost()))
	case !r.Mode.Moves():
		return fmt.Sprintf("the copies wait for it to come back, or to be forgotten: mode %q never moves work; "+
			"what has died with it counts as failed when it is back", r.Mode)
	case r.Partition() == Majority:
		return after + fmt.Sprintf(", and when they have stopped for sure: "+
			"within their lease of %v and the longest kill_grace", Duration(r.TaskLease()))
	case r.Partition() == Keep:
		text := "the copies wait until the node is known to be dead: it has booted again, or a person forgets it"
		if j.Gang {
			text += "; the others of the gang go on until then, and all begin again together"
		}
		return text
	}
	if r.StopAfter > 0 {
		after += fmt.Sprintf("; where they still run, cut off, they stop after %v", r.StopAfter)
	}
	return after + "; if it comes back, " + j.stays()
}

// split is what the job promises while nodes do not see each other, in words.
func (j *Job) split() string {
	cutOff := fmt.Sprintf(", and without a majority of the voters for no longer than %v", j.Recovery.StopAfter)
	switch stops := j.Recovery.StopAfter > 0; {
	case j.Type.PerNode() && stops:
		return "each node runs its own copy" + cutOff
	case j.Type.PerNode():
		return "each node runs its own copy"
	case stops:
		return "each side runs a copy" + cutOff + "; when they meet again, " + j.stays()
	}
	switch j.Recovery.Partition() {
	case Majority:
		return fmt.Sprintf("never two copies: the side without a majority of the voters stops its own within %v, "+
			"and only then the other starts one", Duration(j.Recovery.TaskLease()))
	case Keep:
		return "never two copies: what runs goes on, and is not replaced"
	}
	return "each side runs a copy; when they meet again, " + j.stays()
}

// stays says which of two copies does, in words.
func (j *Job) stays() string {
	if j.Gang {
		return "of two gangs the later one stays"
	}
	which := "the original"
	switch j.Recovery.Stays() {
	case KeepReplacement:
		which = "the replacement"
	case LongestRunning:
		which = "that which has run longest"
	case BestScore:
		which = "that on the better node for it"
	case KeepFurthest:
		which = "that with the latest checkpoint"
	case KeepOriginal:
	}
	return "of two copies that run " + which + " stays"
}

// due says when there is a run of a job of which only runs have copies, and what becomes of times at which
// there is none.
func (j *Job) due() string {
	if !j.Template() {
		return ""
	}
	s := cmp.Or(j.Schedule, &Schedule{})
	var whens []string
	for _, c := range s.Crons {
		whens = append(whens, fmt.Sprintf("at %q in %s", c, cmp.Or(s.Timezone, "UTC")))
	}
	if !s.At.IsZero() {
		whens = append(whens, "at "+s.At.UTC().Format(time.RFC3339))
	}
	if s.In > 0 {
		whens = append(whens, fmt.Sprintf("%v after it is submitted", s.In))
	}
	for i := range j.Triggers {
		t := &j.Triggers[i]
		when := "for each event " + t.Event
		if len(t.Filter) > 0 || t.Path != "" {
			when += " that its filter lets through"
		}
		whens = append(whens, when)
	}
	if len(whens) == 0 {
		whens = []string{"whenever somebody asks for one: mn schedule run-now " + j.Name}
	}
	text := strings.Join(whens, ", ") + "; while one is under way the next " + map[Overlap]string{
		OverlapAllow: "runs beside it", OverlapForbid: "is left out", OverlapQueue: "waits",
		OverlapReplace: "takes its place",
	}[s.Overlaps()]
	if s.Timed() {
		text += fmt.Sprintf("; what is missed for more than %v is ", Duration(s.Grace()))
		switch n := s.CatchUp(); n {
		case 0:
			text += "left out"
		default:
			text += fmt.Sprintf("made up for, at most %s", Counted(n, "time", "times"))
		}
	}
	if s.Ends() {
		text += fmt.Sprintf("; a run is cancelled %v after its time", s.Window)
	}
	return text
}
