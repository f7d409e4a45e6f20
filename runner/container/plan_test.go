package container

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"mn/mesh"
	"mn/runner"
)

func plan(engine string, change func(*runner.Spec)) *Plan {
	p := &Plan{Engine: engine, Node: node, Workdir: "/task", Spec: runner.Spec{
		Alloc: alloc, Task: "web", Attempt: 3, Container: &mesh.Container{Image: "nginx"},
	}}
	change(&p.Spec)
	return p
}

func TestPlanIsOfSafeDefaults(t *testing.T) {
	o := plan("Docker", func(*runner.Spec) {}).options("/srv")
	h := o.HostConfig
	switch {
	case h.Privileged, !reflect.DeepEqual(h.CapDrop, []string{"ALL"}),
		!reflect.DeepEqual(h.SecurityOpt, []string{"no-new-privileges"}),
		h.RestartPolicy.Name != container.RestartPolicyDisabled, h.AutoRemove, h.NetworkMode != "bridge",
		h.PidMode != "", h.IpcMode != "", *h.PidsLimit != pidsMax:
		t.Errorf("the container is %+v", h)
	}
	if o.Name != "mn-"+node.Short()+"-abcdefgh-web-3" || o.Config.Labels[labelNode] != string(node) {
		t.Errorf("it is called %q, with labels %v", o.Name, o.Config.Labels)
	}
	if o.Config.WorkingDir != "" {
		t.Errorf("it starts in %q, where the image has a folder for that", o.Config.WorkingDir)
	}
	if o := plan("Docker", func(*runner.Spec) {}).options("/"); o.Config.WorkingDir != "/task" {
		t.Errorf("it starts in %q, want the task's own folder", o.Config.WorkingDir)
	}
}

func TestPlanHasPortsAndDevices(t *testing.T) {
	change := func(s *runner.Spec) {
		s.Container.Ports = map[string]int{"http": 80}
		s.Ports = []mesh.PortGrant{
			{Label: "http", Protocol: mesh.ProtocolHTTP, Number: 20001},
			{Label: "dns", Protocol: mesh.ProtocolUDP, Number: 20002},
		}
		s.Devices = []mesh.GivenDevice{
			{ID: "GPU-1", Driver: "cuda"}, {ID: "card", Driver: "rocm", Path: "/dev/null"}, {ID: "none", Path: "/dev/no-such"},
		}
		s.Resources = mesh.Resources{CPU: mesh.Core * 3 / 2, Memory: mesh.GiB}
	}
	h := plan("Docker", change).options("").HostConfig
	got := map[string]string{}
	for port, binds := range h.PortBindings {
		got[port.String()] = binds[0].HostPort
	}
	if want := map[string]string{"80/tcp": "20001", "20002/udp": "20002"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the ports are %v, want %v", got, want)
	}
	if r := h.DeviceRequests; len(r) != 1 || r[0].Driver != "nvidia" || !reflect.DeepEqual(r[0].DeviceIDs, []string{"GPU-1"}) {
		t.Errorf("it asks for %+v", r)
	}
	if len(h.Devices) == 0 || h.Devices[0].PathOnHost != "/dev/null" {
		t.Errorf("it has %+v", h.Devices)
	}
	if h.NanoCPUs != 1.5e9 || h.Memory != 1<<30 || h.MemorySwap != 1<<30 || h.Ulimits != nil {
		t.Errorf("its limits are %+v", h.Resources)
	}
	h = plan(podman, change).options("").HostConfig
	if r := h.DeviceRequests; r[0].Driver != "cdi" || r[0].DeviceIDs[0] != "nvidia.com/gpu=GPU-1" || len(h.Ulimits) != 2 {
		t.Errorf("of Podman it asks for %+v, %+v", r, h.Ulimits)
	}
	host := plan(podman, func(s *runner.Spec) { change(s); s.Container.Network = mesh.NetworkHost }).options("").HostConfig
	if host.NetworkMode != "host" || len(host.PortBindings) > 0 {
		t.Errorf("in the node's network it has %+v", host.PortBindings)
	}
}

