package container

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"mn/mesh"
	"mn/runner"
)

// Plan is what the supervisor of a container must know besides what all supervisors do.
type Plan struct {
	Socket  string        `json:"socket"`
	Engine  string        `json:"engine"`
	Node    mesh.NodeID   `json:"node"`
	Workdir string        `json:"workdir,omitempty"` // if neither task nor image say where it starts
	Spec    runner.Spec   `json:"spec"`
	Binds   []runner.Bind `json:"binds"`
}

// planMax bounds a plan that is read. Command and environment have bounds of their own.
const planMax = 8 << 20

// Plan is what the task's supervisor must know of its container, as text.
func (e *Engine) Plan(s runner.Spec, binds []runner.Bind) ([]byte, error) {
	socket, err := e.socket()
	if err != nil {
		return nil, err
	}
	seen := e.seen()
	if err := gives(seen, s.Devices); err != nil {
		return nil, err
	}
	p := Plan{Socket: socket, Engine: seen.Name, Node: e.cfg.Node, Spec: s, Binds: binds}
	p.Spec.Payload, p.Spec.Saving, p.Spec.Templates = nil, nil, nil // done, and of no more use
	if len(binds) > 0 {
		p.Workdir = binds[0].Target
	}
	return json.Marshal(&p)
}

// cdiSince is the first Podman that does not silently leave out devices that are asked for by
// its API.
const cdiSince = 5

// gives says whether an engine gives a task its devices.
func gives(e mesh.Engine, devices []mesh.GivenDevice) error {
	cuda := func(d mesh.GivenDevice) bool { return d.Driver == "cuda" }
	if e.Name != podman || !slices.ContainsFunc(devices, cuda) {
		return nil
	}
	major, _, _ := strings.Cut(e.Version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < cdiSince {
		return fmt.Errorf("%s gives no container NVIDIA's devices by its API: have Podman %d or Docker on the node",
			e.String(), cdiSince)
	}
	return nil
}

// Limits of a container that nobody chooses.
const (
	pidsMax   = 4096
	filesMax  = 1 << 20
	procsMax  = 1 << 15 // Podman has no more itself
	logBytes  = "64m"   // of the engine's own log, from which ours is made
	logFiles  = "2"
	nanoCores = 1e9
)

// capabilities are those of a container's root: to own files, become others, and listen on low
// ports. All else is dropped.
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID",
}

// name is the container's: the attempt's alone on this machine.
func (p *Plan) name() string {
	return fmt.Sprintf("mn-%s-%s-%s-%d", p.Node.Short(), p.Spec.Alloc, p.Spec.Task, p.Spec.Attempt)
}

// options is the container as the engine is to make it. Workdir is where its image starts
// programs.
func (p *Plan) options(workdir string) client.ContainerCreateOptions {
	s, box := &p.Spec, p.Spec.Container
	cfg := &container.Config{
		Image: box.Image, Cmd: s.Command, Entrypoint: box.Entrypoint, Env: environ(s), User: s.User,
		Labels: labels(p.Node, s), StopSignal: s.Stop, WorkingDir: s.Dir,
		AttachStdout: true, AttachStderr: true,
	}
	if cfg.WorkingDir == "" && (workdir == "" || workdir == "/") {
		cfg.WorkingDir = p.Workdir
	}
	host := &container.HostConfig{
		NetworkMode:    container.NetworkMode(box.Network),
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:      container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logBytes}},
		CapDrop:        []string{"ALL"},
		CapAdd:         capabilities,
		SecurityOpt:    []string{"no-new-privileges"},
		ReadonlyRootfs: box.ReadOnly,
		ShmSize:        int64(box.ShmSize),
		Resources:      p.resources(),
	}
	if box.Network == "" {
		host.NetworkMode = container.NetworkMode(mesh.NetworkBridge)
	}
	if box.Init {
		host.Init = &box.Init
	}
	if p.Engine != podman {
		host.LogConfig.Config["max-file"] = logFiles
	}
	for _, b := range p.Binds {
		host.Mounts = append(host.Mounts, mount.Mount{
			Type: mount.TypeBind, Source: b.Source, Target: b.Target, ReadOnly: !b.Write,
			BindOptions: &mount.BindOptions{Propagation: mount.PropagationRPrivate},
		})
	}
	p.publish(cfg, host)
	return client.ContainerCreateOptions{Config: cfg, HostConfig: host, Name: p.name()}
}

// visible is what NVIDIA's hooks go by when they give devices to containers, whatever those
// were given by us; and images set it, to all of them.
const visible = "NVIDIA_VISIBLE_DEVICES"

// environ is the environment of the container: that of the task, which has no say in what
// devices it is given.
func environ(s *runner.Spec) []string {
	env := slices.DeleteFunc(slices.Clone(s.Env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == visible
	})
	ids := cmp.Or(strings.Join(cudaIDs(s.Devices), ","), "void")
	return append(env, visible+"="+ids)
}

