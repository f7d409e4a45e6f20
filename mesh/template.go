package mesh

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Template is a file that is rendered into a task's own folder before each of its starts, and again when
// something changes that it refers to.
type Template struct {
	Path    string `json:"path" toml:"path"` // beneath the task's folder
	Content string `json:"content,omitempty" toml:"content"`
	// Source is a file of the job's folder, which is read for Content when the job file is.
	Source   string   `json:"-" toml:"source"`
	Mode     string   `json:"mode,omitempty" toml:"mode"` // in octal; 0644 if unset
	OnChange OnChange `json:"on_change,omitempty" toml:"on_change"`
	Signal   string   `json:"signal,omitempty" toml:"signal"` // for ChangeSignal; SIGHUP if unset
}

// OnChange says what follows when a file of a task that runs was rendered anew.
type OnChange string

// What may follow.
const (
	ChangeRestart OnChange = "restart" // the task starts again (the default)
	ChangeSignal  OnChange = "signal"
	ChangeNoop    OnChange = "noop" // nothing: the task looks itself
)

var onChanges = []OnChange{ChangeRestart, ChangeSignal, ChangeNoop}

// Bounds and defaults of templates.
const (
	templatesMax    = 16 // of a task
	serviceRefsMax  = 64 // services that a task refers to
	modePattern     = `^0?[0-7]{3}$`
	templateMode    = "0644"
	DefaultOnSignal = "SIGHUP"
)

var fileMode = regexp.MustCompile(modePattern)

// Follows is the effective OnChange.
func (t *Template) Follows() OnChange { return cmp.Or(t.OnChange, ChangeRestart) }

// Tells is the signal that the task gets, or "".
func (t *Template) Tells() string {
	if t.Follows() != ChangeSignal {
		return ""
	}
	return cmp.Or(t.Signal, DefaultOnSignal)
}

// Perm is the effective Mode, as a number.
func (t *Template) Perm() uint32 {
	n, err := strconv.ParseUint(cmp.Or(t.Mode, templateMode), 8, 32)
	if err != nil {
		return 0 // validation has told it
	}
	return uint32(n) & 0o777
}

// templates checks what can be known of templates before they are rendered.
func (v *validator) templates(t *Task) {
	if len(t.Templates) > templatesMax {
		v.fault("has %d entries, more than %d", len(t.Templates), templatesMax).at("template")
		return
	}
	if services, _ := t.Refers(); len(services) > serviceRefsMax {
		v.fault("refers to %d services, more than %d", len(services), serviceRefsMax).at()
	}
	var places []string
	for i := range t.Templates {
		f := &t.Templates[i]
		at := func(key string) []string { return []string{"template", fmt.Sprint(i), key} }
		if f.Path == "" {
			v.fault("is missing: want that of the file, in the task's folder").at(at("path")...)
		} else if v.beneath(f.Path, at("path")) {
			v.beside(f.Path, places, t.Artifacts, at("path"))
			places = append(places, f.Path)
		}
		switch {
		case f.Source != "":
			v.fault("is read when a job file is, and this is none: want content").at(at("source")...)
		case f.Content == "":
			v.fault("is missing: want content, or source").at(at("content")...)
		}
		v.text(f.Content, at("content")...)
		if f.Mode != "" && !fileMode.MatchString(f.Mode) {
			v.fault("%q is no mode of a file: want three octal digits, such as %q", clip(f.Mode), templateMode).
				at(at("mode")...)
		}
		v.onChange(t, f, at)
	}
}

// onChange: what is unsafe is not started again.
func (v *validator) onChange(t *Task, f *Template, at func(string) []string) {
	oneOf(v, f.OnChange, onChanges, at("on_change")...)
	oneOf(v, f.Signal, stopSignals, at("signal")...)
	switch {
	case f.Signal != "" && f.Follows() != ChangeSignal:
		v.fault("is for on_change = %q: leave it out", ChangeSignal).at(at("signal")...)
	case f.Follows() == ChangeSignal && f.Tells() == cmp.Or(t.StopSignal, "SIGTERM"):
		v.fault("%s is what asks it to end, too: want another", f.Tells()).at(at("signal")...)
	}
	if mark := t.Safety.Mark(); mark != "" && f.Follows() == ChangeRestart {
		v.fault("%q starts the task a second time, and it is marked unsafe (%s): want %q or %q", ChangeRestart, mark,
			ChangeSignal, ChangeNoop).at(at("on_change")...)
	}
}

// beside checks that a template takes no place of others. One may be in what an artifact was unpacked to.
func (v *validator) beside(to string, templates []string, artifacts []Artifact, where []string) {
	for _, other := range templates {
		if WithinPath(to, other) || WithinPath(other, to) {
			v.fault("is %q, and another template is %q: want places beside each other", clip(to), clip(other)).
				at(where...)
			return
		}
	}
	for i := range artifacts {
		if place := artifacts[i].Place(); place != "" && WithinPath(place, to) {
			v.fault("is %q, where artifact %s is put: want another", clip(to), clip(artifacts[i].Shown())).at(where...)
			return
		}
	}
}
