package mesh

import "testing"

// TestWhatAsksForNothingFits, also on a node that has promised more than it has by now.
func TestWhatAsksForNothingFits(t *testing.T) {
	over := Resources{CPU: -Core, Memory: -GiB, Disk: -GiB}
	if lacks := over.Lacks(Resources{}); lacks != "" {
		t.Errorf("what asks for nothing is refused: %s", lacks)
	}
	if lacks := over.Lacks(Resources{Disk: 1}); lacks != "disk: needs 1 B, 0 B free" {
		t.Errorf("got %q", lacks)
	}
}

func TestCoresInWords(t *testing.T) {
	for c, want := range map[Cores]string{0: "0 cores", 500: "0.5 cores", Core: "1 core", 2 * Core: "2 cores"} {
		if got := c.Words(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
