//go:build mntestgpu

package main

import (
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts for a machine with a GPU that nobody uses: "make gpu" runs them.
func TestGPUs(t *testing.T) {
	for _, name := range []string{"nvidia-smi", "python3"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("this test is for a machine with a GPU of NVIDIA: %v", err)
		}
	}
	testscript.Run(t, meshScripts("testdata/gpu"))
}
