package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Claim is a folder of one run, with its owner written in it. Everything of
// the run that has a name is in it, or has its name.
type Claim struct {
	Dir  string
	Name string // of the folder, which no other run has
}

// What is in the folder of a claim.
const (
	ownerFile = "owner" // its process: pid and when that started
	keptFile  = "kept"  // somebody wants to look at it
)

// NewClaim makes a folder for a run, below the one for temporary files.
func NewClaim(prefix string) (*Claim, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the lab: %w", err)
	}
	owner, err := startOf(os.Getpid())
	if err == nil {
		owner = fmt.Sprintf("%d %s\n", os.Getpid(), owner)
		err = os.WriteFile(filepath.Join(dir, ownerFile), []byte(owner), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("claim %q: %w", dir, err), os.RemoveAll(dir))
	}
	return &Claim{Dir: dir, Name: filepath.Base(dir)}, nil
}

// Keep has the folder stay, for someone to look at.
func (c *Claim) Keep() error {
	if err := os.WriteFile(filepath.Join(c.Dir, keptFile), nil, 0o600); err != nil {
		return fmt.Errorf("keep %q: %w", c.Dir, err)
	}
	return nil
}

// Close removes all that is left of the run. Its processes must have ended.
func (c *Claim) Close() error { return remove(c.Dir) }

// Sweep clears away what is left of runs whose owners are dead. What ends the
// processes of a folder is handed in.
func Sweep(prefix string, end func(dir string) error) error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return fmt.Errorf("look for old runs: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		if owned(dir) {
			continue
		}
		errs = append(errs, end(dir))
		if _, err := os.Stat(filepath.Join(dir, keptFile)); err == nil {
			errs = append(errs, unmountAll(dir, ""), removeGroups(filepath.Base(dir)))
			continue
		}
		errs = append(errs, remove(dir))
	}
	return errors.Join(errs...)
}

// owned says whether the owner of a folder lives, or is not known: then it is
// somebody else's.
func owned(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, ownerFile))
	if err != nil {
		return true
	}
	pid, start, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	number, err := strconv.Atoi(pid)
	if !ok || err != nil {
		return true
	}
	now, err := startOf(number)
	return err == nil && now == start
}

// startOf tells the bearers of a pid apart: when the process started, in ticks.
func startOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("read process %d: %w", pid, err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("read process %d: %q is no status", pid, text)
	}
	return string(fields[19]), nil
}

// remove removes a folder with all that is mounted in it, and its cgroups.
func remove(dir string) error {
	if err := errors.Join(unmountAll(dir, ""), removeGroups(filepath.Base(dir))); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %q: %w", dir, err)
	}
	return nil
}

// unmountAll takes away what is mounted below a folder, the latest first, as far
// as the calling thread sees it; but for one mount.
func unmountAll(dir, but string) error {
	all, err := mounts()
	if err != nil {
		return err
	}
	slices.Reverse(all)
	for _, m := range all {
		if m.at == but || !strings.HasPrefix(m.at, dir+"/") {
			continue
		}
		if err := unix.Unmount(m.at, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %q: %w", m.at, err)
		}
	}
	return nil
}

// mounted is a device at a folder.
type mounted struct{ device, at string }

// mounts are all that the calling thread sees.
func mounts() ([]mounted, error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var all []mounted
	for line := range strings.Lines(string(text)) {
		// "36 35 98:0 / /at rw master:1 - ext4 /dev/loop0 rw"
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if len(f) > 4 && len(g) > 1 {
			all = append(all, mounted{g[1], f[4]})
		}
	}
	return all, nil
}

// deviceAt is what is mounted at a folder.
func deviceAt(dir string) (string, error) {
	all, err := mounts()
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(m mounted) bool { return m.at == dir })
	if i < 0 {
		return "", fmt.Errorf("find the device at %q: nothing is mounted there", dir)
	}
	return all[i].device, nil
}

// removeGroups removes the cgroups that begin with a run's name.
func removeGroups(name string) error {
	dirs, err := filepath.Glob(filepath.Join(cgroups, "*", name+"*"))
	if err != nil {
		return fmt.Errorf("look for cgroups: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, (&Group{dir}).Close())
	}
	return errors.Join(errs...)
}

// numbers are those in a text, one a line.
func numbers(text []byte) []int {
	var all []int
	for field := range bytes.FieldsSeq(text) {
		if n, err := strconv.Atoi(string(field)); err == nil {
			all = append(all, n)
		}
	}
	return all
}
