// Package container is for running tasks in containers, by the engine of the node: Docker, or
// Podman by its Docker-compatible API.
//
// A task in a container is run as others are: package runner/exec makes its folders and spawns
// a supervisor for it, which keeps its logs and its lease and records its end (package
// runner/supervise). What is different is here. An [Engine] is the agent's side: whether there
// is an engine, the image of a task, what is left of containers. A keeper is the supervisor's:
// it has one container started, follows what it says, and waits for its end; [Main] is that
// process. Why so: see DESIGN.md.
//
// What it holds to:
//
//  1. Only containers with our own labels are touched.
//  2. A container is created once per attempt, under a name that says which; the engine never
//     restarts it.
//  3. The end is told when nothing of the container runs. An engine that does not answer is
//     not the end of what it runs: the first process of the container is looked after by its
//     pid, and killed by it if it must end.
//  4. No call of the engine is without a timeout.
package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"

	"mn/mesh"
)

// Bounds of calls of an engine.
const (
	callTimeout  = 10 * time.Second
	startTimeout = time.Minute // of what makes or starts a container: it may have to copy files
	lookEvery    = 10 * time.Second
	sweepEvery   = 10 * time.Minute
	leftMax      = 10000 // containers of ours that are looked through
)

// sockets are where engines listen, if nobody says otherwise.
var sockets = []string{"/run/podman/podman.sock", "/var/run/docker.sock"}

// Config is what an engine is looked for with.
type Config struct {
	Socket string // absolute; found by itself if empty
	Node   mesh.NodeID
	Log    *slog.Logger
	// Say tells people how it goes with a task that is yet to start; nil: nobody is told.
	Say func(alloc mesh.AllocID, task, text string)
}

// Engine is the engine of this node, which may come and go.
type Engine struct {
	cfg Config

	mu    sync.Mutex
	state mesh.Engine // as it was seen last
}

// New makes an engine that has not been looked for yet.
func New(c Config) *Engine {
	return &Engine{cfg: c, state: mesh.Engine{Lacks: "it was not looked for yet"}}
}

// socket is where the engine should be, and why it can be nowhere.
func (e *Engine) socket() (path string, err error) {
	if e.cfg.Socket != "" {
		return e.cfg.Socket, nil
	}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, local := strings.CutPrefix(host, "unix://")
		if !local || !filepath.IsAbs(path) {
			// What it is is not told: it may have a password.
			return "", errors.New("DOCKER_HOST is no unix:///PATH, and only an engine of this machine can show its " +
				"folders: set it to that, or unset it")
		}
		return path, nil
	}
	for _, path := range sockets {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("no engine listens at %s: install Podman or Docker and start its socket, "+
		"or say where it is in [container] of agent.toml", strings.Join(sockets, " or "))
}

// engines are the sockets besides ours by which one has the whole node, if something listens
// there, or will.
var engines = []string{
	"/run/containerd/containerd.sock", "/run/docker/containerd/containerd.sock",
	"/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock", "/run/docker.sock", "/var/run/docker.sock",
	"/run/podman/podman.sock", "/var/run/podman/podman.sock",
}

// Barred are the sockets of engines, by each path that they have: who can talk to an engine
// has the node.
func (e *Engine) Barred() []string {
	all := slices.Concat(sockets, engines)
	if path, err := e.socket(); err == nil {
		all = append(all, path)
	}
	if host, local := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); local && filepath.IsAbs(host) {
		all = append(all, host)
	}
	var each []string
	for _, path := range all {
		path = filepath.Clean(path)
		each = append(each, path, real(path))
		// Its folder may be reached by another way than what is in it.
		each = append(each, filepath.Join(real(filepath.Dir(path)), filepath.Base(path)))
	}
	slices.Sort(each)
	return slices.Compact(each)
}

// real is a path without links, as far as there is something.
func real(path string) string {
	rest := ""
	for {
		if found, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(found, rest)
		}
		dir := filepath.Dir(path)
		if dir == path {
			return filepath.Join(path, rest)
		}
		path, rest = dir, filepath.Join(filepath.Base(path), rest)
	}
}

// connect is a connection to the engine, which is made when it is used.
func (e *Engine) connect() (*client.Client, error) {
	path, err := e.socket()
	if err != nil {
		return nil, err
	}
	return dial(path)
}

func dial(socket string) (*client.Client, error) {
	c, err := client.New(client.WithHost("unix://" + socket))
	if err != nil {
		return nil, fmt.Errorf("talk to the engine at %q: %w", socket, err)
	}
	return c, nil
}

// Look finds out which engine there is now.
func (e *Engine) Look(ctx context.Context) mesh.Engine {
	state, err := e.look(ctx)
	if err != nil {
		state = mesh.Engine{Lacks: brief(err.Error())}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = state
	return state
}

func (e *Engine) look(ctx context.Context) (state mesh.Engine, err error) {
	c, err := e.connect()
	if err != nil {
		return state, err
	}
	defer c.Close()
	ctx, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	v, err := c.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		path, _ := e.socket()
		return state, fmt.Errorf("the engine at %q does not answer: %w", path, err)
	}
	state = mesh.Engine{Name: "Docker", Version: clip(v.Version)}
	for _, part := range v.Components {
		if strings.HasPrefix(part.Name, podman) {
			state.Name = podman
		}
	}
	return state, nil
}

// podman is what Podman calls itself.
const podman = "Podman"

// clip bounds what an engine says of itself.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }

// seen is the engine as it was seen last.
func (e *Engine) seen() mesh.Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Has says whether somebody has an attempt of a task in hand, or may have.
type Has func(alloc mesh.AllocID, task string, attempt int) bool

// Watch looks at the engine now and then until the context ends, and tells whenever it is
// another. When it has come, and now and then, what nobody has in hand is removed that our
// tasks have left.
func (e *Engine) Watch(ctx context.Context, has Has, tell func(mesh.Engine)) {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	var last mesh.Engine
	var swept time.Time // zero if it is to be soon
	for first := true; ; first = false {
		now := e.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		if first || now != last {
			tell(now)
		}
		if now.Lacks != "" {
			swept = time.Time{}
		} else if time.Since(swept) > sweepEvery {
			if err := e.sweep(ctx, has); err != nil {
				e.cfg.Log.Warn("sweep containers", "error", err)
			} else {
				swept = time.Now()
			}
		}
		last = now
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
