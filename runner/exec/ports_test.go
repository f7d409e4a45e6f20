package exec

import (
	"log/slog"
	"strings"
	"testing"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// A port that a program of others has is found before the task starts, whichever of its ports it is.
func TestAPortThatOthersHave(t *testing.T) {
	taken := mesh.Port{Number: 8081, Transport: mesh.UDP}
	d, err := Open(Config{
		Root: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Listens: func(p mesh.Port) bool { return p == taken },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // nothing runs
	s := drivertest.Spec("web", "exit 0")
	s.Ports = []mesh.PortGrant{
		{Task: "web", Label: "a", Protocol: mesh.ProtocolHTTP, Number: 8081},
		{Task: "web", Label: "b", Protocol: mesh.ProtocolUDP, Number: 8081},
	}
	d.Start(s)
	if o := next(t, d, runner.PortTaken); !strings.Contains(o.Err, "port 8081/udp is in use") {
		t.Errorf("got %q", o.Err)
	}
	s.Attempt++
	s.Ports = s.Ports[:1]
	d.Start(s)
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
}
