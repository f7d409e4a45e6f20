package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"mn/runner/frames"
)

// guestFD is the open file of a guest that is the connection to whoever has sent it;
// behind it are the same as those of a process that is to become the task.
const guestFD = 3

// Bounds of a guest.
const (
	askTimeout = 5 * time.Second // to be told what to run
	endTimeout = time.Second     // to say the last when the task ends
	termMax    = 64              // bytes of the name of a kind of terminal
	envMax     = 64              // variables besides those of the task
	endOfInput = 4               // what a terminal takes for that: control-D
)

// Guest is what somebody wants run within a task.
type Guest struct {
	Command  []string `json:"command"`
	Env      []string `json:"env,omitempty"`      // besides that of the task
	Terminal bool     `json:"terminal,omitempty"` // it has one
	Term     string   `json:"term,omitempty"`     // of which kind
	Rows     int      `json:"rows,omitempty"`
	Columns  int      `json:"columns,omitempty"`
}

func (g *Guest) decode(o *object) {
	g.Command = o.texts("command")
	g.Env = o.texts("env")
	g.Terminal = o.flag("terminal")
	g.Term = o.text("term")
	g.Rows = int(o.integer("rows"))
	g.Columns = int(o.integer("columns"))
}

// with is an environment with some more, in place of what has the same names.
func with(env, more []string) []string {
	for _, m := range more {
		name := m[:bytes.IndexByte([]byte(m+"="), '=')]
		var all []string
		for _, v := range env {
			if !bytes.HasPrefix([]byte(v), []byte(name+"=")) {
				all = append(all, v)
			}
		}
		env = append(all, m)
	}
	return env
}

// host is the life of a guest's process: it starts the command, takes what goes in and
// gives what comes out, and when the command has ended, the one who wants it has gone, or
// the task ends, kills what is left of all that the command has started.
type host struct {
	conn   *os.File
	spec   Spec
	guest  Guest
	family *family
	stdio  *stdio
	why    string        // it was ended; "" if it has ended
	gone   chan struct{} // closed when nobody is at the other end any more
	once   sync.Once
	mu     sync.Mutex // of writes to conn
	broken bool       // a part of a frame was written: what followed would make no sense
}

// mainGuest is the process of a guest.
func mainGuest() int {
	syscall.CloseOnExec(guestFD)
	h := &host{conn: os.NewFile(guestFD, "guest"), gone: make(chan struct{})}
	text, err := h.run()
	if err != nil {
		_ = h.say(frames.Failed, []byte(err.Error())) // if nobody hears it, nobody waits for it
		return 1
	}
	_ = h.say(frames.Exit, []byte(text)) // the same
	return 0
}

func (h *host) say(kind frames.Kind, payload []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return os.ErrClosed
	}
	err := frames.Write(h.conn, kind, payload)
	if err != nil {
		h.broken = true
		h.leave()
	}
	return err
}

// leave takes note that nobody is at the other end.
func (h *host) leave() { h.once.Do(func() { close(h.gone) }) }

// run returns how the command has ended, as an exit code in digits.
func (h *host) run() (string, error) {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER
	if _, _, err := syscall.Syscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); err != 0 {
		return "", because(err, "become subreaper")
	}
	term, child := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	ended := make(chan struct{})
	go func() {
		<-term
		// A client that takes nothing does not keep the task from ending.
		_ = h.conn.SetWriteDeadline(time.Now().Add(endTimeout)) // ask has found that it has deadlines
		close(ended)
	}()
	from := frames.NewReader(h.conn)
	if err := h.ask(from); err != nil {
		return "", err
	}
	if err := h.start(); err != nil {
		return "", err
	}
	inputs := make(chan []byte, frames.InputsMax)
	go h.hear(from, inputs)
	go h.feed(inputs)
	told := h.stdio.tell(h.say)
	gone := h.attend(ended, child)
	h.stdio.last() // whoever could write is gone
	select {
	case <-told:
	case <-h.gone:
	}
	switch {
	case h.why != "":
		return "", errors.New(h.why)
	case !gone:
		return "", errors.New("some of its processes could not be killed")
	}
	code := h.family.status.ExitStatus()
	if h.family.status.Signaled() {
		code = 128 + int(h.family.status.Signal())
	}
	return strconv.Itoa(code), nil
}

