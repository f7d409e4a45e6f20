package sim

// Term is a word that scenarios and results use.
type Term struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// Words are all terms.
type Words struct {
	Faults     []Term `json:"faults"`
	Requests   []Term `json:"requests"`
	Invariants []Term `json:"invariants"`
	Counts     []Term `json:"counts"`
}

// Glossary says what the words mean.
func Glossary() Words {
	w := Words{Requests: requests(), Invariants: invariants()}
	for _, k := range kinds() {
		w.Faults = append(w.Faults, Term{k.name, k.about})
	}
	for _, c := range allCounts {
		w.Counts = append(w.Counts, Term{string(c.name), c.about})
	}
	return w
}

// names are the names of terms.
func names(terms []Term) []string {
	list := make([]string, len(terms))
	for i, t := range terms {
		list[i] = t.Name
	}
	return list
}

// invariants are what must hold, with the moment at which it is checked. Those
// of a step are held against whatever the step may have changed.
func invariants() []Term {
	return []Term{
		{"one-holder", "a slot's lease has at most one holder (each step)"},
		{"fences-grow", "whoever holds a slot later does so under a higher fence (each step)"},
		{"one-successor", "each roster epoch has one roster (each step)"},
		{"decided-by-holder", "who decides about a job holds its slot, under that fence (each step)"},
		{"decisions-in-order", "the fences of a job's granted decisions never go down (each step)"},
		{"nothing-comes-back", "what was deleted is not there again (each write, and the end)"},
		{"acknowledged-is-durable", "a write is on as many disks as its writer was told (each answer)"},
		{"acknowledged-is-kept", "each acknowledged write is on every disk (the end)"},
		{"one-copy", "a task of a majority or keep job never runs twice (each start, after each sleep)"},
		{"fences-of-tasks", "the MN_FENCE of such a task never goes down (each start)"},
		{"unsafe-once", "a task marked unsafe does not begin again before people have said so (each start)"},
		{"fits", "no node runs more than it has room for (each start)"},
		{"out-is-out", "who learns that it is evicted or barred holds nothing, says nothing, stops all (each step)"},
		{"out-for-cause", "nobody believes so without reason (each step)"},
		{"not-for-nothing", "no eager or keep task is stopped unless another copy stands in (each stop)"},
		{"same-seen-same-data", "copies that have seen the same writes are equal (each second)"},
		{"plans-are-sane", "no plan does what no plan may do (each second)"},
		{"sealed-is-sealed", "who has voted for the next roster grants and keeps nothing under its own (each step)"},
		{"no-clock-owns-the-future", "nothing is taken over from a clock too far ahead, but decisions (each step)"},
		{"policy-holds", "nothing restarts or moves more often, or sooner, than its policies say, " +
			"whatever becomes of agents and coordinators (each start)"},
		{"finished-stays-finished", "what has completed does not run again, as far as whoever placed it could know " +
			"(each start)"},
		{"in-turn", "the tasks of a copy start in the order of their lifecycles, and clean up once (each start)"},
		{"jobs-in-turn", "no job begins before those that it comes after have really completed (each first start)"},
		{"groups-in-turn", "no group begins before its after_rule is met by what has really happened (each start)"},
		{"within-bounds", "of a majority or keep job no more copies run than max_running and its arrays allow " +
			"(each start)"},
		{"stops-when-cut-off", "an eager copy runs no longer than its stop_after where no majority of the voters is " +
			"in reach (each second)"},
		{"few-are-down", "of the copies of a job no more are down at a time for another version than max_parallel, " +
			"by what was decided with a majority (each decision)"},
		{"held-is-held", "whoever knows that a deployment is paused, given up or not promoted stops no copy for it " +
			"that none stands in for, or that is shown (each decision)"},
		{"shared-limit", "of all jobs with one limit no more copies run than it allows (each start)"},
		{"gangs-are-whole", "a gang is placed as a whole, with ranks of their own, beside no earlier one; " +
			"with a majority, what is left of it stops (each step, each second)"},
		{"within-its-time", "nothing runs beyond its timeout and grace, unless there is no agent to stop it " +
			"(each second)"},
		{"work-goes-on", "the copy after one that is lost with its machine goes on from the latest checkpoint of " +
			"which all others knew, if somebody who has it can be reached (each start)"},
		{"kept-is-there", "who says that it keeps a checkpoint has it on its disk (each step)"},
		{"unfit-is-hidden", "nobody is sent to a copy that does not run and pass by the record that a node has, " +
			"or that it cannot count on (each second)"},
		{"hints-only-hide", "what gossip says of a service has it hidden, never shown, and not for longer than " +
			"hints count, nor if its record or a later hint says that it passes (each second)"},
		{"served-where-it-is", "a copy is placed only where what it needs on its node passed, as far as whoever " +
			"placed it could know (each step)"},
		{"waits-for-services", "no job begins before all passed that it requires, unless people forced it (each step)"},
		{"restarts-for-cause", "no task is restarted for a check that has not failed as often, after the time that " +
			"it has to start (each step)"},
		{"ends-are-true", "what a node says that a copy has come to, it has (each step)"},
		{"one-run-a-time", "a run is the same whoever makes it; of a keep job its work is done once, and it is not " +
			"made again once it was forgotten (each step, each end)"},
		{"each-time-is-told", "of each time and event something is made soon, wherever somebody leads, and each run " +
			"comes to its end (each second, the end)"},
		{"settles", "soon after the last fault there are one roster, one coordinator a slot, equal data, " +
			"exactly the wanted copies, and catalogs of exactly the services that are well, and it stays so (the end)"},
		{"forms", "a mesh forms, and runs its first jobs (the start)"},
		{"no-panic", "no core panics"},
		{"starts", "a node starts from its own disk"},
		{"encodes", "what a node says can be encoded"},
		{"decodes", "what a node wrote or said can be decoded"},
	}
}

// requests are what people ask for.
func requests() []Term {
	return []Term{
		{"submit", "a job, new or in place of the one before"},
		{"scale", "another number of copies"},
		{"change", "another environment, so that the copies are replaced"},
		{"stop", "that a job stops"},
		{"pause", "that a job stops for now"},
		{"resume", "that a paused job goes on"},
		{"retry", "that what has failed runs again"},
		{"approve", "that a copy which waits for a person goes on"},
		{"force", "that a job begins without the services that it requires"},
		{"promote", "that the hidden copies of a deployment take the place of the others"},
		{"hold", "that a deployment takes no further step"},
		{"go-on", "that it does again"},
		{"give-up", "that it has failed"},
		{"go-back", "the version that was deployed before"},
		{"run", "one of the jobs that the scenario has for later, under a new name"},
	}
}
