package host

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mn/sim/lab/wire"
)

// needsRoot skips a test that only root can run.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("hosts need root")
	}
}

// pair is two hosts on one switch.
func pair(t *testing.T) (*wire.Switch, [2]*Host) {
	t.Helper()
	needsRoot(t)
	s := wire.New(1)
	var hosts [2]*Host
	for i := range hosts {
		var err error
		hosts[i], err = New(Config{
			Name: fmt.Sprint("h", i), Dir: t.TempDir(), Switch: s,
			Prefix: netip.MustParsePrefix(fmt.Sprintf("10.77.0.%d/24", i+1)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, h := range hosts {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, hosts
}

// listen opens a UDP socket on a host.
func (h *Host) listen(t *testing.T) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	err := h.thread.do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hears says whether something sent to an address from one socket arrives at
// another, within a time. The kernel asks for addresses first, a second apart.
func hears(t *testing.T, from, at *net.UDPConn, addr string, limit time.Duration) bool {
	t.Helper()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	words := []byte(addr)
	if _, err := from.WriteTo(words, to); err != nil {
		t.Fatal(err)
	}
	if err := at.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := at.Read(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil && bytes.Equal(buf[:n], words)
}

const (
	soon  = 10 * time.Second
	never = 50 * time.Millisecond // long enough for what arrives in microseconds
)

func TestHostsReachEachOtherThroughTheSwitchAlone(t *testing.T) {
	s, h := pair(t)
	a, b := h[0].listen(t), h[1].listen(t)
	if !hears(t, a, b, h[1].Address(), soon) {
		t.Fatal("nothing arrives")
	}
	s.Set(wire.Rule{Cut: true}, wire.Link{From: "h0", To: "h1"})
	if hears(t, a, b, h[1].Address(), never) {
		t.Error("it arrives through a cut")
	}
	if !hears(t, b, a, h[0].Address(), soon) {
		t.Error("the other direction is cut, too")
	}
	s.Heal()
	if !hears(t, a, b, h[1].Address(), soon) {
		t.Error("nothing arrives after healing")
	}
}

// TestSpoiledDatagramArrives: the kernel must not drop what an agent shall see.
func TestSpoiledDatagramArrives(t *testing.T) {
	s, h := pair(t)
	a, b := h[0].listen(t), h[1].listen(t)
	if !hears(t, a, b, h[1].Address(), soon) {
		t.Fatal("nothing arrives")
	}
	s.Set(wire.Rule{Spoil: 1}, wire.Link{From: "h0", To: "h1"})
	if hears(t, a, b, h[1].Address(), soon) {
		t.Error("it arrived as it was sent")
	}
	if c := s.Total(); c.Spoiled != 1 {
		t.Errorf("counted %+v", c)
	}
}

func TestHostsHaveTheSameAddressInTwoLabs(t *testing.T) {
	_, one := pair(t)
	_, two := pair(t)
	if !hears(t, one[0].listen(t), one[1].listen(t), one[1].Address(), soon) ||
		!hears(t, two[0].listen(t), two[1].listen(t), two[1].Address(), soon) {
		t.Error("nothing arrives")
	}
}

func TestHostThatMovesIsFoundAtItsNewAddress(t *testing.T) {
	_, h := pair(t)
	a := h[0].listen(t)
	if err := h[1].Move(netip.MustParsePrefix("10.77.0.102/24")); err != nil {
		t.Fatal(err)
	}
	b := h[1].listen(t)
	if got := h[1].Address(); got != "10.77.0.102:7700" {
		t.Errorf("its address is %s", got)
	}
	if !hears(t, a, b, h[1].Address(), soon) {
		t.Error("nothing arrives there")
	}
	if hears(t, a, b, "10.77.0.2:7700", never) {
		t.Error("the old address is still good")
	}
}

// bootID is what processes on the host take for the kernel's.
func (h *Host) bootID(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("cat", "/proc/sys/kernel/random/boot_id")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func TestHostBootsByItself(t *testing.T) {
	_, h := pair(t)
	machine, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{strings.TrimSpace(string(machine)): true, h[0].bootID(t): true, h[1].bootID(t): true}
	if len(ids) != 3 {
		t.Errorf("machine and hosts have the boot ids %v", ids)
	}
	before := h[0].bootID(t)
	if err := h[0].Reboot(); err != nil {
		t.Fatal(err)
	}
	if after := h[0].bootID(t); after == before || len(after) != len(before) {
		t.Errorf("boot id %q before, %q after a reboot", before, after)
	}
}

func TestProcessOnAHostHasItsClock(t *testing.T) {
	_, h := pair(t)
	if err := h[0].SetClock(Clock{}); err == nil {
		t.Error("a host without a test clock was given one")
	}
	s := wire.New(1)
	defer s.Close()
	dir := t.TempDir()
	timed, err := New(Config{
		Name: "timed", Dir: dir, Switch: s, Clock: true, Prefix: netip.MustParsePrefix("10.77.0.1/24"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer timed.Close()
	if err := timed.SetClock(Clock{Boot: time.Hour, Wall: -time.Second, PPM: 900}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `cat "$MN_TEST_CLOCK"`)
	var out bytes.Buffer
	cmd.Env, cmd.Stdout = os.Environ(), &out
	if err := timed.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "1h0m0s -1s 900 ") {
		t.Errorf("its clock says %q", got)
	}
}

func TestDiskIsFullAndFreeAgain(t *testing.T) {
	needsRoot(t)
	dir := t.TempDir()
	d, err := Mount(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "file")
	if err := d.Fill(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing to a full disk: got %v", err)
	}
	for range 2 {
		if err := d.Free(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
}

func TestGroupLetsItsProcessesGo(t *testing.T) {
	needsRoot(t)
	name := "mnhost-test-" + filepath.Base(t.TempDir()) + fmt.Sprint(os.Getpid())
	g, err := LimitMemory(name, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(groups), name) {
		t.Errorf("it is still in the group: %s", groups)
	}
}

func TestNothingIsMissingForRoot(t *testing.T) {
	lacks := Missing()
	if root := os.Geteuid() == 0; root != (len(lacks) == 0) {
		t.Errorf("root: %v, missing: %q", root, lacks)
	}
}
