package exec

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

func TestOtherUser(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("only root can run tasks as others")
	}
	for _, i := range []mesh.Isolation{mesh.IsolateNone, mesh.IsolateCgroup} {
		t.Run("isolation "+string(i), func(t *testing.T) {
			w := suite().NewWorld(t)
			closed := filepath.Dir(w.Root) // as a test's folder is made
			s := drivertest.Spec("web", `id -u >uid; cd ../../../shared && touch ours; cat ../tasks/web/spec.json`)
			s.User, s.Isolation = "nobody", i
			w.Start(s)
			o := w.Expect(runner.StartFailed)
			if want := fmt.Sprintf(`%q lets user "nobody" not through`, closed); !strings.Contains(o.Err, want) {
				t.Errorf("observed %q, want it to have %q", o.Err, want)
			}
			// What a umask has closed of the agent's own, it opens.
			if err := errors.Join(os.Chmod(closed, 0o711), os.Chmod(w.Root, 0o700)); err != nil {
				t.Fatal(err)
			}
			s.Attempt++
			w.Start(s)
			w.Expect(runner.Started)
			if o := w.Expect(runner.Exited); o.ExitCode == 0 {
				t.Error("another user has read what to start, which may hold secrets")
			}
			if got := w.Wait("web", "uid"); got != nobody.Uid {
				t.Errorf("ran as %s, want %s", got, nobody.Uid)
			}
			if _, err := os.Stat(filepath.Join(w.Root, runner.SharedDir(alloc), "ours")); err != nil {
				t.Error(err)
			}
		})
	}
	w := suite().NewWorld(t)
	s := drivertest.Spec("other", "exit 0")
	s.User = "no-such-user"
	w.Start(s)
	if o := w.Expect(runner.StartFailed); !strings.Contains(o.Err, `run as user "no-such-user"`) {
		t.Errorf("observed %+v", o)
	}
}
