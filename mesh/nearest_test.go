package mesh

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A key that is one slip of the finger away from a known one is recognised.
func TestNearestKnowsSlips(t *testing.T) {
	known := []string{"attempts", "command", "count", "delay", "driver", "interval", "resources"}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom(known).Draw(t, "key")
		i := rapid.IntRange(0, len(key)-1).Draw(t, "at")
		var slip string
		switch rapid.SampledFrom([]string{"drop", "double", "change", "swap"}).Draw(t, "slip") {
		case "drop":
			slip = key[:i] + key[i+1:]
		case "double":
			slip = key[:i+1] + key[i:]
		case "change":
			slip = key[:i] + "_" + key[i+1:]
		case "swap":
			i = min(i, len(key)-2)
			slip = key[:i] + key[i+1:i+2] + key[i:i+1] + key[i+2:]
		}
		if got := Nearest(slip, known); got != key {
			t.Fatalf("Nearest(%q): got %q, want %q", slip, got, key)
		}
	})
}

func TestNearestLeavesStrangersAlone(t *testing.T) {
	for _, key := range []string{"", "x", "colour", "image", strings.Repeat("command", 100)} {
		if got := Nearest(key, []string{"command", "count", "name", "type"}); got != "" {
			t.Errorf("Nearest(%q): got %q, want none", key, got)
		}
	}
}
