package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
			"exits": exits, "ready": ready, "stopped": stopped,
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
	client, err := api.ClientOf(ts.MkAbs("data/mn.sock"))
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), readyMax)
	defer cancel()
	err = client.WatchJob(ctx, mesh.JobID(args[0]), func(j api.Job) error {
		for _, a := range j.Allocations {
			if !mesh.AllocState(a.Status).Final() {
				return nil
			}
		}
		return errDone
	})
	if err != errDone {
		ts.Fatalf("%s does not stop: %v", args[0], err)
	}
}