// ask asks what to run. The task has been started as the spec says.
func (h *host) ask(from *frames.Reader) error {
	spec := os.NewFile(guestFD+1, SpecFile)
	var err error
	if h.spec, err = specIn(spec); err != nil {
		return err
	}
	if _, err := spec.Seek(0, io.SeekStart); err != nil { // for the one that is to become it
		return because(err, "read what was started")
	}
	h.stdio = &stdio{}
	ways := []*os.File{spec}
	for i := range h.spec.Groups {
		ways = append(ways, os.NewFile(uintptr(guestFD+2+i), "group"))
	}
	h.stdio.ways = ways
	for _, w := range ways {
		syscall.CloseOnExec(int(w.Fd()))
	}
	if err := h.say(frames.Hello, nil); err != nil {
		return err
	}
	if err := h.conn.SetReadDeadline(time.Now().Add(askTimeout)); err != nil {
		return because(err, "ask what to run")
	}
	kind, payload, err := from.Next()
	if err != nil || kind != frames.Start {
		return errors.Join(err, errors.New("nobody has said what to run"))
	}
	if err := h.conn.SetReadDeadline(time.Time{}); err != nil {
		return because(err, "ask what to run")
	}
	o, err := parseObject(payload)
	if err != nil {
		return err
	}
	h.guest.decode(o)
	switch {
	case o.fault() != nil:
		return o.fault()
	case len(h.guest.Command) == 0 || h.guest.Command[0] == "":
		return errors.New("the command is empty")
	case len(h.guest.Env) > envMax:
		return errors.New("it has more than " + strconv.Itoa(envMax) + " variables of its own")
	case len(h.guest.Term) > termMax:
		return errors.New("the name of the terminal's kind is longer than " + strconv.Itoa(termMax) + " bytes")
	}
	return nil
}

// start starts the command, as who leads a session.
func (h *host) start() error {
	if err := h.stdio.open(h.guest, h.spec.User); err != nil {
		return err
	}
	sys := &syscall.SysProcAttr{}
	if h.spec.Sandbox != nil {
		sys = inner(*h.spec.User)
	}
	sys.Setpgid, sys.Setsid, sys.Pdeathsig = false, true, syscall.SIGKILL
	env := h.guest.Env
	if h.guest.Terminal {
		sys.Setctty, sys.Ctty = true, 0
		if h.guest.Term != "" {
			env = append(env, "TERM="+h.guest.Term)
		}
	}
	instead := append([]string{strconv.Itoa(len(env))}, env...)
	pid, err := forkEntering(h.stdio.ways, h.stdio.theirFDs(), sys, append(instead, h.guest.Command...)...)
	if h.stdio.tty == nil {
		closeAll(h.stdio.theirs)
	} // else it would end whenever no process has it open, even if one comes that does
	closeAll(h.stdio.ways)
	if err != nil {
		return err
	}
	h.family = &family{leader: pid}
	return nil
}

// hear takes what is sent: what goes in, and the size of the terminal.
func (h *host) hear(from *frames.Reader, inputs chan<- []byte) {
	defer h.leave()
	from.Hear(inputs, h.stdio.resize)
}

// feed gives what goes in to the command. What it does not take, as it has closed its
// input, is dropped.
func (h *host) feed(inputs <-chan []byte) {
	for p := range inputs {
		_, _ = h.stdio.in.Write(p)
		if h.say(frames.Taken, nil) != nil {
			return
		}
	}
	if h.guest.Terminal {
		_, _ = h.stdio.in.Write([]byte{endOfInput})
		return
	}
	h.stdio.in.Close()
}

// attend stays with the command until it and all that it has started are gone, and says
// whether they are.
func (h *host) attend(ended <-chan struct{}, child <-chan os.Signal) (gone bool) {
	var late *time.Timer
	end := func() {
		if late == nil {
			late = time.NewTimer(killTimeout)
			h.family.kill()
		}
	}
	left := h.gone
	for {
		select {
		case <-child:
			if h.family.reap() {
				return true
			}
			if h.family.reaped {
				end()
			}
		case <-left:
			left, h.why = nil, "nobody waits for it"
			end()
		case <-ended:
			ended, h.why = nil, "its task has ended, and the command with it"
			end()
		case <-after(late):
			return false
		}
	}
}
