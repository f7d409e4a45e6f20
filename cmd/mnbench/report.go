package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is a table that is printed as it is made: a full run takes minutes.
type report struct {
	out     io.Writer
	release string // of mn
	head    bool
}

const row = "%-58s %9s %9s %11s %7s\n"

// line prints one row. The aim is for the median; 0 for none.
func (r *report) line(what string, median, worst, aim float64, unit string) {
	if !r.head {
		r.head = true
		fmt.Fprintf(r.out, "%s\n\n", machine(r.release))
		fmt.Fprintf(r.out, row, "", "median", "worst", "aim", "of aim")
	}
	aimed, ratio := "", ""
	if aim > 0 {
		aimed, ratio = "< "+amount(aim, unit), fmt.Sprintf("%.2f", median/aim)
	}
	fmt.Fprintf(r.out, row, what, amount(median, unit), amount(worst, unit), aimed, ratio)
}

// times prints a row of durations.
func (r *report) times(what string, all []time.Duration, aim time.Duration) {
	ms := make([]float64, len(all))
	for i, d := range all {
		ms[i] = float64(d) / float64(time.Millisecond)
	}
	median, worst := spread(ms)
	r.line(what, median, worst, float64(aim)/float64(time.Millisecond), "ms")
}

// values prints a row of any unit.
func (r *report) values(what string, all []float64, aim float64, unit string) {
	median, worst := spread(all)
	r.line(what, median, worst, aim, unit)
}

// spread is the median and the largest of values.
func spread(values []float64) (median, worst float64) {
	if len(values) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median = sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return median, sorted[len(sorted)-1]
}

// amount is a value with three digits and its unit.
func amount(v float64, unit string) string {
	digits := 0
	switch {
	case v < 10:
		digits = 2
	case v < 100:
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, v, unit)
}

// machine says what was measured, and on what.
func machine(release string) string {
	load, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	return fmt.Sprintf("mn %s, %s; %s, %d cores, load %s, Linux %s", release, runtime.Version(),
		processor(), runtime.NumCPU(), load, read("/proc/sys/kernel/osrelease"))
}

func processor() string {
	lines := bufio.NewScanner(strings.NewReader(read("/proc/cpuinfo")))
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func read(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}
