package exec

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // of what makes environments
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/runner"
	"mn/runner/supervise"
)

// To make an environment for Python is to run what whoever has written its packages wants run. So
// it is the task itself that does so, before it becomes its command: with its user, its limits and
// its sandbox. The agent only makes the folder in which environments are kept. Who may write
// there decides what others run who use it, so it is for the tasks of one user in one isolation,
// who could harm each other anyway; and those in sandboxes, who could not, share it within
// their job.

//go:embed python.py
var bootstrap string

// The bootstrap and what it is told are variables, which it takes away: who lists processes is to
// see a command.
const (
	setupVariable = "MN_PYTHON_SETUP="
	askedVariable = "MN_PYTHON_ASKED="
	setupStarter  = `import os; exec(os.environ.pop("MN_PYTHON_SETUP"))`
)

const (
	pythonDir  = ".python" // in the folder of allocations: no allocation has such a name
	pythonNote = mesh.PythonNote
	pythonExit = 70 // of the bootstrap, if there is no environment; the note says why

	askedMax = 120 << 10 // bytes, of the 128 KiB that the kernel has for a variable

	pythonCachesMax = 64
	pythonBytesMax  = 64 << 30 // of all folders of environments, but those in use
	pythonSizeEvery = 10 * time.Minute
	pythonIdleMax   = 14 * 24 * time.Hour // of a folder of environments that nobody has used
	pythonWordsMax  = 512
)

// environment is what the bootstrap is told.
type environment struct {
	Cache        string   `json:"cache"`
	Work         string   `json:"work"`
	Version      string   `json:"version"`
	Requirements string   `json:"requirements"`
	Packages     []string `json:"packages"`
	Local        string   `json:"local"` // what stands for the task's own files
	Timeout      int      `json:"timeout"`
	TimeoutText  string   `json:"timeout_text"`
	Failed       string   `json:"failed"`
	Exit         int      `json:"exit"`
}

// preparePython has a task make its environment before it becomes its command.
func (d *Driver) preparePython(k key, s runner.Spec, spec *supervise.Spec) error {
	p := s.Python
	if p == nil {
		return nil
	}
	cache, err := d.pythonCache(s, spec.User)
	if err != nil {
		return fmt.Errorf("make folder of python environments: %w", err)
	}
	work := filepath.Join(d.cfg.Root, runner.WorkDir(k.alloc, k.task))
	e := environment{
		Cache: filepath.Join(d.cfg.Root, cache), Work: work, Version: p.Version, Requirements: p.Requirements,
		Packages: append([]string{}, p.Packages...), Local: ownFiles(k, &s),
		Timeout: int(max(p.Setup(), time.Second) / time.Second), TimeoutText: mesh.Duration(p.Setup()).String(),
		Failed: filepath.Join(work, pythonNote), Exit: pythonExit,
	}
	var text bytes.Buffer
	encode := json.NewEncoder(&text)
	encode.SetEscapeHTML(false) // of "numpy>=2" each would be six
	if err := encode.Encode(e); err != nil {
		return fmt.Errorf("encode python environment: %w", err)
	}
	if text.Len() > askedMax {
		return fmt.Errorf("make python environment: what is asked for has %d bytes, more than %d: "+
			"put packages into a file of requirements", text.Len(), askedMax)
	}
	note := filepath.Join(runner.WorkDir(k.alloc, k.task), pythonNote)
	if err := d.removeAll(note); err != nil {
		return fmt.Errorf("remove what was said of a python environment: %w", err)
	}
	if spec.Sandbox != nil {
		spec.Sandbox.Writable = append(spec.Sandbox.Writable, e.Cache)
	}
	spec.Env = append(slices.Clip(spec.Env), setupVariable+bootstrap, askedVariable+text.String())
	spec.Command = append([]string{"python3", "-I", "-c", setupStarter}, spec.Command...)
	return nil
}

