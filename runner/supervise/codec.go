package supervise

import (
	"strconv"
	"time"
)

// The records field by field: what their struct tags say to encoding/json,
// which agents use, said once more for supervisors. The tests compare.

func (s *Spec) decode(o *object) {
	s.Attempt = int(o.integer("attempt"))
	s.Boot = o.text("boot_id")
	s.Command = o.texts("command")
	s.Env = o.texts("env")
	s.Dir = o.text("dir")
	s.Grace = time.Duration(o.integer("grace"))
	s.Stop = int(o.integer("stop"))
	s.Warn = int(o.integer("warn"))
	s.WarnTime = time.Duration(o.integer("warn_time"))
	for _, n := range o.unsigneds("signals", 8) {
		s.Signals = append(s.Signals, int(n))
	}
	s.Until = time.Duration(o.integer("until"))
	if user := o.object("user"); user != nil {
		s.User = &User{
			UID: uint32(user.unsigned("uid", 32)),
			GID: uint32(user.unsigned("gid", 32)),

			Name: user.text("name"),
		}
		for _, id := range user.unsigneds("groups", 32) {
			s.User.Groups = append(s.User.Groups, uint32(id))
		}
	}
	s.Groups = o.texts("groups")
	if box := o.object("sandbox"); box != nil {
		s.Sandbox = &Sandbox{
			Writable: box.texts("writable"), Hidden: box.texts("hidden"), Devices: box.texts("devices"),
		}
		for _, v := range box.objects("volumes") {
			s.Sandbox.Volumes = append(s.Sandbox.Volumes, Volume{
				Shared: v.text("shared"), Path: v.text("path"), Target: v.text("target"), Write: v.flag("write"),
			})
		}
	}
}

func (s *State) decode(o *object) {
	if start := o.object("start"); start != nil {
		s.Start.decode(start)
	}
	if exit := o.object("exit"); exit != nil {
		s.Exit = &Exit{}
		s.Exit.decode(exit)
	}
}

func (s *Start) decode(o *object) {
	s.Attempt = int(o.integer("attempt"))
	s.Boot = o.text("boot_id")
	s.Supervisor = int(o.integer("supervisor"))
	s.PID = int(o.integer("pid"))
	s.PIDStart = o.unsigned("pid_start", 64)
	s.At = o.instant("at")
}

func (x *Exit) decode(o *object) {
	x.Attempt = int(o.integer("attempt"))
	x.Started = o.flag("started")
	x.PID = int(o.integer("pid"))
	x.StartedAt = o.instant("started_at")
	x.At = o.instant("at")
	x.Code = int(o.integer("code"))
	x.Signal = int(o.integer("signal"))
	x.OOM = o.flag("oom")
	x.Peak = o.integer("peak_memory")
	x.Limit = o.integer("memory_limit")
	x.Expired = o.flag("expired")
	x.Stopped = o.flag("stopped")
	x.Dropped = o.integer("dropped_bytes")
	x.Err = o.text("error")
}

func (s State) encode() []byte {
	e := &encoder{[]byte("{")}
	e.name("start")
	e.text = append(e.text, s.Start.encode()...)
	if s.Exit != nil {
		e.name("exit")
		e.text = append(e.text, s.Exit.encode()...)
	}
	return append(e.text, '}')
}

func (s Start) encode() []byte {
	e := &encoder{[]byte("{")}
	e.integer("attempt", int64(s.Attempt))
	e.string("boot_id", s.Boot)
	e.integer("supervisor", int64(s.Supervisor))
	if s.PID != 0 {
		e.integer("pid", int64(s.PID))
	}
	if s.PIDStart != 0 {
		e.name("pid_start")
		e.text = strconv.AppendUint(e.text, s.PIDStart, 10)
	}
	e.instant("at", s.At)
	return append(e.text, '}')
}

func (x Exit) encode() []byte {
	e := &encoder{[]byte("{")}
	e.integer("attempt", int64(x.Attempt))
	e.flag("started", x.Started)
	e.instant("started_at", x.StartedAt)
	e.instant("at", x.At)
	e.integer("code", int64(x.Code))
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"pid", int64(x.PID)},
		{"signal", int64(x.Signal)},
		{"dropped_bytes", x.Dropped},
		{"peak_memory", x.Peak},
		{"memory_limit", x.Limit},
	} {
		if f.v != 0 {
			e.integer(f.name, f.v)
		}
	}
	for _, f := range []struct {
		name string
		v    bool
	}{{"oom", x.OOM}, {"expired", x.Expired}, {"stopped", x.Stopped}} {
		if f.v {
			e.flag(f.name, true)
		}
	}
	if x.Err != "" {
		e.string("error", x.Err)
	}
	return append(e.text, '}')
}
