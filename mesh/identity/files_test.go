package identity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// A path below a file holds no mesh, and the error must not claim one.
func TestNoMeshIsFoundBelowAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "x")} {
		if Admitted(dir) {
			t.Errorf("%q is admitted", dir)
		}
		_, err := Found(dir, mesh.Worker, time.Now(), nil)
		if err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("Found(%q): got %v, want one that says not a directory", dir, err)
		}
	}
}
