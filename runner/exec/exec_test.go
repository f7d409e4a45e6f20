package exec

import (
	"fmt"
	"log/slog"
	"os"
	"testing"

	"mn/health/vitals"
	"mn/runner"
	"mn/runner/drivertest"
	"mn/runner/supervise"
)

// The test's executable is also the supervisor, as mn is, and an agent.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "agent" {
		fmt.Fprintln(os.Stderr, agent(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func suite() drivertest.Suite {
	return drivertest.Suite{
		Open: func(t *testing.T, root string) runner.Driver {
			d, err := Open(Config{Root: root, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Now: vitals.Now,
	}
}

func TestContract(t *testing.T) { suite().Run(t) }
