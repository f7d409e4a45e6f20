package exec

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Owns says whether a process belongs to a task of this driver: it, or who has started it,
// was told its folder.
func (d *Driver) Owns(pid int) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false // it is gone, or not for us to see
	}
	ours := []byte(mark(d.cfg.Root + string(filepath.Separator)))
	return slices.ContainsFunc(bytes.Split(environ, []byte{0}), func(v []byte) bool { return bytes.HasPrefix(v, ours) })
}
