package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Names in JSON are a contract: a script that reads them must not break.
func TestJSONNamesAreKept(t *testing.T) {
	_, c := serving(t, newFake(), Socket)
	ctx := t.Context()
	job, err1 := c.Job(ctx, "web")
	jobs, err2 := c.Jobs(ctx)
	nodes, err3 := c.Nodes(ctx)
	node, err4 := c.Node(ctx, "n3")
	alloc, err5 := c.Alloc(ctx, "sum0")
	history, err6 := c.History(ctx, "web")
	whatIf, err7 := c.WhatIf(ctx, WhatIfRequest{Lose: []string{"n3"}})
	resources, err8 := c.Resources(ctx)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"job": job, "jobs": jobs, "nodes": nodes, "node": node, "alloc": alloc, "history": history,
		"whatif": whatIf, "resources": resources,
	} {
		got, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != string(want) {
			t.Errorf("%s:\ngot:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

func TestEveryRequestArrivesAsItWasSent(t *testing.T) {
	job := mesh.Job{Name: "a", Tasks: []mesh.Task{{Name: "a", Command: []string{"true"}}}}
	events := EventsRequest{
		Job: "web", Node: "bbbb2222", Kinds: Kinds{"task", "node_lost"}, Since: monday,
		After: Cursor{Floor: monday, Nodes: map[mesh.NodeID]Position{"aaaa1111": {Run: 7, Number: 9}}},
		Tail:  -1, Follow: true,
	}
	seven := uint64(7)
	lines := LogsRequest{
		Job: "a/b c", Task: "t?&", Alloc: "x", Tail: -1, Since: time.Unix(7, 0).UTC(), Times: true, Follow: true, Local: true,
		Places: true, From: "x~t~stdout~1.7",
	}
	for name, test := range map[string]struct {
		call func(context.Context, *Client) error
		want any
	}{
		"run": {
			func(ctx context.Context, c *Client) error { _, err := c.Run(ctx, job); return err }, RunRequest{Job: job},
		},
		"run, if": {
			func(ctx context.Context, c *Client) error {
				_, err := c.Submit(ctx, RunRequest{Job: job, Reason: "why", Expect: &seven})
				return err
			}, RunRequest{Job: job, Reason: "why", Expect: &seven},
		},
		"pause": {
			func(ctx context.Context, c *Client) error {
				_, err := c.Act(ctx, mesh.VerbPause, ActRequest{Job: "a/b", Reason: "why", Expect: &seven})
				return err
			}, acted{mesh.VerbPause, ActRequest{Job: "a/b", Reason: "why", Expect: &seven}},
		},
		"retry": {
			func(ctx context.Context, c *Client) error {
				_, err := c.Act(ctx, mesh.VerbRetry, ActRequest{Job: "a", All: true})
				return err
			}, acted{mesh.VerbRetry, ActRequest{Job: "a", All: true}},
		},
		"plan": {
			func(ctx context.Context, c *Client) error { _, err := c.Plan(ctx, job); return err }, job,
		},
		"stop": {
			func(ctx context.Context, c *Client) error { _, err := c.Stop(ctx, "a/b"); return err },
			acted{mesh.VerbStop, ActRequest{Job: "a/b"}},
		},
		"why": {
			func(ctx context.Context, c *Client) error { _, err := c.Why(ctx, "100%"); return err },
			mesh.JobID("100%"),
		},
		"queue": {
			func(ctx context.Context, c *Client) error {
				q, err := c.Queue(ctx)
				if err == nil && (len(q) != 1 || q[0].Job != "web") {
					return fmt.Errorf("got %+v", q)
				}
				return err
			}, "queue",
		},
		"lacks": {
			func(ctx context.Context, c *Client) error {
				lacks, err := c.Lacks(ctx, []string{"a", "b"})
				if err == nil && !slices.Equal(lacks, []string{"a"}) {
					return fmt.Errorf("got %v", lacks)
				}
				return err
			}, []string{"a", "b"},
		},
		"keep": {
			func(ctx context.Context, c *Client) error {
				kept, err := c.Keep(ctx, strings.NewReader(strings.Repeat("x", 2*BodyMax)))
				if err == nil && kept.Bytes != 2*BodyMax {
					return fmt.Errorf("got %v", kept)
				}
				return err
			}, int64(2 * BodyMax),
		},
		"explain": {
			func(ctx context.Context, c *Client) error {
				e, err := c.Explain(ctx, "web")
				if err == nil && (e.Version != 2 || e.Copies == nil) {
					return fmt.Errorf("got %+v", e)
				}
				return err
			}, mesh.JobID("web"),
		},
		"logs": {
			func(ctx context.Context, c *Client) error {
				return c.Logs(ctx, lines, func(LogLine) error { return nil })
			}, lines,
		},
		"events": {
			func(ctx context.Context, c *Client) error {
				return c.Events(ctx, events, func(EventLine) error { return nil })
			}, events,
		},
		"create token": {
			func(ctx context.Context, c *Client) error {
				_, err := c.CreateToken(ctx, TokenRequest{TTL: mesh.Duration(DefaultTokenTTL), Uses: 2})
				return err
			}, TokenRequest{TTL: mesh.Duration(DefaultTokenTTL), Uses: 2},
		},
		"evict": {
			func(ctx context.Context, c *Client) error {
				e, err := c.Evict(ctx, EvictRequest{Node: "n2", Reason: "stolen", Off: true})
				if err == nil && (e.Name != "n2" || e.Copies != 2) {
					return fmt.Errorf("got %+v", e)
				}
				return err
			}, EvictRequest{Node: "bbbb2222", Reason: "stolen", Off: true},
		},
		"recover": {
			func(ctx context.Context, c *Client) error {
				r, err := c.Recover(ctx, RecoverRequest{Off: []string{"n2"}, Reason: "burnt"})
				if err == nil && !reflect.DeepEqual(r, Vouched{
					Was: []string{"n1", "n2"}, Voter: "n1", Forgotten: []string{"n2"}, Copies: 1,
				}) {
					return fmt.Errorf("got %+v", r)
				}
				return err
			}, RecoverRequest{Off: []string{"n2"}, Reason: "burnt"},
		},
		"revoke token": {
			func(ctx context.Context, c *Client) error { return c.RevokeToken(ctx, "t/1") }, "t/1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFake()
			_, c := serving(t, b, Socket)
			if err := test.call(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if len(b.asked) != 1 || !reflect.DeepEqual(b.asked[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", b.asked, test.want)
			}
		})
	}
}

func TestARevertRunsWhatTheVersionWas(t *testing.T) {
	b := newFake()
	_, c := serving(t, b, Socket)
	if _, err := c.Revert(t.Context(), RevertRequest{Job: "web", Version: "h-fi", Reason: "why"}); err != nil {
		t.Fatal(err)
	}
	got, ok := b.asked[len(b.asked)-1].(RunRequest)
	if !ok || got.Verb != "revert 1" || got.Reason != "why" || got.Job.Name != "web" {
		t.Errorf("got %+v, want to run version 1", got)
	}
	_, err := c.Revert(t.Context(), RevertRequest{Job: "web", Version: "9"})
	if mesh.FaultOf(err).Kind != mesh.NotFound {
		t.Errorf("version 9: got %v, want not found", err)
	}
	_, err = c.Act(t.Context(), mesh.VerbPause, ActRequest{Job: "web", All: true})
	if mesh.FaultOf(err).Kind != mesh.Invalid {
		t.Errorf("a pause of all: got %v, want invalid", err)
	}
}

func TestFaultsTravelWithKindAndHints(t *testing.T) {
	b := newFake()
	b.fault = fmt.Errorf("wrapped: %w", mesh.Faultf(mesh.Denied, "not you").Hint("ask %s", "her"))
	_, c := serving(t, b, Socket)
	_, one := c.Version(t.Context())
	many := c.Logs(t.Context(), LogsRequest{Job: "web"}, func(LogLine) error { return nil })
	watched := c.WatchJobs(t.Context(), func([]JobRow) error { return nil })
	for _, err := range []error{one, many, watched} {
		var f *mesh.Fault
		if !errors.As(err, &f) || f.Kind != mesh.Denied || f.Text != "not you" ||
			len(f.Hints) != 1 || f.Hints[0] != "ask her" {
			t.Errorf("got %#v, want the fault that the backend gave", err)
		}
	}
}

func TestAWrongJobIsRefusedBeforeTheBackend(t *testing.T) {
	b := newFake()
	_, c := serving(t, b, Socket)
	_, ran := c.Run(t.Context(), mesh.Job{Name: "bad name", Tasks: []mesh.Task{{Name: "t"}}})
	_, planned := c.Plan(t.Context(), mesh.Job{Name: "a"})
	for _, err := range []error{ran, planned, c.Validate(t.Context(), mesh.Job{})} {
		if mesh.FaultOf(err).Kind != mesh.Invalid {
			t.Errorf("got %v, want a fault of kind invalid", err)
		}
	}
	if lines := strings.Count(ran.Error(), "\n") + 1; lines != 2 {
		t.Errorf("got %d lines, want both faults:\n%v", lines, ran)
	}
	if len(b.asked) > 0 {
		t.Errorf("the backend was asked for %v", b.asked)
	}
}

func TestTokensAreBounded(t *testing.T) {
	_, c := serving(t, newFake(), Socket)
	for _, r := range []TokenRequest{
		{TTL: -1, Uses: 1}, {TTL: mesh.Duration(MaxTokenTTL) + 1}, {Uses: -1}, {Uses: MaxTokenUses + 1},
	} {
		if _, err := c.CreateToken(t.Context(), r); mesh.FaultOf(err).Kind != mesh.Invalid {
			t.Errorf("%+v: got %v, want a fault of kind invalid", r, err)
		}
	}
	got, err := c.CreateToken(t.Context(), TokenRequest{})
	if err != nil || got.Uses != DefaultTokenUses {
		t.Errorf("an empty request: got %+v, %v", got, err)
	}
}

func TestTheIndexListsEveryEndpointOnce(t *testing.T) {
	_, c := serving(t, newFake(), Socket)
	list, err := c.Endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range list {
		if seen[e.Method+e.Path] || e.Doc == "" {
			t.Errorf("%+v: twice, or without a word", e)
		}
		seen[e.Method+e.Path] = true
	}
	if !seen["POST/v1/jobs"] || !seen["GET/v1/jobs/{job}/logs"] {
		t.Errorf("got %v", seen)
	}
}

func TestClientsSayWhyNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dead.sock")
	l, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	for _, addr := range []string{file, "unix:" + filepath.Join(dir, "none.sock"), "127.0.0.1:1"} {
		c, err := ClientOf(addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Version(t.Context())
		if f := mesh.FaultOf(err); f.Kind != mesh.Unavailable || !strings.Contains(f.Text, "no agent answers") {
			t.Errorf("%s: got %v", addr, err)
		}
	}
	if _, err := ClientOf("nonsense"); mesh.FaultOf(err).Kind != mesh.Invalid {
		t.Errorf("of nonsense: got %v", err)
	}
}

func TestAnInterruptedCallEndsAsInterrupted(t *testing.T) {
	_, c := serving(t, newFake(), Socket)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
