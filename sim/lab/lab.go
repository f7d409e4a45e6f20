// Package lab is for trying out real agents: it runs a mesh of them on this
// machine, kills, stops and starts any of them, and sees what they cost. The
// demo, the benchmarks, tests of the whole program and the catalogue of faults
// use it.
//
// It knows the agents from outside only: the commands of mn, its API, and what
// the kernel says about processes. Nothing here is simulated; the simulator is
// package sim.
//
// A node is on loopback, which takes no privilege, or wherever its [Site] says:
// package host makes machines with networks that can be broken.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mn/mesh"
	"mn/mesh/api"
)

// Bounds of a lab.
const (
	nodesMax = 32               // on one machine
	formMax  = 30 * time.Second // until all nodes see each other
)

// Options say what mesh to run.
type Options struct {
	Binary string // mn
	Dir    string // exists; each node keeps its data in a folder below
	Nodes  int
	Config string   // TOML for the agents' own file, besides what the lab needs
	Env    []string // for the agents, besides our own environment: "PATH=…"
	// Site says where a node is, whose data directory it is told; nil for
	// loopback.
	Site func(name, dir string) (Site, error)
	// Said is told of each command before it runs; nil to be told nothing.
	Said func(command []string)
}

// Lab is a mesh of real agents. It is not safe for concurrent use, its nodes'
// clients are.
type Lab struct {
	options Options
	config  string // path of the agents' file
	nodes   []*Node
}

// Start makes a mesh of new nodes, and returns when each of them sees all.
func Start(ctx context.Context, o Options) (*Lab, error) {
	l, err := Prepare(o)
	if err != nil {
		return nil, err
	}
	if err := l.Form(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Prepare lays out a lab without starting anything.
func Prepare(o Options) (*Lab, error) {
	if o.Nodes < 1 || o.Nodes > nodesMax {
		return nil, fmt.Errorf("a lab of %d nodes: want 1 to %d", o.Nodes, nodesMax)
	}
	var err error
	if o.Binary, err = filepath.Abs(o.Binary); err != nil {
		return nil, fmt.Errorf("find mn %q: %w", o.Binary, err)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("find directory %q: %w", o.Dir, err)
	}
	l := &Lab{options: o, config: filepath.Join(o.Dir, "agent.toml")}
	config := o.Config
	if o.Site == nil {
		// Agents on loopback must not find those of the LAN, nor be found by them.
		config += "\n[discovery]\noff = true\n"
		if !strings.Contains(config, "[dns]") {
			config += "[dns]\nlisten = \"127.0.0.1:0\"\n" // only one could have the usual port
		}
		l.options.Site = func(string, string) (Site, error) { return newLoopback() }
	}
	if err := os.WriteFile(l.config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write the agents' configuration: %w", err)
	}
	for i := range o.Nodes {
		if _, err := l.add(fmt.Sprintf("node-%d", i+1)); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// add lays out one more node.
func (l *Lab) add(name string) (*Node, error) {
	n := &Node{Name: name, Dir: filepath.Join(l.options.Dir, name), lab: l}
	var err error
	if n.client, err = api.ClientOf(n.socket()); err != nil {
		return nil, err
	}
	if n.site, err = l.options.Site(name, n.Dir); err != nil {
		return nil, fmt.Errorf("find a place for %s: %w", name, err)
	}
	l.nodes = append(l.nodes, n)
	return n, nil
}

// Form makes the mesh with the first node, has the others join it, and returns
// when each of them sees all.
func (l *Lab) Form(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, formMax)
	defer cancel()
	first := l.nodes[0]
	if _, err := first.Mn(ctx, "mesh", "init", "--name", first.Name, "--config", l.config); err != nil {
		return err
	}
	if err := first.Start(ctx); err != nil {
		return err
	}
	if err := l.join(ctx, first, l.nodes[1:]...); err != nil {
		return err
	}
	return l.Settle(ctx)
}

// Add has one more machine join the mesh, through a node that runs, and starts
// its agent.
func (l *Lab) Add(ctx context.Context, name string, through *Node) (*Node, error) {
	if l.Node(name) != nil || len(l.nodes) >= nodesMax {
		return nil, fmt.Errorf("add %s: the name is taken, or there are %d nodes", name, nodesMax)
	}
	n, err := l.add(name)
	if err != nil {
		return nil, err
	}
	return n, l.join(ctx, through, n)
}

// join has new nodes let in by another, and starts their agents.
func (l *Lab) join(ctx context.Context, through *Node, joining ...*Node) error {
	if len(joining) == 0 {
		return nil
	}
	token, err := l.token(ctx, through, len(joining))
	if err != nil {
		return err
	}
	for _, n := range joining {
		_, err := n.Mn(ctx, "mesh", "join", through.Address(), "--token-file", token, "--name", n.Name)
		if err != nil {
			return err
		}
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// token makes a join token for so many nodes, in a file.
func (l *Lab) token(ctx context.Context, from *Node, uses int) (path string, err error) {
	out, err := from.Mn(ctx, "mesh", "token", "create", "--uses", fmt.Sprint(uses), "--json")
	if err != nil {
		return "", err
	}
	var made api.NewToken
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		return "", fmt.Errorf("read the join token: %w", err)
	}
	path = filepath.Join(l.options.Dir, "token")
	if err := os.WriteFile(path, []byte(made.Token), 0o600); err != nil {
		return "", fmt.Errorf("keep the join token: %w", err)
	}
	return path, nil
}

// Settle returns when each running node sees all running nodes alive.
func (l *Lab) Settle(ctx context.Context) error {
	running := l.Running()
	for _, n := range running {
		err := n.Client().WatchNodes(ctx, func(seen []api.Node) error {
			if alive(seen) == len(running) {
				return errSeen
			}
			return nil
		})
		if !errors.Is(err, errSeen) {
			return fmt.Errorf("wait until %s sees %d nodes: %w", n.Name, len(running), ended(ctx, err))
		}
	}
	return nil
}

// errSeen ends a watch that has shown what it was for.
var errSeen = errors.New("seen")

// ended is why a watch ended early.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return errors.New("the agent ended the answer")
	}
	return err
}

func alive(nodes []api.Node) int {
	count := 0
	for _, n := range nodes {
		if n.Status == mesh.Alive {
			count++
		}
	}
	return count
}

// Nodes are all nodes of the lab, in the order in which they were made.
func (l *Lab) Nodes() []*Node { return l.nodes }

// Node is the node of that name, or nil.
func (l *Lab) Node(name string) *Node {
	for _, n := range l.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Running are the nodes whose agents run.
func (l *Lab) Running() []*Node {
	var running []*Node
	for _, n := range l.nodes {
		if n.Running() {
			running = append(running, n)
		}
	}
	return running
}

// Close ends every process of the lab. It leaves the files.
func (l *Lab) Close() error {
	var errs []error
	for _, n := range l.nodes {
		_, err := n.Kill()
		errs = append(errs, err, n.client.Close(), n.site.Close())
	}
	return errors.Join(errs...)
}

// End ends all processes that belong to a folder, whoever has started them.
func End(dir string) error { return killAll(dir) }
