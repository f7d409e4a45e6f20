package supervise

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of the conversation with an agent.
const (
	commandMax = 64 // bytes of a command
	queueMax   = 16 // commands that wait to be obeyed
)

// The verbs of commands. Each has a duration: the grace of a stop, or the
// instant since boot at which a renewed lease ends.
const (
	verbStop  = "stop"
	verbRenew = "renew"
)

// command is what an agent tells a supervisor: one line.
type command struct {
	verb  string
	value time.Duration
}

// StopCommand is the line that stops a task.
func StopCommand(grace time.Duration) string {
	return fmt.Sprintf("%s %d\n", verbStop, max(grace, 0))
}

// RenewCommand is the line that moves the end of a lease to until since boot.
func RenewCommand(until time.Duration) string {
	return fmt.Sprintf("%s %d\n", verbRenew, max(until, 0))
}

// parseCommand reads a line.
func parseCommand(line string) (command, error) {
	verb, digits, _ := strings.Cut(line, " ")
	value, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || verb != verbStop && verb != verbRenew {
		return command{}, fmt.Errorf("read command %q: want %q or %q and a number of nanoseconds",
			line, verbStop, verbRenew)
	}
	return command{verb, time.Duration(value)}, nil
}

// control talks with agents: the one that has started us and those that come
// later. An agent is greeted with the Start record on a line and gives
// commands; at the end it gets the Exit record on another line. Both records
// are also in files, for agents that are not there.
type control struct {
	commands chan command
	starter  *os.File // the agent that has started us; nil if there is none

	mu    sync.Mutex
	start []byte
	peers map[io.Writer]bool
}

func newControl(starter *os.File) *control {
	c := &control{
		starter:  starter,
		commands: make(chan command, queueMax),
		peers:    map[io.Writer]bool{},
	}
	if starter != nil {
		c.peers[starter] = true
	}
	return c
}

// begin greets the agent that has started us, and takes its commands.
func (c *control) begin(start Start) {
	c.start = encode(start)
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
		peer.Write(encode(exit)) // the record is in the file if nobody reads it here
	}
}

func encode(record any) []byte {
	text, err := json.Marshal(record)
	if err != nil {
		panic("supervise: a record does not encode: " + err.Error())
	}
	return append(text, '\n')
}

// listen opens the door for agents that come later. The socket's path is
// relative: a full one may be longer than the kernel allows.
func (c *control) listen() error {
	if err := os.Remove(SocketFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketFile, Net: "unix"})
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	if err := os.Chmod(SocketFile, 0o600); err != nil {
		l.Close()
		return fmt.Errorf("guard socket: %w", err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				fmt.Fprintf(os.Stderr, "mn supervise: accept: %v\n", err)
				return
			}
			// One at a time: only one agent has the data folder, and the
			// kernel closes the connection of one that dies.
			if c.greet(conn) {
				c.talk(conn)
			}
		}
	}()
	return nil
}

// greet makes conn a peer.
func (c *control) greet(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := conn.Write(c.start); err != nil {
		conn.Close()
		return false
	}
	c.peers[conn] = true
	return true
}

// talk takes commands until the connection ends or makes no sense.
func (c *control) talk(conn io.ReadWriteCloser) {
	c.read(conn)
	c.mu.Lock()
	delete(c.peers, conn)
	c.mu.Unlock()
	conn.Close()
}

func (c *control) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, commandMax), commandMax)
	for lines.Scan() {
		cmd, err := parseCommand(lines.Text())
		if err != nil {
			fmt.Fprintf(os.Stderr, "mn supervise: %v\n", err)
			return
		}
		c.commands <- cmd
	}
}
