package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mn/sim/lab/cases"
)

// catalogue lists the cases.
func catalogue(out io.Writer) {
	fmt.Fprintf(out, "%-20s %-3s %-10s %s\n", "CASE", "CI", "FAULTS", "SHOWS")
	for _, c := range cases.All() {
		ci := ""
		if c.CI {
			ci = "yes"
		}
		fmt.Fprintf(out, "%-20s %-3s %-10s %s\n", c.Name, ci, c.Faults, c.Shows)
	}
}

// report is a line for each case, and below it what did not hold.
func report(out io.Writer, results []cases.Result, took time.Duration) {
	failed := 0
	for _, r := range results {
		verdict := "ok"
		if !r.OK {
			verdict = "FAILED"
			failed++
		}
		var measures []string
		for _, m := range r.Measures {
			measures = append(measures, m.Name+" "+m.Value)
		}
		fmt.Fprintf(out, "%-6s %-20s %5.1f s  %s\n", verdict, r.Case, r.Seconds, strings.Join(measures, ", "))
		for _, f := range r.Failures {
			fmt.Fprintf(out, "         %s: %s\n", f.Oracle, f.Text)
		}
		if r.Dir != "" {
			fmt.Fprintf(out, "         logs are in %s\n", r.Dir)
		}
	}
	fmt.Fprintf(out, "%d cases, %d failed, in %.0f s\n", len(results), failed, took.Seconds())
}
