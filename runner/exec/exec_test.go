package exec

import (
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"testing"

	"mn/health/vitals"
	"mn/mesh"
	"mn/runner"
	"mn/runner/cgroup"
	"mn/runner/drivertest"
	"mn/runner/supervise"
)

// The test's executable is also the supervisor, as mn is, an agent, and a task that wants
// out of its sandbox.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		fmt.Fprintln(os.Stderr, agent(os.Args[2], os.Args[3], os.Args[4]))
		os.Exit(1)
	}
	if len(os.Args) > 1 && os.Args[1] == "escape" {
		escape(os.Args[2])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func suite() drivertest.Suite {
	return drivertest.Suite{
		Open: func(t *testing.T, root string) runner.Driver {
			d, err := Open(Config{
				Root: root, Groups: groupsOf(root), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if home, err := cgroup.Open("/", groupsOf(root)); err == nil {
					home.Close()
				}
			})
			return d
		},
		Now: vitals.Now,
	}
}

// groupsOf names the control groups of a driver that has a folder.
func groupsOf(root string) string { return fmt.Sprintf("test-%08x", crc32.ChecksumIEEE([]byte(root))) }

func TestContract(t *testing.T) {
	for _, i := range isolations(t) {
		t.Run("isolation "+string(i), func(t *testing.T) {
			t.Parallel()
			s := suite()
			s.Isolation = i
			s.Run(t)
		})
	}
}

// isolations are those that this machine has. It is an error if root's has one not.
func isolations(t *testing.T) (has []mesh.Isolation) {
	t.Helper()
	w := suite().NewWorld(t)
	lacks := w.Driver.(*Driver).Isolation()
	for _, i := range []mesh.Isolation{mesh.IsolateNone, mesh.IsolateCgroup, mesh.IsolateSandbox} {
		why, known := lacks[i]
		switch {
		case why == "" && known:
			has = append(has, i)
		case os.Geteuid() == 0:
			t.Errorf("isolation %q is not available: %s", i, why)
		default:
			t.Logf("isolation %q is not available: %s", i, why)
		}
	}
	return has
}
