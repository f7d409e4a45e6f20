package placement

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"mn/mesh"
)

// summaryMax bounds how many different reasons a summary names.
const summaryMax = 5

// String is the choice as a table: a line per node, candidates first.
func (c Choice) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i, cand := range c.Candidates {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", i+1, label(cand.Name, cand.Node), decimal(cand.Score), cand.detail())
	}
	for _, r := range c.Refused {
		fmt.Fprintf(w, "-\t%s\t%s\t%s\n", label(r.Name, r.Node), r.Filter, r.Reason)
	}
	w.Flush()
	return b.String()
}

// Summary is the choice in one line: the best node, or why there is none.
// Nodes with the same reason are told together.
func (c Choice) Summary() string {
	total := len(c.Candidates) + len(c.Refused)
	if len(c.Candidates) > 0 {
		best := c.Candidates[0]
		fit := "fit"
		if len(c.Candidates) == 1 {
			fit = "fits"
		}
		return fmt.Sprintf("%d of %d nodes %s; best is %s (%s)",
			len(c.Candidates), total, fit, label(best.Name, best.Node), best.detail())
	}
	if total == 0 {
		return "there is no node"
	}
	var reasons []string
	names := map[string][]string{}
	for _, r := range c.Refused {
		if names[r.Reason] == nil {
			reasons = append(reasons, r.Reason)
		}
		names[r.Reason] = append(names[r.Reason], label(r.Name, r.Node))
	}
	text := fmt.Sprintf("0 of %d nodes fit", total)
	for i, reason := range reasons {
		if i == summaryMax {
			return text + "; and " + mesh.Counted(len(reasons)-i, "other reason", "other reasons")
		}
		text += fmt.Sprintf("; %s: %s", list(names[reason]), reason)
	}
	return text
}

// detail is the terms of the score in words.
func (c Candidate) detail() string {
	var terms []string
	for _, t := range c.Terms {
		terms = append(terms, t.Name+" "+decimal(t.Value))
	}
	text := strings.Join(terms, ", ")
	if c.Avoid != "" {
		text += "; avoided: " + c.Avoid
	}
	return text
}

// list is the first names, and how many more there are.
func list(names []string) string {
	if len(names) <= summaryMax {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:summaryMax], ", "), len(names)-summaryMax)
}

// decimal is an amount of millionths, to three places.
func decimal(v int64) string { return fmt.Sprintf("%.3f", float64(v)/Whole) }

func label(name string, id mesh.NodeID) string {
	if name == "" {
		return id.Short()
	}
	return name
}
