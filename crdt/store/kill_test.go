package store

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"mn/crdt"
)

var quiet = slog.New(slog.DiscardHandler)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// These, in the environment, make this test binary the process that commits
// until it is killed: where to, and how many writes at once.
const (
	childDir  = "MN_STORE_TEST_CHILD"
	childSize = "MN_STORE_TEST_SIZE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		commitForEver(dir)
	}
	os.Exit(m.Run())
}

// commitForEver says the number of each write once it is durable.
func commitForEver(dir string) {
	die := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	s, err := Open(dir, quiet)
	die(err)
	kept, _, err := s.Load()
	die(err)
	r, err := crdt.NewReplica("n1", kept)
	die(err)
	n, err := strconv.Atoi(os.Getenv(childSize))
	die(err)
	for {
		var e crdt.Entry
		for range n {
			e = r.Put(fmt.Sprintf("k%d", r.Len()), make([]byte, 200), crdt.Fence{}, noon)
		}
		die(s.Commit(r.Flush(), nil))
		fmt.Println(e.Dot.Seq)
	}
}

func TestWhatWasAcknowledgedIsThereAfterKill(t *testing.T) {
	const oneTransaction, staged = 1, 3000
	dir := t.TempDir()
	var acked, life uint64
	for run := range 8 {
		size, commits := oneTransaction, 1+rand.IntN(30)
		if run%2 == 1 {
			size, commits = staged, 0
		}
		acked = max(acked, killAfter(t, dir, size, commits))
		s := mustOpen(t, dir)
		kept, _ := mustLoad(t, s)
		if len(kept.Damage) > 0 || kept.Life <= life {
			t.Fatalf("run %d: damage %v, life %d after %d", run, kept.Damage, kept.Life, life)
		}
		life = kept.Life
		// All or nothing: what is there is exactly what Seen and the next number say.
		have := uint64(len(kept.Entries))
		if have < acked || kept.Seen["n1"].Head != have || kept.NextSeq != have+1 {
			t.Fatalf("run %d: acknowledged %d, there are %d, seen %v, next %d",
				run, acked, have, kept.Seen, kept.NextSeq)
		}
		mustClose(t, s)
	}
	if acked == 0 {
		t.Error("nothing was acknowledged at all")
	}
}

// killAfter kills a child some time after it has acknowledged n commits, or
// during its first, and returns the last number that it acknowledged.
func killAfter(t *testing.T, dir string, size, n int) (last uint64) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childSize+"="+strconv.Itoa(size))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// A timer, so that the kill falls anywhere in a commit.
	kill := func(within time.Duration) {
		time.AfterFunc(rand.N(within), func() { _ = cmd.Process.Kill() })
	}
	if n == 0 {
		kill(150 * time.Millisecond)
	}
	lines := bufio.NewScanner(out)
	for i := 1; lines.Scan(); i++ {
		seq, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		last = seq
		if i == n {
			kill(3 * time.Millisecond)
		}
	}
	_ = cmd.Wait() // killed
	return last
}
