// Package podmantest is for tests that need an engine of containers: it runs a Podman of its
// own, which knows nothing of what else is on the machine, with an image made of busybox.
package podmantest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Image is the name of the one image that there is. It has the commands of busybox in /bin.
const Image = "localhost/busybox:latest"

// Bounds of a Podman.
const (
	startTimeout = 30 * time.Second
	lookEvery    = 20 * time.Millisecond
)

// Podman is an engine.
type Podman struct {
	Socket string

	t       Test
	dir     string
	service *exec.Cmd
}

// Test is what a Podman is for.
type Test interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Cleanup(func())
}

// Lacking is what a test needs and this machine does not have, or "".
func Lacking() string {
	if os.Geteuid() != 0 {
		return "this test runs containers, which takes root"
	}
	for _, name := range []string{"podman", "runc", "busybox"} {
		if _, err := exec.LookPath(name); err != nil {
			return "this test runs containers, and there is no " + name + ": apt-get install -y " +
				"podman runc busybox-static catatonit netavark aardvark-dns containernetworking-plugins"
		}
	}
	return ""
}

// Start starts a Podman that ends with the test, where nothing is [Lacking].
func Start(t Test) *Podman {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pod") // not TMPDIR: the address of a socket is short
	if err != nil {
		t.Fatalf("%v", err)
	}
	p := &Podman{t: t, dir: dir, Socket: filepath.Join(dir, "s.sock")}
	t.Cleanup(p.end)
	p.load()
	p.Serve()
	return p
}

// command is a command of Podman's.
func (p *Podman) command(args ...string) *exec.Cmd {
	all := append([]string{
		"--root", filepath.Join(p.dir, "root"), "--runroot", filepath.Join(p.dir, "run"),
		"--tmpdir", filepath.Join(p.dir, "tmp"), "--network-config-dir", filepath.Join(p.dir, "net"),
		"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
		"--runtime", "/usr/sbin/runc",
	}, args...)
	cmd := exec.Command("podman", all...)
	cmd.Dir = p.dir // who watches a container writes there when it is out of memory
	return cmd
}

// Run runs a command of Podman's, and returns what it says.
func (p *Podman) Run(args ...string) string {
	p.t.Helper()
	out, err := p.command(args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// load makes the image.
func (p *Podman) load() {
	p.t.Helper()
	root := filepath.Join(p.dir, "image")
	bin := filepath.Join(root, "bin")
	for _, dir := range []string{bin, filepath.Join(root, "tmp"), filepath.Join(root, "etc")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			p.t.Fatalf("%v", err)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	text, err := os.ReadFile(busybox)
	if err == nil {
		err = os.WriteFile(filepath.Join(bin, "busybox"), text, 0o755)
	}
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	names, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		p.t.Fatalf("%v", err)
	}
	for name := range strings.FieldsSeq(string(names)) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			p.t.Fatalf("%v", err)
		}
	}
	file := filepath.Join(p.dir, "image.tar")
	if out, err := exec.Command("tar", "-C", root, "-cf", file, ".").CombinedOutput(); err != nil {
		p.t.Fatalf("tar: %v\n%s", err, out)
	}
	p.Run("import", file, Image)
}

// Serve starts the service, again after Silence.
func (p *Podman) Serve() {
	p.t.Helper()
	var said bytes.Buffer
	p.service = p.command("system", "service", "--time=0", "unix://"+p.Socket)
	p.service.Stderr = &said
	if err := p.service.Start(); err != nil {
		p.t.Fatalf("%v", err)
	}
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for range startTimeout / lookEvery {
		if c, err := net.Dial("unix", p.Socket); err == nil {
			c.Close()
			return
		}
		<-ticks.C
	}
	p.t.Fatalf("podman does not listen: %s", said.String())
}

// Silence ends the service; containers run on.
func (p *Podman) Silence() {
	_ = p.service.Process.Kill()
	_ = p.service.Wait()
	os.Remove(p.Socket)
}

// Containers are the names of all containers, whether they run or not.
func (p *Podman) Containers() []string {
	p.t.Helper()
	return strings.Fields(p.Run("ps", "--all", "--format", "{{.Names}}"))
}

// end ends the service, and what it has left.
func (p *Podman) end() {
	p.Silence()
	if out, err := p.command("rm", "--all", "--force", "--time", "0").CombinedOutput(); err != nil {
		p.t.Errorf("remove containers: %v\n%s", err, out)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Errorf("remove folder of podman: %v", err)
	}
}
