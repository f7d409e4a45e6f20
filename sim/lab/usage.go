package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what processes take of the machine.
type Usage struct {
	Processes int
	Memory    int64         // bytes; shared pages are divided among their users (PSS)
	CPU       time.Duration // since they started
}

// AgentUsage is what the node's agent takes.
func (n *Node) AgentUsage() (Usage, error) {
	return usage([]process{{pid: n.PID()}})
}

// SupervisorUsage is what the supervisors of the node's tasks take together,
// without the tasks.
func (n *Node) SupervisorUsage() (Usage, error) {
	all, err := processesOf(n.Dir)
	if err != nil {
		return Usage{}, err
	}
	var supervisors []process
	for _, p := range all {
		if args := strings.Split(p.command, "\x00"); len(args) > 1 && args[1] == "supervise" {
			supervisors = append(supervisors, p)
		}
	}
	return usage(supervisors)
}

// usage sums up processes.
func usage(of []process) (Usage, error) {
	sum := Usage{Processes: len(of)}
	for _, p := range of {
		memory, err := memoryOf(p.pid)
		if err != nil {
			return Usage{}, err
		}
		cpu, err := cpuOf(p.pid)
		if err != nil {
			return Usage{}, err
		}
		sum.Memory += memory
		sum.CPU += cpu
	}
	return sum, nil
}

func memoryOf(pid int) (int64, error) {
	rollup, err := os.ReadFile(procFile(pid, "smaps_rollup"))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(rollup))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "Pss:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: no Pss in smaps_rollup", pid)
}

// cpuOf sums the threads' own accounts: stat counts in ticks of 10 ms, which
// is more than a supervisor takes in its life.
func cpuOf(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(procFile(pid, "task/*/schedstat"))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("read the CPU time of process %d: it has ended", pid)
	}
	var sum time.Duration
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b) + " 0")[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %q: %w", path, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// LoopbackBytes is how much went over loopback since the machine started: all
// traffic of a lab does, and that of whoever else uses it.
func LoopbackBytes() (int64, error) {
	b, err := os.ReadFile("/sys/class/net/lo/statistics/tx_bytes")
	if err != nil {
		return 0, fmt.Errorf("read the counters of loopback: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
