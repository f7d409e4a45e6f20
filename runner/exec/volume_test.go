package exec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// sharing is a world whose node shares a folder, with what is in it.
func sharing(t *testing.T) (w *drivertest.World, shared string) {
	t.Helper()
	top := t.TempDir()
	shared = filepath.Join(top, "shared")
	for _, dir := range []string{"read", "write", "outside"} {
		if err := os.MkdirAll(filepath.Join(shared, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(shared, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(shared, "outside"), filepath.Join(top, "outside")); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"inside": "read", "out": "../outside", "absolute": "/etc", "write/link": "/opt"} {
		if err := os.Symlink(to, filepath.Join(shared, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(shared, "read/file"), []byte("it is read"), 0o666); err != nil {
		t.Fatal(err)
	}
	w = suite().NewWorld(t)
	w.Driver.(*Driver).cfg.Volumes = []string{shared, filepath.Dir(w.Root)}
	return w, shared
}

func TestSandboxShowsVolumes(t *testing.T) {
	if len(isolations(t)) < 3 {
		t.Skip("there are no sandboxes here")
	}
	w, shared := sharing(t)
	s := drivertest.Spec("web", `
		exec 2>&1; set -e
		cat /models/file volumes/read/file volumes/inside/file
		touch /models/x && exit 1; touch volumes/read/x && exit 1; rm -f /models/file && exit 1
		test ! -e `+shared+`/read
		echo it is written >volumes/write/file; test -s `+shared+`/write/file; touch ready`)
	s.Isolation = mesh.IsolateSandbox
	s.Volumes = []mesh.Volume{
		{Name: "read", Source: shared + "/read", Target: "/models"},
		{Name: "write", Source: shared + "/write", Mode: mesh.ReadWrite},
		{Name: "inside", Source: shared + "/inside", Target: "/srv/deep/inside"},
	}
	w.Start(s)
	w.Expect(runner.Started)
	if o := w.Expect(runner.Exited); o.ExitCode != 0 {
		t.Errorf("observed %+v: %q", o, lines(t, w.Root, "web"))
	}
	if text, err := os.ReadFile(shared + "/write/file"); string(text) != "it is written\n" {
		t.Errorf("it has written %q, %v", text, err)
	}
	if _, err := os.Stat(shared + "/read/x"); err == nil {
		t.Error("it has written where it may only read")
	}
}

func TestPlainProcessHasLinksToVolumes(t *testing.T) {
	w, shared := sharing(t)
	for attempt := 1; attempt <= 2; attempt++ { // the second finds the links of the first
		s := drivertest.Spec("web", `echo it is written >volumes/write/file; rm -r volumes; ln -s / volumes`)
		s.Attempt = attempt
		s.Volumes = []mesh.Volume{{Name: "write", Source: shared + "/write", Mode: mesh.ReadWrite}}
		w.Start(s)
		w.Expect(runner.Started)
		if o := w.Expect(runner.Exited); o.ExitCode != 0 {
			t.Errorf("observed %+v: %q", o, lines(t, w.Root, "web"))
		}
		if text, err := os.ReadFile(shared + "/write/file"); string(text) != "it is written\n" {
			t.Errorf("it has written %q, %v", text, err)
		}
		if err := os.Remove(shared + "/write/file"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVolumesThatCannotBeAreRefused(t *testing.T) {
	w, shared := sharing(t)
	rw := func(source string) []mesh.Volume {
		return []mesh.Volume{{Name: "v", Source: source, Mode: mesh.ReadWrite}}
	}
	for _, name := range []string{"/pipe", "/lent"} {
		if err := syscall.Mkfifo(shared+name, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cfg := &w.Driver.(*Driver).cfg
	cfg.Volumes = append([]string{shared + "/lent"}, cfg.Volumes...)
	boxed := len(isolations(t)) == 3
	for name, tt := range map[string]struct {
		volumes []mesh.Volume
		sandbox bool
		want    string // part of the reason
	}{
		"not shared":            {rw("/usr/share"), false, `volume "v": "/usr/share" is in no folder that this node shares`},
		"missing":               {rw(shared + "/nothing"), false, "no such file or directory"},
		"no folder":             {rw(shared + "/read/file"), false, "is no folder"},
		"a pipe":                {rw(shared + "/pipe"), false, "is no folder"},
		"a pipe that is shared": {rw(shared + "/lent"), false, "not a directory"},
		"out":                   {rw(shared + "/out"), false, "path escapes from parent"},
		"absolute":              {rw(shared + "/absolute"), false, "path escapes from parent"},
		"the agent's":           {rw(w.Root), false, "has the agent's own data in it"},
		"around the agent's":    {rw(filepath.Dir(w.Root)), false, "has the agent's own data in it"},
		"in the agent's":        {rw(filepath.Join(w.Root, string(alloc))), true, "has the agent's own data in it"},
		"read of a plain one":   {[]mesh.Volume{{Name: "v", Source: shared + "/read"}}, false, "nothing keeps a plain process from writing"},
		"out of a sandbox":      {rw(shared + "/out"), true, "path escapes from parent"},
		"missing in a sandbox":  {rw(shared + "/nothing"), true, "no such file or directory"},
		"by a link that a task has made": {
			[]mesh.Volume{
				{Name: "a", Source: shared + "/write", Target: "/a", Mode: mesh.ReadWrite},
				{Name: "b", Source: shared + "/read", Target: "/a/link/mn-escaped"},
			},
			true, "path escapes from parent",
		},
	} {
		if tt.sandbox && !boxed {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := drivertest.Spec(strings.NewReplacer(" ", "-", "'", "").Replace(name), "exit 0")
			s.Volumes = tt.volumes
			if tt.sandbox {
				s.Isolation = mesh.IsolateSandbox
			}
			w.Start(s)
			if o := w.Next(); o.Kind != runner.StartFailed || !strings.Contains(o.Err, tt.want) {
				t.Errorf("observed %+v, want it refused: %s", o, tt.want)
			}
		})
	}
	if err := os.Remove("/opt/mn-escaped"); err == nil {
		t.Error("a folder was made where a task's link leads to")
	}
}

// A task may put a link to what the agent has in the place of a folder, at the last moment.
func TestVolumeThatIsSwappedForTheAgentsDataIsRefused(t *testing.T) {
	if len(isolations(t)) < 3 {
		t.Skip("there are no sandboxes here")
	}
	w, _ := sharing(t)
	d, k := w.Driver.(*Driver), key{alloc, "web"}
	top := filepath.Dir(w.Root)
	door := filepath.Join(top, "door")
	if err := os.Mkdir(door, 0o777); err != nil {
		t.Fatal(err)
	}
	s := drivertest.Spec("web", `exit 0`)
	s.Isolation = mesh.IsolateSandbox
	s.Volumes = []mesh.Volume{{Name: "v", Source: door, Target: "/v"}}
	spec, err := d.prepare(t.Context(), k, s)
	if err == nil {
		err = errors.Join(d.writeSpec(k, spec), os.Remove(door), os.Symlink(filepath.Base(w.Root), door))
	}
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = (&task{d: d, key: k, attempt: 1}).launch(spec)
	if err == nil || !strings.Contains(err.Error(), "has the agent's own data in it") {
		t.Errorf("it starts, or not for that: %v", err)
	}
}
