package daemon

import (
	"context"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/mesh/core"
)

// Files that jobs wait for are looked for again and again: that works on every file system, those of
// servers included, where nobody tells of what others have written.
const (
	appearEvery = 2 * time.Second
	// quietFor is for how long nobody has written to a file that has appeared.
	quietFor     = 2 * time.Second
	patternsMax  = 100    // of all jobs
	entriesMax   = 20_000 // of folders that are read in one look
	appearedMost = 1000   // files that are known to be there
)

// appearance is a file that was seen in the look before.
type appearance struct {
	size    int64
	changed time.Time
	told    bool
}

// appear tells the core of files that jobs wait for, as long as some do.
func (d *daemon) appear(ctx context.Context) {
	tick := time.NewTicker(appearEvery)
	defer tick.Stop()
	before := map[string]appearance{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var patterns []string
		if d.loop.look(ctx, func(c *core.Core) {
			if c.Wanted(mesh.FileAppeared) {
				patterns = c.Patterns(patternsMax)
			}
		}) != nil {
			continue
		}
		var fresh []core.Appeared
		before, fresh = appeared(patterns, before, time.Now())
		for _, f := range fresh {
			d.loop.tell(f)
		}
	}
}

// appeared looks at the files of some patterns: at those that are there, and of these, at those that
// are to be told.
func appeared(patterns []string, before map[string]appearance, now time.Time) (map[string]appearance, []core.Appeared) {
	there := map[string]appearance{}
	var fresh []core.Appeared
	left := entriesMax
	for _, pattern := range patterns {
		for _, name := range matching(pattern, &left) {
			info, err := os.Lstat(name)
			if _, known := there[name]; err != nil || known || !info.Mode().IsRegular() || len(there) >= appearedMost {
				continue
			}
			a := appearance{size: info.Size(), changed: info.ModTime()}
			was, known := before[name]
			same := known && was.size == a.size && was.changed.Equal(a.changed)
			a.told = same && was.told
			if same && !a.told && now.Sub(a.changed) >= quietFor {
				a.told = true
				fresh = append(fresh, core.Appeared{Path: name, Size: a.size, Changed: a.changed, At: cameAt(info)})
			}
			there[name] = a
		}
	}
	return there, fresh
}

// cameAt is when a file was written, or came to have its name: what was moved keeps the former.
func cameAt(info fs.FileInfo) time.Time {
	at := info.ModTime()
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		if c := time.Unix(s.Ctim.Unix()); c.After(at) {
			at = c
		}
	}
	return at
}

// matching are the names that match a pattern, by a bounded number of entries of folders. What a
// wildcard stands for is no link: a pattern is not led out of its folder.
func matching(pattern string, left *int) []string {
	names := []string{"/"}
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	for i, part := range parts {
		var next []string
		for _, dir := range names {
			if !strings.ContainsAny(part, `*?[\`) {
				next = append(next, path.Join(dir, part))
				continue
			}
			next = append(next, entriesOf(dir, part, i < len(parts)-1, left)...)
		}
		names = next
	}
	return names
}

// entriesOf are the entries of a folder that match a pattern: folders, or others.
func entriesOf(dir, pattern string, folders bool, left *int) []string {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	var names []string
	for *left > 0 {
		entries, err := f.ReadDir(min(*left, 256))
		*left -= len(entries)
		for _, e := range entries {
			if ok, bad := path.Match(pattern, e.Name()); ok && bad == nil && e.IsDir() == folders &&
				e.Type()&fs.ModeSymlink == 0 {
				names = append(names, path.Join(dir, e.Name()))
			}
		}
		if err != nil { // io.EOF at the end
			return names
		}
	}
	return names
}
