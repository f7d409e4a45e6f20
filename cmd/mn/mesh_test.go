package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mn/runner/container/podmantest"
	"mn/sim/lab"
)

const (
	awaitMax  = 60 * time.Second // for what a script has asked for
	awaitStep = 50 * time.Millisecond
)

// meshKey is where a script keeps its mesh.
type meshKey struct{}

// These scripts run meshes of several real agents, on loopback:
//
//	mesh N               start one of nodes node-1, node-2, ..., and ask node-1 from now on
//	add NAME             let one more node in
//	powercut NAME        end an agent and all that it runs, at once
//	kill-agent NAME      kill an agent alone
//	boot NAME            start the agent again
//	serve FOLDER         serve the files of a folder at $SERVER, until unserve
//	readenv NAME FILE    have a variable be what is in a file
//	podman               start a Podman of its own, and write agent.toml for its socket
//	podman-ps FILE       write to a file which containers there are, by their ids and names
//	await REGEX MN-ARGS  run mn until its output matches, or with ! does not
//	answers NODE NAME TYPE REGEX  ask a node's DNS until the answer matches, or with ! does not
func TestMeshes(t *testing.T) { testscript.Run(t, meshScripts("testdata/mesh")) }

func meshScripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Values[meshKey{}] = new(*lab.Lab)
			env.Values[serverKey{}] = new(*httptest.Server)
			env.Values[podmanKey{}] = new(*podmantest.Podman)
			drivers, err := filepath.Abs(filepath.Join("..", "..", "health", "inventory", "testdata"))
			if err != nil {
				return err
			}
			env.Setenv("DRIVERS", drivers) // what their tools have said
			return os.Mkdir(filepath.Join(env.WorkDir, "m"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mesh": startMesh, "add": addNode, "powercut": cutNode, "boot": bootNode, "await": await, "answers": answers,
			"serve": serve, "unserve": unserve, "readenv": readEnv,
			"exits":      exits,
			"kill-agent": killAgent, "podman": startPodman, "podman-ps": listContainers,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "containers":
				return podmantest.Lacking() == "", nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	}
}

// meshOf is the script's mesh.
func meshOf(ts *testscript.TestScript) **lab.Lab { return ts.Value(meshKey{}).(**lab.Lab) }

// scriptTest is a script as a test.
type scriptTest struct{ *testscript.TestScript }

func (scriptTest) Helper() {}

func (s scriptTest) Cleanup(f func()) { s.Defer(f) }

func (s scriptTest) Errorf(format string, args ...any) { s.Logf(format, args...) }

// podmanKey is where a script keeps its Podman.
type podmanKey struct{}

func startPodman(ts *testscript.TestScript, _ bool, _ []string) {
	p := podmantest.Start(scriptTest{ts})
	*ts.Value(podmanKey{}).(**podmantest.Podman) = p
	ts.Setenv("PODMAN", p.Socket)
	config := fmt.Sprintf("volumes = [%q]\n[container]\nsocket = %q\n", ts.MkAbs("."), p.Socket)
	ts.Check(os.WriteFile(ts.MkAbs("agent.toml"), []byte(config), 0o600))
}

// listContainers writes the ids and names of all containers to a file.
func listContainers(ts *testscript.TestScript, _ bool, args []string) {
	p := *ts.Value(podmanKey{}).(**podmantest.Podman)
	text := p.Run("ps", "--all", "--format", "{{.ID}} {{.Names}}")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+"\n"), 0o600))
}

func startMesh(ts *testscript.TestScript, _ bool, args []string) {
	nodes, err := strconv.Atoi(args[0])
	ts.Check(err)
	config := ""
	if len(args) > 1 {
		config = ts.ReadFile(args[1])
	}
	binary, err := exec.LookPath("mn")
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), awaitMax)
	defer cancel()
	l, err := lab.Start(ctx, lab.Options{
		Binary: binary, Dir: ts.MkAbs("m"), Nodes: nodes, Config: config, Env: []string{"PATH=" + ts.Getenv("PATH")},
	})
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Close()) })
	*meshOf(ts) = l
	ts.Setenv("MN_DATA", l.Nodes()[0].Dir)
}

func addNode(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), awaitMax)
	defer cancel()
	l := *meshOf(ts)
	_, err := l.Add(ctx, args[0], l.Nodes()[0])
	ts.Check(err)
}

func cutNode(ts *testscript.TestScript, _ bool, args []string) {
	_, err := (*meshOf(ts)).Node(args[0]).Kill()
	ts.Check(err)
}

func killAgent(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check((*meshOf(ts)).Node(args[0]).KillAgent())
}

func bootNode(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), awaitMax)
	defer cancel()
	ts.Check((*meshOf(ts)).Node(args[0]).Start(ctx))
}

// serverKey is where a script keeps its web server.
type serverKey struct{}

func serve(ts *testscript.TestScript, _ bool, args []string) {
	s := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(s.Close)
	*ts.Value(serverKey{}).(**httptest.Server) = s
	ts.Setenv("SERVER", s.URL)
}

func unserve(ts *testscript.TestScript, _ bool, _ []string) {
	(*ts.Value(serverKey{}).(**httptest.Server)).Close()
}

func readEnv(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// await looks again and again: what a command prints changes without notice.
func await(ts *testscript.TestScript, neg bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), awaitMax)
	defer cancel()
	look := time.NewTicker(awaitStep)
	defer look.Stop()
	for {
		cmd := exec.CommandContext(ctx, "mn", args[1:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "MN_DATA="+ts.Getenv("MN_DATA"))
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			ts.Fatalf("mn %q: %v", args[1:], err)
		}
		if want.Match(out.Bytes()) != neg {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			ts.Fatalf("mn %q does not say %q in %v, but:\n%s", args[1:], args[0], awaitMax, out.String())
		}
	}
}
