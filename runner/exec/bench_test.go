package exec

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
)

// BenchmarkStart measures from the order to start a task to its process
// running, and what each supervisor costs: memory (PSS) and CPU time. With
// MN_BINARY=bin/mn the supervisors are of that binary; without, of the test's,
// which links much less. Try -benchtime=100x.
func BenchmarkStart(b *testing.B) {
	for _, i := range []mesh.Isolation{mesh.IsolateNone, mesh.IsolateCgroup, mesh.IsolateSandbox} {
		b.Run(string(i), func(b *testing.B) { benchmarkStart(b, i) })
	}
}

// openBench opens a driver whose isolations are known before anything is measured.
func openBench(b *testing.B) *Driver {
	b.Helper()
	cfg := Config{Root: b.TempDir(), Groups: "bench", Log: slog.New(slog.DiscardHandler)}
	if binary := os.Getenv("MN_BINARY"); binary != "" {
		cfg.Program = []string{binary, "supervise"}
	}
	d, err := Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	d.Isolation()
	return d
}

func benchmarkStart(b *testing.B, i mesh.Isolation) {
	d := openBench(b)
	var keys []key
	worst := time.Duration(0)
	for b.Loop() {
		k := key{"bench", "t" + strconv.Itoa(len(keys))}
		keys = append(keys, k)
		begin := time.Now()
		d.Start(runner.Spec{
			Alloc: k.alloc, Task: k.task, Attempt: 1,
			Command: []string{"sleep", "1000"}, Env: []string{"PATH=" + os.Getenv("PATH")}, Isolation: i,
		})
		if o := <-d.Observations(); o.Kind != runner.Started {
			b.Fatalf("observed %+v", o)
		}
		worst = max(worst, time.Since(begin))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
	pss, cpu, err := d.cost(keys)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(pss, "KiB-PSS/task")
	b.ReportMetric(float64(cpu.Microseconds())/1000, "CPU-ms/task")
	for _, k := range keys {
		d.Stop(mesh.AllocID(k.alloc), k.task, 0)
	}
	for range keys {
		<-d.Observations()
	}
}

// BenchmarkHalfACore measures how much CPU a task has that may have half a core, and would
// take all there is. Try -benchtime=10x.
func BenchmarkHalfACore(b *testing.B) {
	d := openBench(b)
	d.Start(runner.Spec{
		Alloc: "bench", Task: "busy", Attempt: 1, Command: []string{"/bin/sh", "-c", "while :; do :; done"},
		Isolation: mesh.IsolateCgroup, Resources: mesh.Resources{CPU: mesh.Core / 2},
	})
	o := <-d.Observations()
	if o.Kind != runner.Started {
		b.Fatalf("observed %+v", o)
	}
	sum := 0.0
	for b.Loop() {
		sum += coresOf(b, o.PID, time.Second)
	}
	b.ReportMetric(sum/float64(b.N), "cores")
	d.Stop("bench", "busy", 0)
	<-d.Observations()
}

// cost is what a supervisor costs on average: KiB of memory, shared pages
// divided among those that share them, and CPU time since its start.
func (d *Driver) cost(keys []key) (pss float64, cpu time.Duration, err error) {
	for _, k := range keys {
		found, err := d.inspect(k)
		if err != nil {
			return 0, 0, err
		}
		dir := fmt.Sprintf("/proc/%d", found.start.Supervisor)
		kib, err := pssOf(filepath.Join(dir, "smaps_rollup"))
		if err != nil {
			return 0, 0, err
		}
		pss += kib
		threads, err := filepath.Glob(dir + "/task/*/schedstat")
		if err != nil {
			return 0, 0, err
		}
		for _, t := range threads {
			text, err := os.ReadFile(t)
			if err != nil {
				return 0, 0, err
			}
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			if err != nil {
				return 0, 0, err
			}
			cpu += time.Duration(ns)
		}
	}
	return pss / float64(len(keys)), cpu / time.Duration(len(keys)), nil
}

func pssOf(name string) (float64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "Pss:" {
			return strconv.ParseFloat(f[1], 64)
		}
	}
	return 0, errors.Join(lines.Err(), fmt.Errorf("no Pss in %q", name))
}
