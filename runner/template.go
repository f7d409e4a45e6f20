package runner

import (
	"crypto/sha256"
	"fmt"
	"time"

	"mn/mesh"
)

const (
	// renderEvery is the least time from a start of a task, or from when its files were rendered, until
	// they are rendered again: of what changes at once, little by little, a task hears once.
	renderEvery = 5 * time.Second
	// renderRetry is when to try again what a driver could not write.
	renderRetry = 30 * time.Second
)

// startsAnew is why a task is stopped to start again with its files. It is told from other reasons by its
// words, also by the agent after this one.
const startsAnew = "starts again, as its files have changed"

// File is a template as it is rendered.
type File struct {
	Path string `json:"path"` // beneath the task's own folder
	Text string `json:"text"`
	Mode uint32 `json:"mode"`
	// Signal is what a task that runs gets when the text has changed; "" for nothing.
	Signal string `json:"signal,omitempty"`
	// Restart says that it hears of a change only when it starts again.
	Restart bool `json:"restart,omitempty"`
}

// templates are the files of a task as they are rendered now.
func (c *Copy) templates(t *task, e environment) ([]File, error) {
	var all []File
	for i := range t.def.Templates {
		def := &t.def.Templates[i]
		text, err := e.expand(def.Content, nil)
		if err != nil {
			return nil, fmt.Errorf("template %q: %w", def.Path, err)
		}
		all = append(all, File{
			Path: def.Path, Text: text, Mode: def.Perm(),
			Signal: def.Tells(), Restart: def.Follows() == mesh.ChangeRestart,
		})
	}
	return all, nil
}

// sum is that of all texts of some files.
func sum(files []File) [sha256.Size]byte {
	h := sha256.New()
	for i := range files {
		one := sha256.Sum256([]byte(files[i].Text))
		h.Write(one[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// begins takes notice of what files an attempt starts with.
func (t *task) begins(files []File, now Now) {
	t.rendered, t.known, t.stale, t.unrendered = sum(files), true, false, ""
	t.renderAt = now.Boot + renderEvery
}

// mayRender says whether a task runs whose files may have to be rendered again.
func (c *Copy) mayRender(t *task) bool {
	return t.stale && t.live && t.unwell == "" && t.status.State == mesh.Running && !c.ending()
}

// renderDue renders the files of a task that runs, if something has changed that they refer to. Who writes
// them knows which have another text.
func (c *Copy) renderDue(t *task) {
	if !c.mayRender(t) || t.renderAt > c.now.Boot {
		return
	}
	t.stale = false
	files, err := c.templates(t, c.environment(t))
	switch now := sum(files); {
	case err != nil && t.known: // else the agent has just come back, and perhaps not seen all of it yet
		c.notRendered(t, err.Error())
	case err != nil:
	case !t.known || now != t.rendered:
		t.rendered, t.known, t.renderAt = now, true, c.now.Boot+renderEvery
		c.order(Order{Verb: DoRender, Task: t.def.Name, Attempt: t.attempt, Files: files})
	default:
		t.unrendered = ""
	}
}

// notRendered tells once why files stay as they are.
func (c *Copy) notRendered(t *task, why string) {
	if t.unrendered != why {
		t.unrendered = why
		c.event(mesh.TaskRendered, t, "its files stay as they are: "+why)
	}
}

// renderedAnew takes notice of files that have another text now, and does what is to follow.
func (c *Copy) renderedAnew(t *task, o Observation) {
	if t.status.State != mesh.Running || c.ending() {
		return // it hears of them when it starts again, if it does
	}
	if o.Err != "" {
		t.known, t.stale, t.renderAt = false, true, c.now.Boot+renderRetry
		c.notRendered(t, o.Err)
	} else {
		t.unrendered = ""
	}
	restart := false
	for _, path := range o.Files {
		for i := range t.def.Templates {
			def := &t.def.Templates[i]
			if def.Path != path {
				continue
			}
			followed := "the task may look"
			switch def.Follows() {
			case mesh.ChangeRestart:
				restart, followed = true, "the task starts again"
			case mesh.ChangeSignal:
				followed = "the task got " + def.Tells()
			case mesh.ChangeNoop:
			}
			c.event(mesh.TaskRendered, t, fmt.Sprintf("file %q has changed: %s", path, followed))
		}
	}
	if restart && t.unwell == "" {
		t.unwell = startsAnew
		c.stopUnwell(t)
	}
}