// What NVIDIA's hooks go by is neither the job's nor the image's to say.
func TestNobodyTakesDevicesByAVariable(t *testing.T) {
	for want, devices := range map[string][]mesh.GivenDevice{
		"void":        {{ID: "card", Driver: "rocm"}},
		"GPU-1,GPU-2": {{ID: "GPU-1", Driver: "cuda"}, {ID: "GPU-2", Driver: "cuda"}},
	} {
		for _, engine := range []string{"Docker", podman} {
			env := plan(engine, func(s *runner.Spec) {
				s.Devices, s.Env = devices, []string{visible + "=all", "A=b", visible}
			}).options("").Config.Env
			if want := []string{"A=b", visible + "=" + want}; !reflect.DeepEqual(env, want) {
				t.Errorf("%s: the environment is %q, want %q", engine, env, want)
			}
		}
	}
}

func TestSocketsAreBarredByAllTheirPaths(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "real", "real/here.sock": "there.sock"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "real", "there.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOCKER_HOST", "unix://"+dir+"/link/later/x.sock") // whose folder is yet to come
	got := New(Config{Socket: filepath.Join(dir, "link", "here.sock")}).Barred()
	for _, want := range []string{
		"link/here.sock", "real/here.sock", "real/there.sock", "link/later/x.sock", "real/later/x.sock",
	} {
		if !slices.Contains(got, filepath.Join(dir, want)) {
			t.Errorf("%s is not barred: %q", want, got)
		}
	}
	for _, want := range []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/docker.sock"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not barred", want)
		}
	}
}

func TestSomethingElseWasShortOfMemory(t *testing.T) {
	k := &keeper{plan: *plan(podman, func(*runner.Spec) {})}
	for code, want := range map[int]bool{0: false, 137: true, 1: true} {
		if e := k.ending(&container.State{ExitCode: code, OOMKilled: true}); e.OOM != want {
			t.Errorf("exit code %d: %+v", code, e)
		}
	}
}

func TestOldPodmanIsNotAskedForWhatItLeavesOut(t *testing.T) {
	gpu := []mesh.GivenDevice{{ID: "GPU-1", Driver: "cuda"}}
	for version, refused := range map[string]bool{"4.9.3": true, "5.0.0": false, "": true} {
		if err := gives(mesh.Engine{Name: podman, Version: version}, gpu); (err != nil) != refused {
			t.Errorf("Podman %q: %v", version, err)
		}
	}
	if err := gives(mesh.Engine{Name: podman, Version: "4.9.3"}, nil); err != nil {
		t.Errorf("without devices: %v", err)
	}
	if err := gives(mesh.Engine{Name: "Docker", Version: "27.1"}, gpu); err != nil {
		t.Errorf("of Docker: %v", err)
	}
}

// frame is what an engine sends.
func frame(stream byte, text string) []byte {
	head := [frameHead]byte{0: stream}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	return append(head[:], text...)
}

func TestFramesAreWrittenOnce(t *testing.T) {
	var stdout, stderr bytes.Buffer
	o := newOutput(&stdout, &stderr)
	at := func(n int) string { return time.Unix(int64(n), 5).UTC().Format(time.RFC3339Nano) + " " }
	read := func(frames ...[]byte) {
		t.Helper()
		for i := range o.streams {
			o.streams[i].begin()
		}
		in := bufio.NewReader(bytes.NewReader(bytes.Join(frames, nil)))
		for range frames {
			if err := o.frame(in); err != nil {
				t.Fatal(err)
			}
		}
	}
	read(frame(1, at(1)+"a\n"), frame(1, at(2)+"b\n"), frame(2, at(2)+"x\n"), frame(1, at(2)+"c\n"))
	// Three frames at the same instant, two of which were there.
	read(frame(1, at(1)+"a\n"), frame(1, at(2)+"b\n"), frame(1, at(2)+"c\n"), frame(2, at(2)+"x\n"),
		frame(1, at(2)+"d\n"), frame(1, at(3)+"e\n"), frame(1, at(2)+"clock was set\n"), frame(2, at(3)+"y\n"))
	if got := stdout.String(); got != "a\nb\nc\nd\ne\nclock was set\n" {
		t.Errorf("stdout is %q", got)
	}
	if got := stderr.String(); got != "x\ny\n" {
		t.Errorf("stderr is %q", got)
	}
}

