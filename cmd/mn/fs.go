package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
	"mn/runner/files"
)

func (c *command) fsCommand() *cobra.Command {
	return group("fs", "See the files of copies, and take them home", c.fsList(), c.fsCat(), c.fsCopy())
}

// placeHelp says how files are named.
const placeHelp = `PATH is below the task's own folder, in which it starts; with --shared, below the
folder that the tasks of a copy share. TASK may be left out if a copy has only one.
Without --index or --alloc it is the first copy that runs, or else the last that has
run, as long as its node keeps its files.`

// placeFlags say which files are meant.
type placeFlags struct {
	copyFlags
	shared bool
}

func (c *command) placeFlags(cmd *cobra.Command, f *placeFlags) {
	c.copyFlags(cmd, &f.copyFlags)
	cmd.Flags().BoolVar(&f.shared, "shared", false, "the folder that the tasks of a copy share")
}

// request is what is asked for by JOB[/TASK][:PATH].
func (f *placeFlags) request(place string) api.FilesRequest {
	who, name, _ := strings.Cut(place, ":")
	job, task, _ := strings.Cut(who, "/")
	return api.FilesRequest{
		Job: mesh.JobID(job), Task: task, Alloc: mesh.AllocID(f.alloc), Index: f.index, Path: name, Shared: f.shared,
	}
}

func (c *command) fsList() *cobra.Command {
	var place placeFlags
	cmd := &cobra.Command{
		Use:               "ls JOB[/TASK][:PATH]",
		Short:             "List a folder of a copy, from any peer",
		Long:              "List what is in a folder of a copy, wherever that is.\n\n" + placeHelp,
		Example:           "  mn fs ls train\n  mn fs ls shop/web:static --index 1",
		Args:              needs("JOB[/TASK][:PATH]"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			l, err := client.Files(cmd.Context(), place.request(args[0]))
			if err != nil {
				return err
			}
			if l.More {
				c.say("there are more than %d: only so many are listed", len(l.Files))
			}
			return c.result(l.Files, func() { c.table(fileTable(l.Files)) })
		}),
	}
	c.placeFlags(cmd, &place)
	return cmd
}

// fileTable lists files.
func fileTable(list []mesh.File) *table {
	b := newTable("KIND", "MODE", "SIZE", "CHANGED", "NAME")
	for _, f := range list {
		size, name := "", files.Shown(f.Name)
		switch f.Kind {
		case mesh.RegularFile:
			size = fmt.Sprint(mesh.Bytes(f.Size))
		case mesh.FileFolder:
			name += "/"
		case mesh.FileLink:
			name += " -> " + files.Shown(f.Link)
		}
		b.add(files.Shown(string(f.Kind)), files.Shown(f.Mode), size, ago(&f.Time), name)
	}
	return b
}

func (c *command) fsCat() *cobra.Command {
	var place placeFlags
	cmd := &cobra.Command{
		Use:   "cat JOB[/TASK]:PATH",
		Short: "Print a file of a copy, from any peer",
		Long: `Print a file of a copy, wherever that is: what it has when it is opened. A task
that writes meanwhile neither prolongs nor breaks it.

` + placeHelp,
		Example:           "  mn fs cat train:metrics.json\n  mn fs cat shop/web:conf/site.conf --index 1",
		Args:              needs("JOB[/TASK]:PATH"),
		ValidArgsFunction: c.complete(jobNames),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			from, err := client.ReadFiles(cmd.Context(), place.request(args[0]))
			if err != nil {
				return err
			}
			defer from.Close()
			return interrupted(cmd.Context(), files.Print(from, c.out))
		}),
	}
	c.placeFlags(cmd, &place)
	return cmd
}

// interrupted is an error, or that of a context that has ended meanwhile.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// copied is what has come of a copy.
type copied struct {
	To    string       `json:"to"`
	Files int          `json:"files"` // and folders and links
	Bytes int64        `json:"bytes"`
	Left  mesh.LeftOut `json:"left_out"`
}

