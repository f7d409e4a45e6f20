package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/core"
	"mn/mesh/transport"
	"mn/runner"
	"mn/runner/logs"
)

// Bounds of reading logs.
const (
	logReadersMax = 4096 // tasks that one request reads
	logQueue      = 64   // lines that wait for the caller
)

// Logs sends the lines of a job's tasks: those here from their files, others
// from the nodes that have them.
func (b *backend) Logs(ctx context.Context, r api.LogsRequest, send func(api.LogLine) error) error {
	var view *mesh.View
	if err := b.loop.look(ctx, func(c *core.Core) { view = c.View() }); err != nil {
		return err
	}
	job := view.Job(r.Job)
	if job == nil {
		return noJob(r.Job)
	}
	if r.Task != "" && !hasTask(view, r) {
		return mesh.Faultf(mesh.NotFound, "job %q has no task %q", r.Job, r.Task).Hint("mn job status %s", r.Job)
	}
	is := func(a mesh.AllocView) bool { return a.ID == r.Alloc }
	if r.Alloc != "" && !slices.ContainsFunc(view.AllocsOf(r.Job), is) {
		return mesh.Faultf(mesh.NotFound, "job %q has no allocation %q", r.Job, r.Alloc).Hint("mn job status %s", r.Job)
	}
	from, err := api.ParseLogPlaces(r.From)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &logMerge{
		b: b, r: r, from: from, lines: make(chan api.LogLine, logQueue), again: make(chan struct{}, 1),
		tasks: map[string]bool{}, remotes: map[mesh.NodeID]*remote{},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx, view)
	}()
	defer func() { cancel(); <-ended }()
	for {
		select {
		case line := <-l.lines:
			if err := send(line); err != nil {
				return err
			}
		case <-ended:
			for {
				select {
				case line := <-l.lines:
					if err := send(line); err != nil {
						return err
					}
				default:
					return nil
				}
			}
		}
	}
}

func hasTask(view *mesh.View, r api.LogsRequest) bool {
	for _, t := range view.Job(r.Job).Job.Tasks {
		if t.Name == r.Task {
			return true
		}
	}
	for _, a := range view.AllocsOf(r.Job) {
		for _, t := range taskNames(view, &a) {
			if t == r.Task {
				return true
			}
		}
	}
	return false
}

// taskNames are the tasks of an allocation: as its node reports them, else as
// the job has them.
func taskNames(view *mesh.View, a *mesh.AllocView) []string {
	var names []string
	if a.Status != nil {
		for _, t := range a.Status.Tasks {
			names = append(names, t.Name)
		}
		return names
	}
	if job := view.Job(a.Job); job != nil {
		g, _ := job.Job.Group(a.Group)
		for _, t := range g.Tasks {
			names = append(names, t.Name)
		}
	}
	return names
}

// logMerge reads many logs at once.
type logMerge struct {
	b       *backend
	r       api.LogsRequest
	from    api.LogPlaces // where streams here go on
	lines   chan api.LogLine
	again   chan struct{}   // holds 1: a node may be asked again
	tasks   map[string]bool // of this node, that have a reader
	remotes map[mesh.NodeID]*remote
	later   bool // what appears now began after we did: all of it is new
	// sources are those of what is not followed, of which lines come by time; nil if they
	// come as they are read.
	sources map[string]*logSource
	wg      sync.WaitGroup
}

// run reads what there is; if it follows, also what comes, until ctx ends.
func (l *logMerge) run(ctx context.Context, view *mesh.View) {
	defer l.wg.Wait()
	if !l.r.Follow {
		l.findSources(view)
		l.start(ctx, view)
		l.byTime(ctx, view)
		return
	}
	for {
		change := l.b.loop.change()
		l.start(ctx, view)
		l.later = true
		select {
		case <-ctx.Done():
			return
		case <-change:
		case <-l.again:
		}
		if err := l.b.loop.look(ctx, func(c *core.Core) { view = c.View() }); err != nil {
			return
		}
	}
}

// start begins to read what has no reader yet.
func (l *logMerge) start(ctx context.Context, view *mesh.View) {
	for _, a := range view.AllocsOf(l.r.Job) {
		if l.r.Alloc != "" && a.ID != l.r.Alloc {
			continue
		}
		if a.Node != l.b.self.ID {
			if !l.r.Local {
				l.startRemote(ctx, view, a.Node)
			}
			continue
		}
		for _, task := range taskNames(view, &a) {
			if l.r.Task == "" || l.r.Task == task {
				l.startLocal(ctx, view, &a, task)
			}
		}
	}
}

