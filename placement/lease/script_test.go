package lease

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

var update = flag.Bool("update", false, "rewrite the scripts' pictures")

// TestScripts plays the stories in testdata. A line that begins with # is
// prose, one that begins with > is a command, and what follows it is what it
// must show: a line for each change, and for each message if they are asked for.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find scripts: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s: the picture has changed; look at it with -update\n%s", file, got)
			}
		})
	}
}

// stage is where a script plays.
type stage struct {
	*world
	t        testing.TB
	lines    []string
	messages bool
}

func play(t *testing.T, script string) string {
	s := &stage{t: t}
	var out []string
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "#"), line == "":
			out = append(out, line)
		case strings.HasPrefix(line, "> "):
			s.lines = nil
			s.do(strings.Fields(line[2:]))
			out = append(append(out, line), s.lines...)
			if len(s.broken) > 0 {
				t.Fatalf("%s: %v", line, s.broken)
			}
		}
	}
	return strings.Join(out, "\n") + "\n"
}

func (s *stage) do(args []string) {
	switch args[0] {
	case "nodes":
		n, err := strconv.Atoi(args[1])
		s.must(err)
		s.world = newWorld(1, n)
		s.net.steady = true
		s.log = s.hear
		s.found(s.t)
	case "messages":
		s.messages = args[1] == "on"
	case "bid":
		s.named(args[1]).step(Bid{s.slotsOf(args[2:])})
	case "run":
		d, err := time.ParseDuration(args[1])
		s.must(err)
		s.run(d)
	case "stop":
		s.named(args[1]).stop()
		s.members()
	case "start":
		s.named(args[1]).start(s.t)
		s.members()
	case "split":
		set := 0
		for _, name := range args[1:] {
			set |= 1 << s.named(name).at
		}
		s.split(set)
		s.members()
	case "heal":
		s.split(0)
		s.members()
	case "evict":
		s.named(args[1]).gone = true
		s.members()
	case "force":
		s.force(s.named(args[1]))
	case "show":
		s.show()
	default:
		s.t.Fatalf("script: unknown command %q", args[0])
	}
}

func (s *stage) must(err error) {
	if err != nil {
		s.t.Fatalf("script: %v", err)
	}
}

// hear keeps a line of the story, with names for ids.
func (s *stage) hear(format string, args ...any) {
	line := s.names(fmt.Sprintf(format, args...))
	if s.messages || !strings.Contains(line, "<-") {
		s.lines = append(s.lines, strings.TrimRight(line, " "))
	}
}

func (s *stage) names(text string) string {
	for _, n := range s.nodes {
		text = strings.ReplaceAll(text, string(n.id), n.name())
		text = strings.ReplaceAll(text, n.id.Short(), n.name())
	}
	return text
}

// name is the node's number by seat, as scripts call it.
func (n *node) name() string { return "n" + strconv.Itoa(n.at+1) }

func (s *stage) named(name string) *node {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	s.must(err)
	return s.nodes[i-1]
}

func (s *stage) slotsOf(args []string) SlotSet {
	if len(args) == 1 && args[0] == "all" {
		return AllSlots()
	}
	var set SlotSet
	for _, arg := range args {
		i, err := strconv.Atoi(arg)
		s.must(err)
		set.Add(mesh.Slot(i))
	}
	return set
}

func (s *stage) force(n *node) {
	out, err := n.party.Force(n.local(), "the others burned")
	s.must(err)
	n.perform(out)
}

// show draws each node: its roster, and what it holds under which fence.
func (s *stage) show() {
	for _, n := range s.nodes {
		if n.party == nil {
			s.lines = append(s.lines, n.name()+" down")
			continue
		}
		held := map[string]SlotSet{}
		for i := range mesh.Slots {
			if f, ok := n.party.Held(n.local(), mesh.Slot(i)); ok {
				set := held[f.String()]
				set.Add(mesh.Slot(i))
				held[f.String()] = set
			}
		}
		line := fmt.Sprintf("%s %v", n.name(), n.party.Roster())
		for fence, set := range held {
			line += fmt.Sprintf("; holds %v at %s", set, fence)
		}
		s.lines = append(s.lines, s.names(line))
	}
}