func (c *command) fsCopy() *cobra.Command {
	var place placeFlags
	cmd := &cobra.Command{
		Use:   "cp FROM TO",
		Short: "Copy a file or a folder from a copy to this machine, or to a copy, by any peer",
		Long: `Copy a file or a folder, with all that is in it, from a copy to this machine, or
from this machine to a copy. FROM or TO is a place in a copy, JOB[/TASK]:PATH, and
the other one a path here; one with a colon in its name begins with ./ or a slash.
If TO is a folder it comes to lie in that, under its own name. It is there when all
has come, and not before; a file that is there is replaced, a folder is not.

What comes to a copy is its task's, which may write to it. A copy that has ended
takes nothing.

Links are copied if they lead to what is copied with them. What else is no file and
no folder is left out, and named.

` + placeHelp,
		Example: "  mn fs cp train:checkpoints .\n  mn fs cp shop/web:access.log /tmp/web.log --index 1\n" +
			"  mn fs cp site.conf shop/web:conf/site.conf",
		Args:              needs("FROM", "TO"),
		ValidArgsFunction: c.completeCopy(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			done, err := c.copyFiles(cmd.Context(), client, &place, args[0], args[1])
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			for _, l := range done.Left.Names {
				c.say("left out: %s", l)
			}
			if more := done.Left.Count - len(done.Left.Names); more > 0 {
				c.say("left out: %d more", more)
			}
			return c.result(done, func() {
				what := ""
				if done.Files > 1 {
					what = fmt.Sprintf("%d files and folders, ", done.Files)
				}
				c.printf("%s: %s%v\n", files.Shown(done.To), what, mesh.Bytes(done.Bytes))
			})
		}),
	}
	c.placeFlags(cmd, &place)
	return cmd
}

// completeCopy completes what is copied by names of jobs, and where to by files, or the other
// way round.
func (c *command) completeCopy() completion {
	jobs := c.complete(jobNames)
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 && inCopy(args[0]) {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return jobs(cmd, args, typed)
	}
}

// inCopy says whether an argument names a place in a copy: all others are paths here.
func inCopy(arg string) bool {
	who, _, is := strings.Cut(arg, ":")
	job, task, named := strings.Cut(who, "/")
	return is && mesh.ValidName(job) && (!named || mesh.ValidName(task))
}

// copyFiles copies in the one direction or the other.
func (c *command) copyFiles(
	ctx context.Context, client *api.Client, place *placeFlags, from, to string,
) (done copied, err error) {
	switch {
	case inCopy(from) && inCopy(to):
		return done, mesh.Faultf(mesh.Invalid, "%s and %s are both in copies: one has to be here", from, to).
			Hint("mn fs cp %s . takes it home first", from)
	case inCopy(to):
		return c.giveTo(ctx, client, place.request(to), from)
	case !inCopy(from):
		return done, mesh.Faultf(mesh.Invalid, "neither %q nor %q is a place in a copy, which is JOB[/TASK]:PATH",
			from, to)
	}
	r := place.request(from)
	dir, name, err := targetOf(to, r)
	if err != nil {
		return done, err
	}
	return c.takeHome(ctx, client, r, dir, name)
}

// giveTo sends a file or a folder of this machine to a copy.
func (c *command) giveTo(
	ctx context.Context, client *api.Client, r api.FilesRequest, local string,
) (done copied, err error) {
	real, err := filepath.Abs(local)
	if err == nil {
		r.Base = filepath.Base(real) // of a link, its own name
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return done, mesh.Faultf(mesh.NotFound, "copy %q: %v", local, err)
	}
	dir, name := filepath.Split(real)
	if name == "" {
		return done, mesh.Faultf(mesh.Invalid, "copy %q: that is the whole file system", local)
	}
	folder, err := files.Open(dir, ".")
	if err != nil {
		return done, err
	}
	defer folder.Close()
	p := meter{command: c, shown: terminalOf(c.err) != nil, last: time.Now()}
	defer p.clear()
	out, in := io.Pipe()
	sent := make(chan error, 1)
	go func() { // it waits until somebody reads
		err := folder.Send(ctx, name, &metered{in, &p, r.Base})
		in.CloseWithError(err)
		sent <- err
	}()
	arrived, err := client.SendFiles(ctx, r, out)
	out.Close()
	if failed := <-sent; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		return done, failed
	}
	if err != nil {
		return done, err
	}
	who := string(r.Job)
	if r.Task != "" {
		who += "/" + r.Task
	}
	return copied{who + ":" + arrived.Path, arrived.Files, arrived.Bytes, arrived.Left}, nil
}

