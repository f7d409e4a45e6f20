package inventory

import (
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mn/mesh"
)

const (
	tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20480 1 0 100 0 0 10 0
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 31338 1 0 20 4 30 10 -1
   3: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00000F5B 00000000     0        0 0 3 0
`
	tcp6Table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20481 1 0 100 0 0 10 0
   1: 00000000000000000000000000000000:FFFF 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20482 1 0 100 0 0 10 0
`
	udpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  90: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 18000 2 0 0
  91: 0A00000A:8D21 0800000A:0035 01 00000000:00000000 00:00000000 00000000  1000        0 18001 2 0 0
`
)

func TestPortsInUse(t *testing.T) {
	root := files(map[string]string{
		"proc/net/tcp": tcpTable, "proc/net/tcp6": tcp6Table, "proc/net/udp": udpTable,
	})
	want := []mesh.Port{
		{Number: 22, Transport: mesh.TCP},
		{Number: 8080, Transport: mesh.TCP},
		{Number: 65535, Transport: mesh.TCP},
		{Number: 53, Transport: mesh.UDP},
		{Number: 36129, Transport: mesh.UDP},
	}
	if got, err := Ports(root); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, error %v, want %v", got, err, want)
	}
	if _, err := Ports(broken{root, "proc/net/udp", os.ErrPermission}); err == nil {
		t.Error("a table that cannot be read is no error")
	}
}

func TestPortsOfThisHost(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	got, err := Ports(os.DirFS("/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []mesh.Port{
		{Number: uint16(tcp.Addr().(*net.TCPAddr).Port), Transport: mesh.TCP},
		{Number: uint16(udp.LocalAddr().(*net.UDPAddr).Port), Transport: mesh.UDP},
	} {
		if !slices.Contains(got, want) {
			t.Errorf("got %v, without %v", got, want)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add(tcpTable)
	f.Add(tcp6Table)
	f.Add(udpTable)
	f.Fuzz(func(t *testing.T, table string) {
		got, err := Ports(files(map[string]string{"proc/net/tcp6": table, "proc/net/udp": table}))
		if err != nil && !strings.Contains(err.Error(), "token too long") {
			t.Error(err)
		}
		ordered := slices.IsSortedFunc(got, func(a, b mesh.Port) int {
			return strings.Compare(string(a.Transport), string(b.Transport))*1e6 + int(a.Number) - int(b.Number)
		})
		if !ordered || len(got) >= 2<<16 || slices.ContainsFunc(got, func(p mesh.Port) bool { return p.Number == 0 }) {
			t.Errorf("got %v", got)
		}
	})
}
