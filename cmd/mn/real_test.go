package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mn/mesh"
	"mn/mesh/api"
)

const (
	readyMax  = 20 * time.Second
	readyStep = 10 * time.Millisecond
)

// These scripts run real agents, with real tasks.
func TestRealAgents(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/real",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("MN_DATA", filepath.Join(env.WorkDir, "data"))
			port, err := freePort()
			if err != nil {
				return err
			}
			config := filepath.Join(env.WorkDir, "agent.toml")
			text, err := os.ReadFile(config)
			if err != nil {
				return err
			}
			return os.WriteFile(config, fmt.Appendf(nil, "port = %d\n%s", port, text), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "ready": ready, "stopped": stopped, "becomes": becomes,
		},
	})
}

// freePort finds a UDP port of loopback that nobody uses now.
func freePort() (int, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port, nil
}

// ready returns when the agent with that socket answers. The socket appears
// without notice, so this has to look.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	client, err := api.ClientOf(ts.MkAbs(args[0]))
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), readyMax)
	defer cancel()
	look := time.NewTicker(readyStep)
	defer look.Stop()
	for {
		if _, err = client.Version(ctx); err == nil {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			ts.Fatalf("no agent is ready: %v", err)
		}
	}
}

// errDone ends a watch that has seen what it waited for.
var errDone = errors.New("done")

// stopped returns when nothing of a job runs any more.
func stopped(ts *testscript.TestScript, _ bool, args []string) {
	follow(ts, args[0], func(j api.Job) bool {
		return !slices.ContainsFunc(j.Allocations, func(a api.Alloc) bool { return !mesh.AllocState(a.Status).Final() })
	})
}

// becomes returns when a job has a status, and says certain words about it, if
// any are given: becomes JOB STATUS [WORDS].
func becomes(ts *testscript.TestScript, _ bool, args []string) {
	words := ""
	if len(args) > 2 {
		words = args[2]
	}
	follow(ts, args[0], func(j api.Job) bool {
		return string(j.Status) == args[1] && strings.Contains(j.Reason, words)
	})
}

// follow watches a job until it is as a script wants it.
func follow(ts *testscript.TestScript, job string, wanted func(api.Job) bool) {
	client, err := api.ClientOf(ts.MkAbs("data/mn.sock"))
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), readyMax)
	defer cancel()
	var last api.Job
	err = client.WatchJob(ctx, mesh.JobID(job), func(j api.Job) error {
		if last = j; wanted(j) {
			return errDone
		}
		return nil
	})
	if err != errDone {
		ts.Fatalf("%s does not come to that, it is %s: %s: %v", job, last.Status, last.Reason, err)
	}
}
