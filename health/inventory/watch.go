package inventory

import (
	"context"
	"fmt"
	"reflect"
	"time"
)

// The rhythm of a watch.
const (
	rest      = 15 * time.Second // between two looks
	answerMax = 30 * time.Second // that a source has to answer: some drivers take seconds to wake a device
	graceMax  = 2 * time.Second  // that it has then to come back
)

// Config is what a watch needs.
type Config struct {
	Sources []Source
	Ours    Ours
	// Tell is told what is known, first when all sources have answered or have had
	// their time, then whenever it has changed. One goroutine calls it.
	Tell func(State)
	// Looked is told after each look what processes have of the devices, and for how much of
	// the last moment those were at work, in percent, as far as drivers say so; nil if nobody
	// wants to know. The same goroutine calls it.
	Looked func(uses []Use, busy map[string]int)
}

// Watch looks for devices again and again.
type Watch struct {
	conf    Config
	stock   *stock
	round   int
	busy    []bool      // by source: whether it has not come back yet
	answers chan answer // as many as there are sources: none of them waits
	stop    context.CancelFunc
	done    chan struct{}
}

// answer is that of a source, to the question of a round.
type answer struct {
	source, round int
	readings      []Reading
	err           error
}

// Start begins to look. Close ends it.
func Start(conf Config) *Watch {
	ctx, stop := context.WithCancel(context.Background())
	w := &Watch{
		conf: conf, stock: newStock(conf.Sources, conf.Ours), busy: make([]bool, len(conf.Sources)),
		answers: make(chan answer, len(conf.Sources)), stop: stop, done: make(chan struct{}),
	}
	go w.run(ctx)
	return w
}

// Close stops looking, and waits until nothing is told any more. A source that the
// kernel holds is not waited for.
func (w *Watch) Close() {
	w.stop()
	<-w.done
}

func (w *Watch) run(ctx context.Context) {
	defer close(w.done)
	pause := time.NewTimer(rest)
	defer pause.Stop()
	var told *State
	for {
		w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if s := w.stock.state(); told == nil || !reflect.DeepEqual(s, *told) {
			w.conf.Tell(s)
			told = &s
		}
		if w.conf.Looked != nil {
			w.conf.Looked(w.stock.uses(), w.stock.busy())
		}
		pause.Reset(rest)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// look asks all sources at once, and takes what they answer in time.
func (w *Watch) look(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	w.late()
	w.round++
	missing := map[int]bool{}
	for i, s := range w.conf.Sources {
		if w.busy[i] {
			w.stock.take(i, nil, fmt.Errorf("%s: it still does not answer", s.Name()))
			continue
		}
		missing[i], w.busy[i] = true, true
		go func(round int) {
			readings, err := s.Read(asked)
			w.answers <- answer{i, round, readings, err}
		}(w.round)
	}
	over := asked.Done()
	var late <-chan time.Time
	for len(missing) > 0 {
		select {
		case <-over:
			over, late = nil, time.After(graceMax)
		case a := <-w.answers:
			w.busy[a.source] = false
			if a.round == w.round && ctx.Err() == nil {
				w.stock.take(a.source, a.readings, a.err)
			}
			delete(missing, a.source)
		case <-late:
			for i := range missing {
				w.stock.take(i, nil, fmt.Errorf("%s: it does not answer", w.conf.Sources[i].Name()))
			}
			return
		}
	}
}

// late lets sources that came back after their time be asked again.
func (w *Watch) late() {
	for {
		select {
		case a := <-w.answers:
			w.busy[a.source] = false
		default:
			return
		}
	}
}
