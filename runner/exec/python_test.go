package exec

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
	"mn/runner/supervise"
)

// asking is a task with an environment, whose folders are made.
func asking(t *testing.T) (*Driver, runner.Spec, key, string) {
	t.Helper()
	open, root := keeping(t, &shelf{})
	d := open()
	s := drivertest.Spec("web", `echo "$VIRTUAL_ENV"; command -v python; exit 0`)
	s.Python = &mesh.Python{}
	k := key{s.Alloc, s.Task}
	if err := d.makeFolders(k, nil); err != nil {
		t.Fatal(err)
	}
	return d, s, k, root
}

// Who can write to an environment decides what others run in it.
func TestEnvironmentsAreSharedByThoseWhoCouldHarmEachOther(t *testing.T) {
	d, s, _, _ := asking(t)
	seen := map[string]string{}
	for name, of := range map[string]struct {
		job  mesh.JobID
		i    mesh.Isolation
		user uint32
	}{
		"plain": {"a", "", 1}, "another user's": {"a", "", 2}, "cgroup": {"a", mesh.IsolateCgroup, 1},
		"sandbox": {"a", mesh.IsolateSandbox, 1}, "another job's sandbox": {"b", mesh.IsolateSandbox, 1},
	} {
		s.Job, s.Isolation = of.job, of.i
		u := &supervise.User{UID: of.user, GID: of.user}
		if os.Geteuid() != 0 {
			u = nil
		}
		dir, err := d.pythonCache(s, u)
		if err != nil {
			t.Fatal(err)
		}
		if other := seen[dir]; other != "" && u != nil {
			t.Errorf("%s has that of %s", name, other)
		}
		seen[dir] = name
		if info, err := d.root.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	s.Job, s.Isolation = "b", ""
	if dir, err := d.pythonCache(s, nil); err != nil || dir != filepath.Join(pythonDir, "0-none") && os.Geteuid() == 0 {
		t.Errorf("got %q, %v", dir, err)
	}
}

func TestWhatAnEnvironmentMadeOfFilesIsFor(t *testing.T) {
	a, b := drivertest.Spec("web", "x"), drivertest.Spec("web", "y")
	k, o := key{"a", "web"}, key{"b", "web"}
	a.Payload, b.Payload = &mesh.Payload{Tree: "1"}, &mesh.Payload{Tree: "1"}
	if ownFiles(k, &a) != ownFiles(o, &b) {
		t.Error("the same files are two")
	}
	b.Payload.Tree = "2"
	if ownFiles(k, &a) == ownFiles(o, &b) {
		t.Error("other files are the same")
	}
	a.Artifacts = []mesh.Artifact{artifactOf("https://host/x", "")}
	if ownFiles(k, &a) == ownFiles(o, &a) {
		t.Error("what nobody has a checksum of is the same in two copies")
	}
}

// What a task has left is no way to what is not its own.
func TestWhyThereIsNoEnvironmentIsATasksOwnWord(t *testing.T) {
	d, s, k, root := asking(t)
	spec := supervise.Spec{Attempt: 1}
	if err := d.preparePython(k, s, &spec); err != nil {
		t.Fatal(err)
	}
	if err := d.writeSpec(k, spec); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(root, runner.WorkDir(k.alloc, k.task), pythonNote)
	secret := filepath.Join(root, "secret")
	for want, leave := range map[string]func() error{
		"": func() error { return nil },
		"no python environment: it is late": func() error {
			return os.WriteFile(note, []byte("it\x1b is\n late"), 0o600)
		},
		" ":   func() error { return os.Symlink(secret, note) },
		"  ":  func() error { return os.Link(secret, note) },
		"   ": func() error { return syscall.Mkfifo(note, 0o600) },
	} {
		if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(note)
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		if got := d.pythonFailed(k); got != strings.TrimSpace(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	spec.Command = []string{"sh"}
	if err := d.writeSpec(k, spec); err != nil {
		t.Fatal(err)
	}
	os.Remove(note)
	if err := os.WriteFile(note, []byte("lie"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.pythonFailed(k); got != "" {
		t.Errorf("a task without any says %q", got)
	}
}

// Folders of environments go when nobody has used them for long, and stay while a task runs.
func TestUnusedEnvironmentsGo(t *testing.T) {
	d, s, k, root := asking(t)
	spec := supervise.Spec{Attempt: 1}
	if err := d.preparePython(k, s, &spec); err != nil {
		t.Fatal(err)
	}
	if err := d.writeSpec(k, spec); err != nil {
		t.Fatal(err)
	}
	used, err := d.pythonCache(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * pythonIdleMax)
	for _, dir := range []string{used, filepath.Join(pythonDir, "7-none"), filepath.Join(pythonDir, "8-none")} {
		if err := os.MkdirAll(filepath.Join(root, dir, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		if dir != filepath.Join(pythonDir, "8-none") {
			if err := d.root.Chtimes(dir, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.mu.Lock()
	d.tasks[k] = &task{d: d, key: k}
	d.mu.Unlock()
	if err := d.sweepPython(); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	delete(d.tasks, k)
	d.mu.Unlock()
	left, err := os.ReadDir(filepath.Join(root, pythonDir))
	if err != nil || len(left) != 2 || left[1].Name() != "8-none" {
		t.Errorf("left are %v, %v", left, err)
	}
}

// A task with an environment runs in it, at each attempt in the same.
func TestATaskRunsInItsEnvironment(t *testing.T) {
	t.Parallel() // it takes long
	d, s, _, root := asking(t)
	for s.Attempt = 1; s.Attempt <= 2; s.Attempt++ {
		d.Start(s)
		next(t, d, runner.Started)
		if o := next(t, d, runner.Exited); o.ExitCode != 0 {
			t.Fatalf("observed %+v, and it has said %q", o, lines(t, root, "web"))
		}
	}
	var said []string
	for _, l := range lines(t, root, "web") {
		if !strings.HasPrefix(l, "mn: ") {
			said = append(said, l)
		}
	}
	if len(said) != 4 || !strings.HasPrefix(said[0], filepath.Join(root, pythonDir)) || said[0] != said[2] ||
		said[1] != said[0]+"/bin/python" {
		t.Errorf("it has said %q", said)
	}
}

// The agent removes the oldest where all together hold too much.
func TestEnvironmentsHoldNoMoreThanTheyMay(t *testing.T) {
	d, _, _, root := asking(t)
	d.pythonBytes = 2500
	for i, name := range []string{"1-none", "2-none", "3-none"} {
		dir := filepath.Join(root, pythonDir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x"), make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		if err := os.Chtimes(dir, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.sweepPython(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(root, pythonDir)); err != nil || len(left) != 2 || left[1].Name() != "2-none" {
		t.Errorf("left are %v, %v", left, err)
	}
}

// environments are the names in the folder of a task's environments.
func environments(t *testing.T, root string) (names []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, pythonDir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range found {
		names = append(names, filepath.Base(name))
	}
	return names
}

// quick has a task find a uv that makes environments at once, and installs nothing.
func quick(t *testing.T, s *runner.Spec) {
	t.Helper()
	dir := t.TempDir()
	const uv = `#!/bin/sh
for env; do :; done
[ "$1" = venv ] && mkdir -p "$env/bin" && ln -s "$(command -v python3)" "$env/bin/python"
`
	if err := os.WriteFile(filepath.Join(dir, "uv"), []byte(uv), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Env = append(slices.Clip(s.Env), "PATH="+dir+":"+os.Getenv("PATH"))
}

// What has failed leaves nothing, and what was killed is removed by the next who builds anything.
func TestHalfBuiltEnvironmentsGo(t *testing.T) {
	d, s, k, root := asking(t)
	quick(t, &s)
	s.Python.Packages = []string{"./nothing-here"}
	d.Start(s)
	next(t, d, runner.Started)
	if o := next(t, d, runner.Exited); o.ExitCode != pythonExit {
		t.Fatalf("observed %+v", o)
	}
	for _, name := range environments(t, root) {
		if !strings.HasSuffix(name, ".lock") {
			t.Errorf("left is %s", name)
		}
	}
	dir, err := d.pythonCache(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead := strings.Repeat("0", 32)
	if err := os.MkdirAll(filepath.Join(root, dir, dead+"-00000000", "lib"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dead+"-11111111", filepath.Join(root, dir, dead)); err != nil {
		t.Fatal(err)
	}
	failed := environments(t, root)
	s.Attempt, s.Python.Packages = 2, nil
	d.Start(s)
	next(t, d, runner.Started)
	if o := next(t, d, runner.Exited); o.ExitCode != 0 {
		t.Fatalf("observed %+v, and it has said %q", o, lines(t, root, k.task))
	}
	for _, name := range environments(t, root) {
		if strings.HasPrefix(name, dead) || slices.Contains(failed, name) {
			t.Errorf("left is %s", name)
		}
	}
}

// Installers read variables, and so what they install is for those who have the same.
func TestEnvironmentsAreOfWhatInstallersAreTold(t *testing.T) {
	d, s, _, root := asking(t)
	quick(t, &s)
	base := s.Env
	for i, v := range []string{"PIP_NO_INDEX=0", "PIP_NO_INDEX=1", "UV_X=1", "PIP_NO_INDEX=0"} {
		s.Attempt, s.Env = i+1, append(slices.Clip(base), v)
		d.Start(s)
		next(t, d, runner.Started)
		next(t, d, runner.Exited)
	}
	built := 0
	for _, name := range environments(t, root) {
		if strings.Contains(name, "-") {
			built++
		}
	}
	if built != 3 {
		t.Errorf("%d environments: %q", built, environments(t, root))
	}
}

// An environment that is made of a task's own files is for those who have the same.
func TestWhichRequirementsAreFilesOfTheTask(t *testing.T) {
	functions, _, ok := strings.Cut(bootstrap, "\ntry:\n    main()")
	if !ok {
		t.Fatal("the bootstrap ends in another way")
	}
	for line, want := range map[string]string{
		"numpy>=2": "False", "mine.whl": "True", "mine-1.0.tar.gz": "True", "mine.zip[extra]": "True", "x.tgz ; python_version>'3'": "True",
		"a.b.c==1.zipped": "False", "./mine": "True", "-r more.txt": "True", "--index-url https://host/x": "False",
	} {
		cmd := exec.Command("python3", "-I", "-c", functions+"\nprint(local(sys.argv[1].encode()))", line)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), `MN_PYTHON_ASKED={"cache": "/", "work": "/", "packages": []}`}
		if got, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: got %s, %v, want %s", line, got, err, want)
		}
	}
}
