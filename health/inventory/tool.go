package inventory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	outputMax = 8 << 20 // bytes that a tool may say
	killDelay = time.Second
)

// errAbsent is that a tool is not on this machine.
var errAbsent = errors.New("no such tool")

// failed is that a tool ended with a code other than 0.
type failed struct {
	tool string
	code int
	said string
}

func (f *failed) Error() string {
	return fmt.Sprintf("%s: exit code %d: %s", f.tool, f.code, cmp.Or(f.said, "it does not say why"))
}

// ask runs a tool and gives what it said, also if it failed. Once ctx ends, the
// tool and all that it started are killed.
func ask(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, errAbsent
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var out, complaint capped
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killDelay
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not answer in time, and was killed", name)
	case out.full:
		return nil, fmt.Errorf("%s says more than %d bytes", name, outputMax)
	case errors.As(err, &exit):
		return out.data.Bytes(), &failed{name, exit.ExitCode(), sentence(complaint.data.Bytes(), out.data.Bytes())}
	case err != nil:
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	return out.data.Bytes(), nil
}

// sentence is the first line of what a tool said for people. Some tools complain
// where they answer.
func sentence(said ...[]byte) string {
	for _, text := range said {
		for line := range strings.Lines(string(text)) {
			if line = plain(line); line != "" && line[0] != '<' {
				return line
			}
		}
	}
	return ""
}

// capped keeps what is written to it, up to outputMax bytes. More is an error.
type capped struct {
	data bytes.Buffer
	full bool
}

// Write keeps p, or nothing of it if it would be too much.
func (c *capped) Write(p []byte) (int, error) {
	if c.data.Len()+len(p) > outputMax {
		c.full = true
		return 0, errors.New("too much")
	}
	return c.data.Write(p)
}
