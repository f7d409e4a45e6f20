package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"mn/mesh"
)

// Ports are those on which programs of this machine listen (TCP) or which they have
// bound (UDP), of whatever address, ours among them: in order, each once. The root is
// that of the machine's files.
func Ports(root fs.FS) ([]mesh.Port, error) {
	var out []mesh.Port
	for _, t := range []mesh.Transport{mesh.TCP, mesh.UDP} {
		var taken [1 << 16]bool
		for _, version := range []string{"", "6"} {
			f, err := root.Open("proc/net/" + string(t) + version)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a kernel without that version of IP
			}
			if err != nil {
				return nil, fmt.Errorf("read ports in use: %w", err)
			}
			err = bound(f, t, &taken)
			f.Close()
			if err != nil {
				return nil, fmt.Errorf("read ports in use: %w", err)
			}
		}
		for n := 1; n < len(taken); n++ {
			if taken[n] {
				out = append(out, mesh.Port{Number: uint16(n), Transport: t})
			}
		}
	}
	return out, nil
}

// bound notes the ports of a table of sockets:
//
//	sl  local_address rem_address   st …
//	 0: 0100007F:1F90 00000000:0000 0A …
func bound(table io.Reader, t mesh.Transport, taken *[1 << 16]bool) error {
	const (
		tableMax = 64 << 20 // bytes
		listen   = "0A"
	)
	lines := bufio.NewScanner(io.LimitReader(table, tableMax))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || t == mesh.TCP && f[3] != listen {
			continue
		}
		_, port, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(port, 16, 16); err == nil {
			taken[n] = true
		}
	}
	return lines.Err()
}