// ownFiles stands for the files that a task starts with: an environment that was made of some of
// them is for those that have the same.
func ownFiles(k key, s *runner.Spec) string {
	sum := sha256.New()
	if s.Payload != nil {
		fmt.Fprintln(sum, s.Payload.Tree)
	}
	for i := range s.Artifacts {
		a := &s.Artifacts[i]
		fmt.Fprintf(sum, "%x %q %q\n", a.Name(), a.Place(), a.Unpack)
		if !a.Pinned() {
			fmt.Fprintln(sum, k) // nobody else has it
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// pythonCache makes the folder of a task's environments, which it shares with those who could
// write to them anyway.
func (d *Driver) pythonCache(s runner.Spec, u *supervise.User) (string, error) {
	who := fmt.Sprintf("%d-none", os.Geteuid())
	if u != nil {
		who = fmt.Sprintf("%d-none", u.UID)
	}
	switch s.Isolation {
	case mesh.IsolateSandbox:
		job := sha256.Sum256([]byte(s.Job))
		who = strings.Replace(who, "none", "sandbox-"+hex.EncodeToString(job[:8]), 1)
	case mesh.IsolateCgroup:
		who = strings.Replace(who, "none", "cgroup", 1)
	}
	dir := filepath.Join(pythonDir, who)
	if err := d.root.Mkdir(pythonDir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := d.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if u != nil {
		if err := d.root.Lchown(dir, int(u.UID), int(u.GID)); err != nil {
			return "", err
		}
	}
	now := time.Now() // somebody uses it
	return dir, d.root.Chtimes(dir, now, now)
}

// pythonFailed says why there was no environment for an attempt that ended with pythonExit, or "".
// What has been written is the task's: it may be anything.
func (d *Driver) pythonFailed(k key) string {
	spec, err := d.readSpec(k)
	if err != nil || len(spec.Command) < 4 || spec.Command[3] != setupStarter {
		return ""
	}
	name := filepath.Join(runner.WorkDir(k.alloc, k.task), pythonNote)
	info, err := d.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	is, err := f.Stat()
	if err != nil || !os.SameFile(info, is) || is.Sys().(*syscall.Stat_t).Nlink != 1 {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(f, pythonWordsMax))
	words := strings.Fields(strings.ToValidUTF8(strings.Map(shown, string(text)), "?"))
	return "no python environment: " + strings.Join(words, " ")
}

// shown is a character as people may see it.
func shown(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// sweepPython removes folders of environments that were not used for long, and the oldest where
// there are too many, or they hold too much; none that a task has which runs. To find out how much they
// hold takes a while, so that is done now and then.
func (d *Driver) sweepPython() error {
	entries, err := fs.ReadDir(d.root.FS(), pythonDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list python environments: %w", err)
	}
	used := d.pythonUsed()
	type cache struct {
		dir  string
		last time.Time
	}
	var all []cache
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			all = append(all, cache{filepath.Join(pythonDir, e.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b cache) int { return b.last.Compare(a.last) })
	sized := time.Since(d.pythonSized) > pythonSizeEvery
	if sized {
		d.pythonSized = time.Now()
	}
	var failed error
	var bytes int64
	for i, c := range all {
		if sized && bytes <= d.pythonBytes {
			bytes += d.size(c.dir)
		}
		if used[filepath.Join(d.cfg.Root, c.dir)] ||
			i < pythonCachesMax && time.Since(c.last) < pythonIdleMax && bytes <= d.pythonBytes {
			continue
		}
		failed = errors.Join(failed, d.removeAll(c.dir))
	}
	return failed
}

// pythonUsed are the folders of environments of the tasks in hand.
func (d *Driver) pythonUsed() map[string]bool {
	used := map[string]bool{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range d.tasks {
		spec, err := d.readSpec(k)
		if err != nil {
			continue
		}
		for _, v := range spec.Env {
			var e environment
			if text, ok := strings.CutPrefix(v, askedVariable); ok && json.Unmarshal([]byte(text), &e) == nil {
				used[e.Cache] = true
			}
		}
	}
	return used
}