func TestFramesThatAreNoneAreFaults(t *testing.T) {
	for text, want := range map[string]string{
		string(frame(3, "container is gone")): "container is gone",
		string(frame(9, "x")):                 "a frame of stream 9",
		string(frame(1, "xyz")[:9]):           "EOF",
		"\x01\x00":                            "unexpected EOF",
	} {
		o := newOutput(&bytes.Buffer{}, &bytes.Buffer{})
		if err := o.frame(bufio.NewReader(strings.NewReader(text))); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(frame(1, "2026-01-02T03:04:05.678Z text\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		o := newOutput(&out, &out)
		in := bufio.NewReader(bytes.NewReader(text))
		for o.frame(in) == nil {
			continue
		}
		if out.Len() > len(text) {
			t.Errorf("%d bytes became %d", len(text), out.Len())
		}
	})
}

func TestPasswordsOfRegistries(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("HOME", dir)
	word := base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	file := filepath.Join(dir, "config.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"auths": {"registry.lab:5000": {"auth": "` + word + `"}, "https://index.docker.io/v1/": {"auth": "` + word + `"}}}`)
	for image, known := range map[string]bool{
		"registry.lab:5000/team/model:3": true, "nginx": true, "docker.io/library/nginx:1": true, "ghcr.io/a/b": false,
	} {
		auth, err := authFor(image)
		if err != nil || (auth != "") != known {
			t.Errorf("%s: %q, %v", image, auth, err)
		}
		if !known {
			continue
		}
		text, err := base64.URLEncoding.DecodeString(auth)
		var got struct{ Username, Password string }
		if err == nil {
			err = json.Unmarshal(text, &got)
		}
		if err != nil || got.Username != "ann" || got.Password != "secret" {
			t.Errorf("%s: %+v, %v", image, got, err)
		}
	}
	write("{")
	if _, err := authFor("nginx"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	got := remedy("ghcr.io/a/b", "", errors.New("denied: requested access")).Error()
	if !strings.Contains(got, "podman login") {
		t.Errorf("got %q", got)
	}
	if got := explain(errors.New(`exec: "x": executable file not found in $PATH`)); !strings.Contains(got, "no such program") {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"unauthorized: x", "manifest unknown"} {
		if !final(errors.New(text)) {
			t.Errorf("%q is tried again", text)
		}
	}
	if final(errors.New("dial tcp: i/o timeout")) {
		t.Error("a timeout is not tried again")
	}
}

func TestEngineIsNowhere(t *testing.T) {
	for _, host := range []string{"tcp://ann:secret@10.0.0.1:2375", "secret@10.0.0.1", "unix:secret"} {
		t.Setenv("DOCKER_HOST", host)
		e := New(Config{Node: node}).Look(t.Context())
		if !strings.Contains(e.Lacks, "only an engine of this machine") || strings.Contains(e.Lacks, "secret@") ||
			strings.Contains(e.Lacks, "ann:") {
			t.Errorf("the engine is %+v", e)
		}
	}
	if text := explain(errors.New(strings.Repeat("x", 1<<20) + "address already in use")); len(text) > 2*wordsMax ||
		!strings.HasSuffix(text, "(another program has one of its ports)") {
		t.Errorf("%d bytes are told", len(text))
	}
	t.Setenv("DOCKER_HOST", "")
	socket := filepath.Join(t.TempDir(), "none.sock")
	if e := New(Config{Node: node, Socket: socket}).Look(t.Context()); !strings.Contains(e.Lacks, socket) {
		t.Errorf("the engine is %+v", e)
	}
}
