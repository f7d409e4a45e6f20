package supervise

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// Bounds of the conversation with an agent.
const (
	commandMax = 64 // bytes of a command
	queueMax   = 16 // commands that wait to be obeyed
	talksMax   = 32 // connections at a time
)

// The verbs of commands. Each has a number: the grace of a stop, or the instant
// since boot at which a renewed lease ends, in nanoseconds; that of a signal; 0 for a
// guest, which has the connection from then on: see guests.
const (
	verbStop   = "stop"
	verbRenew  = "renew"
	verbSignal = "signal"
	verbGuest  = "guest"
)

const signalMax = 64 // the greatest number that a signal has

// command is what an agent tells a supervisor: one line.
type command struct {
	verb  string
	value time.Duration
}

// StopCommand is the line that stops a task.
func StopCommand(grace time.Duration) string {
	return commandLine(verbStop, grace)
}

// RenewCommand is the line that moves the end of a lease to until since boot.
func RenewCommand(until time.Duration) string {
	return commandLine(verbRenew, until)
}

// SignalCommand is the line that sends the task a signal.
func SignalCommand(number int) string {
	return commandLine(verbSignal, time.Duration(number))
}

// GuestCommand is the line behind which the connection is that of a [Guest].
func GuestCommand() string { return commandLine(verbGuest, 0) }

// commandLine is how a command is written.
func commandLine(verb string, value time.Duration) string {
	return verb + " " + strconv.FormatInt(int64(max(value, 0)), 10) + "\n"
}

// parseCommand reads a line.
func parseCommand(line string) (command, error) {
	first, digits, _ := bytes.Cut([]byte(line), []byte(" "))
	verb := string(first)
	value, err := strconv.ParseUint(string(digits), 10, 63)
	known := verb == verbStop || verb == verbRenew || verb == verbGuest || verb == verbSignal && value-1 < signalMax
	if err != nil || !known {
		return command{}, errors.New("read command " + strconv.Quote(line) + ": want " + verbStop + ", " + verbRenew +
			" or " + verbGuest + " and a number of nanoseconds, or " + verbSignal + " and its number")
	}
	return command{verb, time.Duration(value)}, nil
}

// control talks with agents: the one that has started us and those that come
// later. An agent is greeted with the Start record on a line and gives
// commands; at the end it gets the Exit record on another line. Both records
// are also in files, for agents that are not there.
type control struct {
	commands chan command
	guests   chan *os.File // connections of those that want in
	starter  *os.File      // the agent that has started us; nil if there is none

	mu    sync.Mutex
	start []byte
	peers map[*os.File]bool
}

func newControl(starter *os.File) *control {
	c := &control{
		starter:  starter,
		commands: make(chan command, queueMax),
		guests:   make(chan *os.File, guestsMax),
		peers:    map[*os.File]bool{},
	}
	if starter != nil {
		c.peers[starter] = true
	}
	return c
}

// begin greets the agent that has started us, and takes its commands.
func (c *control) begin(start Start) {
	c.start = append(start.encode(), '\n')
	if c.starter != nil {
		c.starter.Write(c.start)
		go c.talk(c.starter)
	}
}

// end tells agents of the end.
func (c *control) end(exit Exit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for peer := range c.peers {
		peer.Write(append(exit.encode(), '\n')) // the record is in the file if nobody reads it here
	}
}

// listen opens the door for agents that come later.
func (c *control) listen() error {
	l, err := listenUnix(SocketFile)
	if err != nil {
		return err
	}
	go func() {
		talks := make(chan struct{}, talksMax)
		for {
			conn, err := accept(l)
			if err != nil {
				say("accept: " + err.Error())
				return
			}
			// The kernel closes the connections of an agent that dies.
			talks <- struct{}{}
			go func() {
				defer func() { <-talks }()
				if c.greet(conn) {
					c.talk(conn)
				}
			}()
		}
	}()
	return nil
}

// greet makes conn a peer.
func (c *control) greet(conn *os.File) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := conn.Write(c.start); err != nil {
		conn.Close()
		return false
	}
	c.peers[conn] = true
	return true
}

// talk takes commands until the connection ends, makes no sense, or is a guest's.
func (c *control) talk(conn *os.File) {
	guest := c.read(conn)
	c.mu.Lock()
	delete(c.peers, conn)
	c.mu.Unlock()
	if !guest {
		conn.Close()
		return
	}
	c.guests <- conn
}

// read obeys commands, a line each, and says whether the connection is a guest's now.
func (c *control) read(r io.Reader) (guest bool) {
	buf := make([]byte, 0, commandMax)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		for {
			text, rest, whole := bytes.Cut(buf, []byte("\n"))
			if !whole {
				break
			}
			cmd, err := parseCommand(string(text))
			if err != nil {
				say(err.Error())
				return false
			}
			if cmd.verb == verbGuest {
				return len(rest) == 0 // it waits to be asked what it wants
			}
			c.commands <- cmd
			buf = buf[:copy(buf[:cap(buf)], rest)]
		}
		if err != nil || len(buf) == cap(buf) { // the end, or what is no command
			return false
		}
	}
}
