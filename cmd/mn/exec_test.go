package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/mesh/api"
	"mn/runner/frames"
)

// screen is a terminal with mn at it.
type screen struct {
	t    *testing.T
	tty  *os.File
	seen []byte
}

// until reads what is on the screen until something is.
func (s *screen) until(want string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	for !bytes.Contains(s.seen, []byte(want)) {
		if err := s.tty.SetReadDeadline(time.Now().Add(readyMax)); err != nil {
			s.t.Fatal(err)
		}
		n, err := s.tty.Read(buf)
		if s.seen = append(s.seen, buf[:n]...); err != nil {
			s.t.Fatalf("the screen has %q, want %q: %v", s.seen, want, err)
		}
	}
	s.seen = nil
}

func (s *screen) write(text string) {
	s.t.Helper()
	if _, err := s.tty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// echoes says whether the terminal shows what is typed, as it does for a shell.
func (s *screen) echoes() bool {
	s.t.Helper()
	raw, err := s.tty.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	echoes := false
	err = errors.Join(err, raw.Control(func(fd uintptr) {
		state, failed := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		echoes, err = failed == nil && state.Lflag&unix.ECHO != 0, failed
	}))
	if err != nil {
		s.t.Fatal(err)
	}
	return echoes
}

func TestTerminalIsTheCommandsAsLongAsItRuns(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mn.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server, served := api.NewServer(newFake()), make(chan error, 1)
	go func() { served <- server.Serve(l, api.Socket) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	mn, err := exec.LookPath("mn")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(mn, "exec", "hello", "--", "sh")
	cmd.Env = append(os.Environ(), "MN_ADDR="+socket, "TERM=vt100")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 90})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	s := &screen{t: t, tty: tty}
	s.until(`hello/ ["sh"] true`)
	if s.echoes() {
		t.Error("the terminal shows what is typed, which the command does by itself")
	}
	// It would end mn, or do something else here, if it were not the command's.
	s.write("\x03\x1a\x11")
	s.until("\x03\x1a\x11")
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 40, Cols: 300}); err != nil {
		t.Fatal(err)
	}
	s.until("size 00 28 01 2c")
	s.write("q")
	err = cmd.Wait()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 5 {
		t.Errorf("it ended with %v, want exit code 5", err)
	}
	if !s.echoes() {
		t.Error("the terminal is not as it was before")
	}
}

// What a peer says reaches the terminal without what that would obey.
func TestWhatPeersSayIsFitToBeShown(t *testing.T) {
	const clear = "\x1b[2J"
	var said bytes.Buffer
	if err := frames.Write(&said, frames.Failed, []byte(clear)); err != nil {
		t.Fatal(err)
	}
	if err := (&command{}).listen(&said, nil); err == nil || strings.Contains(err.Error(), clear) {
		t.Errorf("of a command: got %q", err)
	}
	b := fileTable([]mesh.File{{Name: clear, Kind: clear, Mode: clear}, {Name: "l", Kind: mesh.FileLink, Link: clear}})
	if text := fmt.Sprint(b.rows); strings.Contains(text, clear) || strings.Count(text, "x1b") != 4 {
		t.Errorf("of files: got %q", text)
	}
}
