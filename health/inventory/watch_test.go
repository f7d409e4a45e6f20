package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mn/mesh"
)

// script is a source that answers as it is told.
type script struct {
	name string

	mu    sync.Mutex
	looks int
	read  func(context.Context) ([]Reading, error)
}

func (s *script) Name() string { return s.name }

func (s *script) Read(ctx context.Context) ([]Reading, error) {
	s.mu.Lock()
	s.looks++
	read := s.read
	s.mu.Unlock()
	return read(ctx)
}

// does changes what it does from the next look on.
func (s *script) does(read func(context.Context) ([]Reading, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = read
}

// says changes what it answers from the next look on.
func (s *script) says(readings []Reading, err error) {
	s.does(func(context.Context) ([]Reading, error) { return readings, err })
}

func (s *script) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

func scripted(name string, readings ...Reading) *script {
	s := &script{name: name}
	s.says(readings, nil)
	return s
}

// watching starts a watch. What it has told since the last call is heard.
func watching(t *testing.T, conf Config) (heard func() []State) {
	t.Helper()
	var mu sync.Mutex
	var told []State
	conf.Tell = func(s State) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, s)
	}
	w := Start(conf)
	t.Cleanup(w.Close)
	return func() []State {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		out := told
		told = nil
		return out
	}
}

// expect checks what was heard, in short.
func expect(t *testing.T, heard func() []State, want ...string) {
	t.Helper()
	var got []string
	for _, s := range heard() {
		got = append(got, said(s))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAWatchTellsWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := scripted("x")
		heard := watching(t, Config{Sources: []Source{x}})
		expect(t, heard, "") // that there is nothing is news, once
		time.Sleep(10 * rest)
		expect(t, heard)
		if got := x.asked(); got != 11 {
			t.Errorf("got %d looks in %v, want 11", got, 10*rest)
		}
		x.says([]Reading{gpu("a", 0)}, nil) // a driver was installed
		time.Sleep(rest)
		expect(t, heard, "a ")
		time.Sleep(10 * rest)
		expect(t, heard)
		x.says(nil, errors.New("gone mad"))
		time.Sleep(rest)
		expect(t, heard, "a:gone mad | gone mad")
		x.says([]Reading{gpu("a", 0)}, nil)
		time.Sleep(passesMin * rest)
		expect(t, heard, "a:gone mad? ", "a ")
		x.says(nil, nil)
		time.Sleep(rest)
		expect(t, heard, "")
	})
}

// A source that hangs keeps neither the others nor the end from coming, and is not asked
// again before it has come back.
func TestASourceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		x, y := scripted("x", gpu("a", 0)), scripted("y", gpu("b", 0))
		heard := watching(t, Config{Sources: []Source{x, y}})
		expect(t, heard, "a b ")
		x.does(func(context.Context) ([]Reading, error) { <-release; return nil, nil })
		time.Sleep(rest + answerMax + graceMax)
		expect(t, heard, "a:x: it does not answer b | x: it does not answer")
		x.says([]Reading{gpu("a", 0)}, nil)
		time.Sleep(10 * rest)
		expect(t, heard, "a:x: it still does not answer b | x: it still does not answer")
		if gx, gy := x.asked(), y.asked(); gx != 2 || gy != 12 {
			t.Errorf("x was asked %d times, y %d times, want 2, 12", gx, gy)
		}
		close(release) // and what it says then is old: it is not taken
		time.Sleep(passesMin * rest)
		expect(t, heard, "a:x: it still does not answer? b ", "a b ")
	})
}

func TestAnAnswerToAnOlderQuestionIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, now := make(chan struct{}), make(chan struct{})
		x, y := scripted("x", gpu("a", 0)), scripted("y")
		heard := watching(t, Config{Sources: []Source{x, y}})
		expect(t, heard, "a ")
		x.does(func(context.Context) ([]Reading, error) { <-old; return nil, nil })
		time.Sleep(rest + answerMax + graceMax)
		expect(t, heard, "a:x: it does not answer | x: it does not answer")
		y.does(func(context.Context) ([]Reading, error) { <-now; return nil, nil })
		time.Sleep(rest)
		synctest.Wait() // y is asked
		close(old)
		synctest.Wait()
		close(now)
		expect(t, heard, "a:x: it still does not answer | x: it still does not answer")
	})
}

func TestCloseDoesNotWaitForADriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		deaf, slow := scripted("deaf"), scripted("slow")
		deaf.does(func(context.Context) ([]Reading, error) { <-release; return nil, nil })
		slow.does(func(ctx context.Context) ([]Reading, error) { <-ctx.Done(); return nil, ctx.Err() })
		w := Start(Config{
			Sources: []Source{deaf, slow},
			Tell:    func(s State) { t.Errorf("it told %q", said(s)) },
		})
		synctest.Wait()
		began := time.Now()
		w.Close()
		if took := time.Since(began); took != graceMax {
			t.Errorf("it took %v, want %v", took, graceMax)
		}
	})
}

// A source that keeps to its time is slow, and no more than that.
func TestASourceThatGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := scripted("x")
		x.does(func(ctx context.Context) ([]Reading, error) {
			<-ctx.Done()
			return nil, errors.New("x did not answer in time")
		})
		heard := watching(t, Config{Sources: []Source{x}})
		time.Sleep(2*answerMax + rest + time.Second)
		expect(t, heard, "| x did not answer in time")
		if got := x.asked(); got != 2 {
			t.Errorf("it was asked %d times, want 2", got)
		}
	})
}

// The whole path, with a script in the place of nvidia-smi.
func TestAMachineOverTime(t *testing.T) {
	put := fake(t, smi)
	put("code", "9") // no driver is loaded
	put("answer", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")
	synctest.Test(t, func(t *testing.T) {
		const id = "GPU-0b1f7a52-66c0-4d0e-9f3a-2a8b4c5d6e7f"
		well := string(recorded(t, "geforce-390.xml"))
		heard := watching(t, Config{
			Sources: []Source{
				nvidia{files(nil)},
				list{files(nil), []mesh.Device{{ID: "bench", Kind: "serial"}}},
			},
			Ours: Ours{Process: func(pid int) bool { return pid == 20411 }},
		})
		expect(t, heard, "bench ")
		put("answer", well)
		put("code", "0")
		time.Sleep(rest)
		got := heard()
		if len(got) != 1 || said(got[0]) != id+" bench " || got[0].Devices[0].Foreign != 256*mesh.MiB {
			t.Errorf("got %+v", got)
		}
		put("answer", strings.ReplaceAll(well, "51 C", "GPU is lost"))
		time.Sleep(rest)
		expect(t, heard, id+":its driver says: GPU is lost bench ")
		put("answer", well)
		time.Sleep((passesMin - 1) * rest)
		expect(t, heard, id+":its driver says: GPU is lost? bench ")
		time.Sleep(rest)
		expect(t, heard, id+" bench ")
		put("code", "9")
		time.Sleep(rest)
		expect(t, heard, "bench ")
	})
}

// On a machine without any of the tools or drivers, looking costs next to nothing.
func BenchmarkLookAtNothing(b *testing.B) {
	sources := Sources(nil)
	w := &Watch{
		conf: Config{Sources: sources}, stock: newStock(sources, Ours{}), busy: make([]bool, len(sources)),
		answers: make(chan answer, len(sources)),
	}
	for b.Loop() {
		w.look(b.Context())
	}
}