// tail is how many lines of what appears now are wanted.
func (l *logMerge) tail() int {
	if l.later {
		return -1
	}
	return l.r.Tail
}

// startLocal reads the log of a task on this node.
func (l *logMerge) startLocal(ctx context.Context, view *mesh.View, a *mesh.AllocView, task string) {
	key := taskKey(a.ID, task)
	if l.tasks[key] || len(l.tasks) >= logReadersMax {
		return
	}
	l.tasks[key] = true
	dir := filepath.Join(l.b.allocs(), runner.LogDir(a.ID, task))
	q := logs.Query{Tail: l.tail(), Since: l.r.Since, Times: l.r.Times || !l.r.Follow, Follow: l.r.Follow}
	if q.Follow {
		q.Done = l.b.ended(ctx, a.ID)
	}
	line := api.LogLine{Alloc: a.ID, Task: task, Index: a.Index, Node: l.b.self.Name, NodeID: l.b.self.ID}
	l.places(ctx, &q, line)
	ends := swept(a, task, dir)
	l.read(key, func() {
		if len(ends) > 0 {
			l.sendLeft(ctx, view, line, "its folder was given up for newer ones", ends)
			return
		}
		err := logs.Read(ctx, dir, q, func(raw logs.Line) error {
			line.Stream, line.Line, line.At, line.Place = raw.Stream, raw.Text, raw.At, ""
			if l.r.Places && raw.Stream != logs.Notice {
				line.Place = raw.Next.String()
			}
			return l.put(ctx, line)
		})
		if err != nil && ctx.Err() == nil {
			line.Stream, line.Line, line.Place = logs.Notice, err.Error(), ""
			_ = l.put(ctx, line) // the caller has gone, or hears of it
		}
	})
}

// places has the streams of a task go on where whoever asks has been, and tells of where they
// begin, if places are asked for.
func (l *logMerge) places(ctx context.Context, q *logs.Query, line api.LogLine) {
	q.From = map[string]logs.Place{}
	for _, stream := range []string{logs.Stdout, logs.Stderr} {
		if p, ok := logs.ParsePlace(l.from[api.LogStream{Alloc: line.Alloc, Task: line.Task, Stream: stream}]); ok {
			q.From[stream] = p
		}
	}
	if l.r.Places {
		q.Begins = func(stream string, at logs.Place) error {
			line.Stream, line.Place, line.Begins = stream, at.String(), true
			return l.put(ctx, line)
		}
	}
}

// swept are the ends that are kept of the log of a task whose copy is over, and of which nothing
// else is here any more; none if there is more, or nothing.
func swept(a *mesh.AllocView, task, dir string) []*mesh.Kept {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || !a.State().Final() {
		return nil
	}
	for i := range a.Status.Tasks {
		if t := &a.Status.Tasks[i]; t.Name == task {
			return t.Ends()
		}
	}
	return nil
}

func (l *logMerge) put(ctx context.Context, line api.LogLine) error {
	to := l.lines
	if l.sources != nil {
		key := string(line.NodeID)
		if line.NodeID == l.b.self.ID {
			key = taskKey(line.Alloc, line.Task)
		}
		if s := l.sources[key]; s != nil {
			to = s.lines
		}
	}
	select {
	case to <- line:
		return nil
	case <-ctx.Done():
		return errors.New("the reader has gone")
	}
}

// peerClient asks another node, over the mesh's own connections.
func (d *daemon) peerClient(n *mesh.NodeView) *api.Client {
	return api.NewClient(n.Name, func(ctx context.Context) (net.Conn, error) {
		return d.net.Open(ctx, n.ID, transport.KindAPI)
	})
}

// ended is closed when nothing more will be written by an allocation here.
func (d *daemon) ended(ctx context.Context, id mesh.AllocID) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			change := d.loop.change()
			final := true // also when it has been forgotten
			err := d.loop.look(ctx, func(c *core.Core) {
				for _, a := range c.View().Allocs {
					if a.ID == id {
						final = a.State().Final()
					}
				}
			})
			if err != nil || final {
				return
			}
			select {
			case <-change:
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}
