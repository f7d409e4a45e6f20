package core

// batchMax is how many events one step takes, so that it does not last too long.
const batchMax = 256

// Batch is what the next step takes of what has come, and what it leaves for later: all
// in their order, unless there is more than one step takes. Then what has become of tasks
// comes first: an agent that could do nothing for a while must not take one for late
// whose end waits behind the messages that have come meanwhile.
func Batch(waiting []Event) (batch, rest []Event) {
	if len(waiting) <= batchMax {
		return waiting, nil
	}
	batch = make([]Event, 0, batchMax)
	for _, of := range []bool{true, false} {
		for _, ev := range waiting {
			if _, observed := ev.(Observed); observed != of {
				continue
			}
			if len(batch) < batchMax {
				batch = append(batch, ev)
			} else {
				rest = append(rest, ev)
			}
		}
	}
	return batch, rest
}
