package exec

import (
	"strings"
	"testing"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// Attempts after the first find the files where they are: they wait for no download.
func TestRestartsDoNotWaitForFilesOfOthers(t *testing.T) {
	open, root := keeping(t, &shelf{})
	d := open()
	s := drivertest.Spec("web", `echo "$(cat n)"; echo kept >n; exit 1`)
	s.Payload = &mesh.Payload{Tree: "files"}
	d.Start(s)
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
	for range restoresMax {
		d.restores <- struct{}{}
	}
	s.Attempt = 2
	d.Start(s)
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
	if got := strings.Join(lines(t, root, "web"), " "); got != "files kept" {
		t.Errorf("it has found %q", got)
	}
}

func TestFilesThatCannotBeHadAreMissing(t *testing.T) {
	open, _ := keeping(t, &shelf{})
	d := open()
	s := drivertest.Spec("web", `exit 0`)
	s.Payload = &mesh.Payload{Tree: "lost"}
	d.Start(s)
	next(t, d, runner.FilesMissing)
}

// What a job brings must not be taken for ours, nor be removed to make room for that.
func TestFilesUnderOurNamesAreRefused(t *testing.T) {
	shared := t.TempDir()
	for _, tt := range []struct {
		brings        string
		volume, saved bool
		want          string
	}{
		{volumesDir, true, false, `they bring "volumes"`},
		{volumesDir, false, true, ""},
		{"checkpoint-ready", false, true, `they bring "checkpoint-ready"`},
		{"checkpoint-ready", true, false, ""},
	} {
		open, root := keeping(t, &shelf{})
		d := open()
		d.cfg.Volumes = []string{shared}
		s := saving(root, `exit 0`, 1)
		s.Payload = &mesh.Payload{Tree: tt.brings}
		if !tt.saved {
			s.Saving = nil
		}
		if tt.volume {
			s.Volumes = []mesh.Volume{{Name: "v", Source: shared, Mode: mesh.ReadWrite}}
		}
		d.Start(s)
		if tt.want == "" {
			next(t, d, runner.Started)
			next(t, d, runner.Exited)
		} else if o := next(t, d, runner.StartFailed); !strings.Contains(o.Err, tt.want) {
			t.Errorf("%+v: observed %q", tt, o.Err)
		}
	}
}
