package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"
)

// dnsAt is where the log of an agent says that it answers DNS.
var dnsAt = regexp.MustCompile(`msg="the agent runs" .* dns=([0-9.:]+)`)

// answers asks an agent's DNS again and again, until what it says matches, or with ! does not:
// answers NODE NAME TYPE REGEX. A reply is its code, and a line for each record, sorted.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	node, name, kind, want := args[0], args[1]+".", dns.StringToType[args[2]], regexp.MustCompile("(?s)"+args[3])
	ctx, cancel := context.WithTimeout(context.Background(), awaitMax)
	defer cancel()
	look := time.NewTicker(awaitStep)
	defer look.Stop()
	for {
		log, err := os.ReadFile((*meshOf(ts)).Node(node).Log())
		ts.Check(err)
		said := dnsAt.FindAllSubmatch(log, -1)
		if len(said) == 0 {
			ts.Fatalf("%s does not say where it answers DNS", node)
		}
		got := lookup(ctx, string(said[len(said)-1][1]), name, kind)
		if want.MatchString(got) != neg {
			ts.Logf("%s", got)
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			ts.Fatalf("%s does not answer %s %s with %q in %v, but:\n%s", node, name, args[2], args[3], awaitMax, got)
		}
	}
}

// lookup asks over UDP, and over TCP if there is more.
func lookup(ctx context.Context, at, name string, kind uint16) string {
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	m, _, err := new(dns.Client).ExchangeContext(ctx, q, at)
	if err == nil && m.Truncated {
		m, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, q, at)
	}
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, rr := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		lines = append(lines, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	slices.Sort(lines)
	return strings.Join(append([]string{dns.RcodeToString[m.Rcode]}, lines...), "\n")
}