// cudaIDs are the ids of NVIDIA's devices among some.
func cudaIDs(devices []mesh.GivenDevice) (ids []string) {
	for _, d := range devices {
		if d.Driver == "cuda" {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// resources are the limits of what the task reserves, and its devices.
func (p *Plan) resources() container.Resources {
	s := &p.Spec
	pids := int64(pidsMax)
	r := container.Resources{PidsLimit: &pids}
	if s.Resources.CPU > 0 {
		r.NanoCPUs = int64(math.Round(float64(s.Resources.CPU) / float64(mesh.Core) * nanoCores))
	}
	if s.Resources.Memory > 0 {
		r.Memory, r.MemorySwap = int64(s.Resources.Memory), int64(s.Resources.Memory)
	}
	if p.Engine == podman {
		r.Ulimits = ulimits()
	}
	for _, d := range s.Devices {
		if d.Driver == "cuda" {
			continue
		}
		for _, path := range append([]string{d.Path}, driverNodes[d.Driver]...) {
			if isDevice(path) && !slices.ContainsFunc(r.Devices, func(m container.DeviceMapping) bool {
				return m.PathOnHost == path
			}) {
				r.Devices = append(r.Devices, container.DeviceMapping{
					PathOnHost: path, PathInContainer: path, CgroupPermissions: "rw",
				})
			}
		}
	}
	if cuda := cudaIDs(s.Devices); len(cuda) > 0 {
		r.DeviceRequests = []container.DeviceRequest{p.cuda(cuda)}
	}
	return r
}

// cuda asks for NVIDIA's devices by their ids. Podman has them by the names that NVIDIA's
// toolkit has given them.
func (p *Plan) cuda(ids []string) container.DeviceRequest {
	if p.Engine != podman {
		return container.DeviceRequest{
			Driver: "nvidia", DeviceIDs: ids, Capabilities: [][]string{{"gpu", "compute", "utility"}},
		}
	}
	r := container.DeviceRequest{Driver: "cdi"}
	for _, id := range ids {
		r.DeviceIDs = append(r.DeviceIDs, "nvidia.com/gpu="+id)
	}
	return r
}

// driverNodes are what programs need in /dev besides the device itself.
var driverNodes = map[string][]string{"rocm": {"/dev/kfd"}}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeDevice != 0 && mesh.Within(filepath.Clean(path), "/dev")
}

// ulimits are those that Podman may give: its own asks for more than a process may have that is
// in a container itself.
func ulimits() []*container.Ulimit {
	const nproc = 6 // RLIMIT_NPROC, which package syscall does not have
	var all []*container.Ulimit
	for _, l := range []struct {
		name     string
		resource int
		most     uint64
	}{{"nofile", syscall.RLIMIT_NOFILE, filesMax}, {"nproc", nproc, procsMax}} {
		var has syscall.Rlimit
		if syscall.Getrlimit(l.resource, &has) == nil {
			n := int64(min(has.Max, l.most))
			all = append(all, &container.Ulimit{Name: l.name, Hard: n, Soft: n})
		}
	}
	return all
}

// publish lets the task's ports lead into the container. They are open to whoever reaches the
// node, as those of other tasks are.
func (p *Plan) publish(cfg *container.Config, host *container.HostConfig) {
	box := p.Spec.Container
	if host.NetworkMode != container.NetworkMode(mesh.NetworkBridge) || len(p.Spec.Ports) == 0 {
		return
	}
	cfg.ExposedPorts, host.PortBindings = network.PortSet{}, network.PortMap{}
	for i := range p.Spec.Ports {
		g := &p.Spec.Ports[i]
		inside := int(g.Number)
		if n := box.Ports[g.Label]; n > 0 {
			inside = n
		}
		port, err := network.ParsePort(strconv.Itoa(inside) + "/" + string(g.Protocol.Transport()))
		if err != nil {
			continue // it was validated
		}
		cfg.ExposedPorts[port] = struct{}{}
		// All addresses, said by none: Podman 4 takes 0.0.0.0 for an address like others.
		host.PortBindings[port] = append(host.PortBindings[port], network.PortBinding{
			HostPort: strconv.Itoa(int(g.Number)),
		})
	}
}

// wordsMax bounds what is told of an error: records of supervisors are short.
const wordsMax = 2048

// brief is the begin of what an engine has to say.
func brief(text string) string {
	if len(text) <= wordsMax {
		return text
	}
	return strings.ToValidUTF8(text[:wordsMax], "") + "…"
}

// explain says what people can do about an error of the engine.
func explain(err error) string {
	text := brief(err.Error())
	for _, known := range []struct{ sign, remedy string }{
		{"executable file not found", "the image has no such program"},
		{"no command or entrypoint", "the image says of no program what to run: set command"},
		{"could not find", "podman needs catatonit for init = true"},
		{"unresolvable CDI devices", "run nvidia-ctk cdi generate on the node"},
		{"could not select device driver", "install NVIDIA's container toolkit on the node"},
		{"address already in use", "another program has one of its ports"},
		{"port is already allocated", "another container has one of its ports"},
	} {
		if strings.Contains(err.Error(), known.sign) {
			return text + " (" + known.remedy + ")"
		}
	}
	return text
}
