package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mn/mesh"
	"mn/mesh/api"
	"mn/sim/lab"
)

// How many checks are measured, for how long, and how names are asked for.
const (
	checkTasks    = 8 // each with
	checkServices = 16
	checkEach     = 16
	checkEvery    = 10 * time.Second
	checkRounds   = 4 // intervals, the first of which only says when the checks have their turns
	askers        = 8 // at a time
	askFor        = 5 * time.Second
	knownAim      = time.Second
	lagAim        = 100 * time.Millisecond
	checksCPUAim  = 10 // percent of a core
)

// services measures what checks cost, how late the latest is, how soon a failure is known
// everywhere, and how fast names are answered.
func (r *runner) services(ctx context.Context) error {
	for _, measure := range []func(context.Context) error{r.manyChecks, r.failures, r.names} {
		if err := measure(ctx); err != nil {
			return fmt.Errorf("measure services: %w", err)
		}
	}
	return nil
}

// checked answers checks, and notes when each came.
type checked struct {
	mu    sync.Mutex
	came  map[string][]time.Time // by path
	fails atomic.Bool
	last  atomic.Int64 // when a check was last failed, in nanoseconds
	port  int
	serve *http.Server
}

func newChecked() (*checked, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for checks: %w", err)
	}
	c := &checked{came: map[string][]time.Time{}, port: l.Addr().(*net.TCPAddr).Port}
	c.serve = &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go c.serve.Serve(l) //nolint:errcheck // it ends when it is closed
	return c, nil
}

