package lab

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
)

// Site is where a node is: what its processes have for a network.
type Site interface {
	// Address is where other nodes reach its agent.
	Address() string
	// Flags have an agent listen there.
	Flags() []string
	// Start starts a process there.
	Start(cmd *exec.Cmd) error
	// Close lets go of the place, once the node's processes have ended.
	Close() error
}

// loopback is a port on the network that this machine has with itself.
type loopback struct{ port int }

// newLoopback finds a UDP port of loopback that nobody uses now.
func newLoopback() (loopback, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return loopback{}, fmt.Errorf("find a free port: %w", err)
	}
	defer conn.Close()
	return loopback{conn.LocalAddr().(*net.UDPAddr).Port}, nil
}

func (l loopback) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port)) }

func (l loopback) Flags() []string {
	return []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(l.port)}
}

func (l loopback) Start(cmd *exec.Cmd) error { return cmd.Start() }

func (l loopback) Close() error { return nil }
