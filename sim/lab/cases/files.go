package cases

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mn/mesh"
	"mn/sim/lab"
	"mn/sim/lab/wire"
)

// files are the cases of the files that jobs bring along.
func files() []Case {
	const shows = "a job's files leave the submitter about once, though all nodes get them and its links are cut midway"
	return []Case{
		{Name: "payload", Faults: "F15", run: func(s *scene) { s.payload(32 << 20) }, Shows: shows},
		{
			Name: "payload-long", Faults: "F15", Limit: 6 * time.Minute,
			run: func(s *scene) { s.payload(200 << 20) }, Shows: shows,
		},
	}
}

const (
	payloadFiles = 8
	payloadCut   = 3 * time.Second
	payloadTimes = 2 // of their size, for all that the submitter sends meanwhile, and again after the cut
)

// payload submits a job with files at one node, and has a copy of it check them on every node.
func (s *scene) payload(bytes int64) {
	from := s.shuffled()[0]
	folder := s.folder(bytes)
	before := s.sent(from)
	submitted := make(chan error, 1)
	go func() {
		_, err := from.Mn(s.ctx, "job", "run", folder)
		submitted <- err
	}()
	s.until(startMax, "a third of the files is on its way", func() (bool, string) {
		sent := s.sent(from) - before
		return sent > bytes/3, fmt.Sprintf("%d bytes are", sent)
	})
	s.cut("the links of "+from.Name+" are cut", wire.Between([]string{from.Name}, names(s.lab.Nodes())))
	s.pass(payloadCut)
	s.measure("sent until then", "%.2f times their size", float64(s.sent(from)-before)/float64(bytes))
	s.heal()
	if err := <-submitted; err != nil {
		s.fail("I3 durability", "the job is not taken: %v", err)
	}
	took := s.until(settleMax, "each copy has found its files whole", func() (bool, string) {
		j := s.job(from, "payload")
		return j.Status == mesh.JobCompleted, fmt.Sprintf("it is %s: %s", j.Status, s.reason(from, "payload"))
	})
	s.took("files everywhere", took)
	times := float64(s.sent(from)-before) / float64(bytes)
	s.measure("sent by the submitter", "%.2f times their size", times)
	if times > payloadTimes {
		s.fail("payload", "%s has sent %.2f times the size of the files, want about once", from.Name, times)
	}
}

// sent is what a node has sent to the others so far, in bytes.
func (s *scene) sent(n *lab.Node) (bytes int64) {
	for _, other := range s.lab.Nodes() {
		bytes += s.wire.Count(wire.Link{From: n.Name, To: other.Name}).Bytes
	}
	return bytes
}

// folder makes the folder of a job with files of so many bytes together, whose copies, one on each
// node, end well if each file is as it was sent.
func (s *scene) folder(bytes int64) string {
	dir := filepath.Join(s.dir, "payload")
	s.must(os.MkdirAll(dir, 0o700))
	var sums strings.Builder
	var key [32]byte
	for i := range payloadFiles {
		key[0] = byte(i)
		name := fmt.Sprint("part-", i)
		sum := sha256.New()
		f, err := os.Create(filepath.Join(dir, name))
		s.must(err)
		_, err = io.CopyN(io.MultiWriter(f, sum), rand.NewChaCha8(key), bytes/payloadFiles)
		s.must(err)
		s.must(f.Close())
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), name)
	}
	s.must(os.WriteFile(filepath.Join(dir, "sums"), []byte(sums.String()), 0o600))
	job := fmt.Sprintf(`name = "payload"
type = "batch"
strategy = "spread"
[[constraint]]
operator = "distinct_hosts"
[[task]]
name = "check"
count = %d
command = ["sha256sum", "--check", "--quiet", "sums"]
[task.resources]
cpu = 0.1
memory = "64MiB"
`, len(s.lab.Nodes()))
	s.must(os.WriteFile(filepath.Join(dir, "job.toml"), []byte(job), 0o600))
	return dir
}
