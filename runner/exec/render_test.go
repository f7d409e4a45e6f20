package exec

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"mn/runner"
	"mn/runner/drivertest"
)

// Whatever a task makes of its folder, its files are written into that, or not at all.
func TestRenderStaysInTheTasksFolder(t *testing.T) {
	w := suite().NewWorld(t)
	outside := t.TempDir()
	s := drivertest.Spec("web", `rm -r conf && ln -s `+outside+` conf
		mkdir -p dir/in; rm file; mkdir file; rm link; ln -s `+outside+`/target link
		mkfifo .mn-template; mkdir -p hold/.mn-template/x; >ready; exec sleep 100`)
	for _, path := range []string{"conf/a", "dir/in/a", "file", "link", "hold/a", "fine"} {
		s.Templates = append(s.Templates, runner.File{Path: path, Text: "one", Mode: 0o640})
	}
	w.Run(s)
	files := slices.Clone(s.Templates)
	for i := range files {
		files[i].Text = "two"
	}
	w.Driver.Render(s.Alloc, "web", 1, files)
	o := w.Expect(runner.Rendered)
	if want := []string{"dir/in/a", "link", "fine"}; !slices.Equal(o.Files, want) {
		t.Errorf("rendered %q, want %q", o.Files, want)
	}
	for _, want := range []string{`file "conf/a" cannot be written: `, `file "file" cannot be written: `, `file "hold/a" cannot be`} {
		if !strings.Contains(o.Err, want) {
			t.Errorf("got error %q, want it to have %q", o.Err, want)
		}
	}
	if all, err := os.ReadDir(outside); err != nil || len(all) > 0 {
		t.Errorf("outside are %v, %v", all, err)
	}
	work := filepath.Join(w.Root, runner.WorkDir(s.Alloc, "web"))
	for _, name := range []string{"dir/in/a", "link", "fine"} {
		info, err := os.Lstat(filepath.Join(work, name))
		if err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: got %v, %v, want a file that its group may read", name, info, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(work, freshName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left of what was being written: %v", err)
	}
}

// What cannot be written keeps the task from starting, and says why.
func TestFileThatCannotBeRenderedIsNoStart(t *testing.T) {
	w := suite().NewWorld(t)
	s := drivertest.Spec("web", "exit 0")
	s.Templates = []runner.File{{Path: "a", Text: "x", Mode: 0o644}, {Path: "a/b", Text: "x", Mode: 0o644}}
	w.Start(s)
	if o := w.Expect(runner.StartFailed); !strings.Contains(o.Err, `render file "a/b": `) {
		t.Errorf("observed %+v", o)
	}
}

func TestRenderedFilesAreTheTasksUsers(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("only root can run tasks as others")
	}
	w := suite().NewWorld(t)
	if err := errors.Join(os.Chmod(filepath.Dir(w.Root), 0o711), os.Chmod(w.Root, 0o711)); err != nil {
		t.Fatal(err)
	}
	s := drivertest.Spec("web", `cat in/conf; echo more >>in/conf; >ready; exec sleep 100`)
	s.User, s.Templates = "nobody", []runner.File{{Path: "in/conf", Text: "one\n", Mode: 0o600}}
	w.Run(s)
	for _, text := range []string{"one\n", "two\n"} {
		if text != "one\n" {
			file := s.Templates[0]
			file.Text = text
			w.Driver.Render(s.Alloc, "web", 1, []runner.File{file})
			w.Expect(runner.Rendered)
		}
		for _, name := range []string{"in", "in/conf"} {
			info, err := os.Stat(filepath.Join(w.Root, runner.WorkDir(s.Alloc, "web"), name))
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; strconv.Itoa(int(uid)) != nobody.Uid {
				t.Errorf("%s is of user %d", name, uid)
			}
		}
	}
}