// targetOf says where what is asked for comes to lie.
func targetOf(local string, r api.FilesRequest) (dir, name string, err error) {
	if info, err := os.Stat(local); err == nil && info.IsDir() {
		name := path.Base(path.Clean("/" + r.Path))
		if name == "/" {
			name = string(r.Job)
		}
		return local, name, nil
	}
	dir, name = filepath.Split(filepath.Clean(local))
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() || strings.HasSuffix(local, "/") {
		return "", "", mesh.Faultf(mesh.NotFound, "copy to %q: there is no such folder", local)
	}
	return dir, name, nil
}

// takeHome takes what is asked for into a folder beside its place, and puts it there when
// all has come.
func (c *command) takeHome(
	ctx context.Context, client *api.Client, r api.FilesRequest, dir, name string,
) (done copied, err error) {
	done.To = filepath.Join(dir, name)
	before, err := os.Lstat(done.To)
	if err == nil && before.IsDir() {
		return done, mesh.Faultf(mesh.Conflict, "the folder %q is there already", done.To).
			Hint("remove it, or copy to somewhere else")
	}
	from, err := client.ReadFiles(ctx, r)
	if err != nil {
		return done, err
	}
	defer from.Close()
	beside := filepath.Join(dir, ".mn-cp-"+rand.Text())
	if err := os.Mkdir(beside, 0o700); err != nil {
		return done, fmt.Errorf("copy to %q: %w", done.To, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(beside)) }()
	into, err := os.OpenRoot(beside)
	if err != nil {
		return done, fmt.Errorf("copy to %q: %w", done.To, err)
	}
	defer into.Close()
	p := meter{command: c, shown: terminalOf(c.err) != nil, last: time.Now()}
	done.Left, err = files.Receive(from, into, name, p.tell)
	p.clear()
	if err != nil {
		return done, err
	}
	done.Files, done.Bytes = p.files, p.bytes
	err = os.Rename(filepath.Join(beside, name), done.To)
	if errors.Is(err, fs.ErrExist) || before != nil && err != nil {
		return done, mesh.Faultf(mesh.Conflict, "%q is there already, and cannot be replaced: %v", done.To, err).
			Hint("remove it, or copy to somewhere else")
	}
	if err == nil {
		err = syncFolder(dir) // so that its name stays, too
	}
	return done, err
}

// syncFolder returns when the names in a folder stay.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// meterEvery is how often somebody who waits hears how far it has got.
const meterEvery = 500 * time.Millisecond

// meter tells how far a copy has got.
type meter struct {
	*command
	shown bool // somebody waits at a terminal
	last  time.Time
	said  bool
	files int
	bytes int64
}

func (p *meter) tell(count int, bytes int64, now mesh.File) {
	p.files, p.bytes = count, bytes
	if !p.shown || time.Since(p.last) < meterEvery {
		return
	}
	p.last, p.said = time.Now(), true
	name := files.Shown(path.Base(now.Name))
	of := ""
	if count > 0 {
		of = mesh.Counted(count, "file, ", "files, ")
	}
	fmt.Fprintf(direct(p.err), "\r\x1b[Kmn: %s%v: %s", of, mesh.Bytes(bytes), name)
}

// metered tells of what is written.
type metered struct {
	to    io.Writer
	meter *meter
	name  string
}

func (m *metered) Write(b []byte) (int, error) {
	n, err := m.to.Write(b)
	m.meter.tell(0, m.meter.bytes+int64(n), mesh.File{Name: m.name})
	return n, err
}

// clear takes away what was said.
func (p *meter) clear() {
	if p.said {
		fmt.Fprint(direct(p.err), "\r\x1b[K")
	}
}