// ServeHTTP implements [http.Handler].
func (c *checked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	c.mu.Lock()
	c.came[r.URL.Path] = append(c.came[r.URL.Path], now)
	c.mu.Unlock()
	if c.fails.Load() {
		c.last.CompareAndSwap(0, now.UnixNano())
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// offering is a job with one task, which offers a service that is checked.
func (r *runner) offering(name string, port int, every time.Duration) mesh.Job {
	job := r.job(name, 1, profile{})
	job.Tasks[0].Services = []mesh.ServiceDef{{
		Name: name, Port: mesh.Value(fmt.Sprint(port)),
		Checks: []mesh.Check{{Type: mesh.CheckHTTP, Interval: mesh.Duration(every)}},
	}}
	return job
}

// manyChecks runs thousands of checks on one node.
func (r *runner) manyChecks(ctx context.Context) error {
	c, err := newChecked()
	if err != nil {
		return err
	}
	defer c.serve.Close() //nolint:errcheck // nothing is kept in it
	job := r.job("bench-checks", 1, profile{})
	one := job.Tasks[0]
	job.Tasks = nil
	for i := range checkTasks {
		t := one
		t.Name, t.Group = fmt.Sprintf("t%d", i), "all"
		for j := range checkServices {
			s := mesh.ServiceDef{Name: fmt.Sprintf("s%d-%d", i, j), Port: mesh.Value(fmt.Sprint(c.port))}
			for k := range checkEach {
				s.Checks = append(s.Checks, mesh.Check{
					Name: fmt.Sprintf("c%d", k), Type: mesh.CheckHTTP, Path: fmt.Sprintf("/%d/%d/%d", i, j, k),
					Interval: mesh.Duration(checkEvery),
				})
			}
			t.Services = append(t.Services, s)
		}
		job.Tasks = append(job.Tasks, t)
	}
	return r.mesh(ctx, 1, "", func(l *lab.Lab) error {
		if _, err := l.Nodes()[0].Client().Run(ctx, job); err != nil {
			return err
		}
		if err := pause(ctx, checkEvery+idleSettle); err != nil {
			return err
		}
		c.mu.Lock()
		clear(c.came)
		c.mu.Unlock()
		before, err := l.Nodes()[0].AgentUsage()
		if err != nil {
			return err
		}
		if err := pause(ctx, checkRounds*checkEvery); err != nil {
			return err
		}
		after, err := l.Nodes()[0].AgentUsage()
		if err != nil {
			return err
		}
		const all = checkTasks * checkServices * checkEach
		late, err := c.lateness(all)
		if err != nil {
			return err
		}
		cpu := 100 * (after.CPU - before.CPU).Seconds() / (checkRounds * checkEvery).Seconds()
		r.report.line(fmt.Sprintf("%d checks by HTTP every %v, CPU of the agent", all, mesh.Duration(checkEvery)),
			cpu, cpu, checksCPUAim, "%")
		r.report.times(fmt.Sprintf("%d checks, how late each is in its turn", all), late, lagAim)
		memory := float64(after.Memory) / (1 << 20)
		r.report.line(fmt.Sprintf("%d checks, memory (PSS) of the agent", all), memory, memory, 0, "MiB")
		return nil
	})
}

// lateness is how late each check was, against the earliest of its turns.
func (c *checked) lateness(all int) ([]time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.came) != all {
		return nil, fmt.Errorf("%d of %d checks came", len(c.came), all)
	}
	var late []time.Duration
	for path, came := range c.came {
		if len(came) < checkRounds-1 || len(came) > checkRounds+1 {
			return nil, fmt.Errorf("check %s came %d times in %d intervals", path, len(came), checkRounds)
		}
		var mine []time.Duration
		for i, at := range came {
			mine = append(mine, at.Sub(came[0])-time.Duration(i)*checkEvery)
		}
		least := slices.Min(mine)
		for _, d := range mine {
			late = append(late, d-least)
		}
	}
	return late, nil
}

// failures measures from the answer that fails a check until every node hides the service.
func (r *runner) failures(ctx context.Context) error {
	c, err := newChecked()
	if err != nil {
		return err
	}
	defer c.serve.Close() //nolint:errcheck // as above
	var took []time.Duration
	err = r.mesh(ctx, nodes, "", func(l *lab.Lab) error {
		if err := r.runAll(ctx, l, r.offering("bench-failed", c.port, time.Second)); err != nil {
			return err
		}
		for range r.rounds {
			c.fails.Store(false)
			if _, err := r.found(ctx, l, "bench-failed", 1); err != nil {
				return err
			}
			c.last.Store(0)
			c.fails.Store(true)
			last, err := r.found(ctx, l, "bench-failed", 0)
			if err != nil {
				return err
			}
			took = append(took, last.Sub(time.Unix(0, c.last.Load())))
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.report.times(fmt.Sprintf("failed check, until all of %d nodes hide the service", nodes), took, knownAim)
	return nil
}

// found waits until all nodes find so many instances of a service, and says when the last did.
func (r *runner) found(ctx context.Context, l *lab.Lab, service string, want int) (last time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	at := make([]time.Time, len(l.Nodes()))
	errs := make([]error, len(at))
	var all sync.WaitGroup
	for i, n := range l.Nodes() {
		all.Go(func() {
			ask := api.ServicesRequest{Service: service}
			err := n.Client().WatchServices(ctx, ask, func(found []api.Service) error {
				if at[i] = time.Now(); len(found) == want {
					return errSeen
				}
				return nil
			})
			if !errors.Is(err, errSeen) {
				errs[i] = fmt.Errorf("wait until %s finds %d of %q: %w", n.Name, want, service, err)
			}
		})
	}
	all.Wait()
	return slices.MaxFunc(at, time.Time.Compare), errors.Join(errs...)
}

// names measures how fast a node answers DNS.
func (r *runner) names(ctx context.Context) error {
	server, err := freeAddress()
	if err != nil {
		return err
	}
	return r.mesh(ctx, 1, fmt.Sprintf("[dns]\nlisten = %q\n", server), func(l *lab.Lab) error {
		job := r.job("bench-names", 1, profile{})
		job.Tasks[0].Services = []mesh.ServiceDef{{Name: "bench-names", Port: "7"}}
		if err := r.runAll(ctx, l, job); err != nil {
			return err
		}
		if _, err := r.found(ctx, l, "bench-names", 1); err != nil {
			return err
		}
		took, err := askAll(ctx, server, "bench-names.service.mn.")
		if err != nil {
			return err
		}
		slices.Sort(took)
		rate := float64(len(took)) / askFor.Seconds()
		what := fmt.Sprintf("questions by DNS, %d askers beside the agent, in a second", askers)
		r.report.line(what, rate, rate, 0, "")
		p99 := float64(took[len(took)*99/100]) / float64(time.Millisecond)
		r.report.line("answer by DNS, 99th percentile", p99, p99, 0, "ms")
		return nil
	})
}

// freeAddress is one on which nobody listens now, by TCP or UDP.
func freeAddress() (string, error) {
	const tries = 100
	var failed error
	for range tries {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		address := stream.Addr().String()
		packets, err := net.ListenPacket("udp", address)
		if err == nil {
			err = packets.Close()
		}
		if failed = errors.Join(err, stream.Close()); failed == nil {
			return address, nil
		}
	}
	return "", fmt.Errorf("find a free port: %w", failed)
}

// askAll asks for a name again and again, and says how long each answer took.
func askAll(ctx context.Context, server, name string) ([]time.Duration, error) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	begins, cancel := context.WithTimeout(ctx, roundMax)
	defer cancel()
	for { // names follow the picture of the mesh a moment later
		_, err := resolver.LookupNetIP(begins, "ip4", name)
		if err == nil {
			break
		}
		if late := pause(begins, knownAim/10); late != nil {
			return nil, errors.Join(err, late)
		}
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var all sync.WaitGroup
	until := time.Now().Add(askFor)
	for range askers {
		all.Go(func() {
			for time.Now().Before(until) && ctx.Err() == nil {
				began := time.Now()
				_, err := resolver.LookupNetIP(ctx, "ip4", name)
				d := time.Since(began)
				mu.Lock()
				took, failed = append(took, d), errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return took, failed
}
