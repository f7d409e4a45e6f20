package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mn/mesh"
	"mn/runner/frames"
)

// received sends a path and takes it home.
func received(t *testing.T, f *Folder, name string) (dir string, left mesh.LeftOut, err error) {
	t.Helper()
	var sent bytes.Buffer
	if err := f.Send(context.Background(), name, &sent); err != nil {
		return "", left, err
	}
	return takeHome(t, &sent)
}

func takeHome(t *testing.T, sent io.Reader) (dir string, left mesh.LeftOut, err error) {
	t.Helper()
	dir = t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	left, err = Receive(sent, root, "x", nil)
	return filepath.Join(dir, "x"), left, err
}

func TestFolderComesHomeAsItIs(t *testing.T) {
	f, dir := copyOf(t)
	link(t, "../a.txt", filepath.Join(dir, "sub", "in"))
	link(t, "nowhere", filepath.Join(dir, "dangling"))
	link(t, "/etc", filepath.Join(dir, "etc"))
	link(t, "../secret", filepath.Join(dir, "up"))
	link(t, "..", filepath.Join(dir, "sub", "deep", "s")) // to sub
	link(t, "sub/deep/s/../../..", filepath.Join(dir, "round"))
	fifo(t, filepath.Join(dir, "pipe"))
	if err := os.WriteFile(filepath.Join(dir, "bad\xff"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	home, left, err := received(t, f, ".")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.txt": "hello", "sub/deep/b": "deep", "sub/in": "hello", "sub/deep/s/in": "hello"} {
		if got, err := os.ReadFile(filepath.Join(home, name)); string(got) != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(home, "a.txt")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its permissions: got %v, %v, want 0640", info.Mode(), err)
	}
	if to, err := os.Readlink(filepath.Join(home, "dangling")); err != nil || to != "nowhere" {
		t.Errorf("a link: got %q, %v, want it to lead nowhere", to, err)
	}
	said := strings.Join(left.Names, "\n")
	for _, want := range []string{"etc: it is a link that leads out, to /etc", "up:", "round:", "pipe: it is a pipe", `"bad\xff"`} {
		if !strings.Contains(said, want) {
			t.Errorf("left out: %q, want %q among it", said, want)
		}
	}
	if left.Count != 5 {
		t.Errorf("left out are %d, want 5: %s", left.Count, said)
	}
	for _, name := range []string{"etc", "up", "round", "pipe"} {
		if _, err := os.Lstat(filepath.Join(home, name)); !os.IsNotExist(err) {
			t.Errorf("%s: got %v, want it left out", name, err)
		}
	}
	if home, _, err := received(t, f, "a.txt"); err != nil {
		t.Error(err)
	} else if got, _ := os.ReadFile(home); string(got) != "hello" {
		t.Errorf("a file: got %q, want hello", got)
	}
}

func TestDepthIsBounded(t *testing.T) {
	f, dir := copyOf(t)
	if err := os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", depthMax+3)), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, left, err := received(t, f, "."); err != nil || left.Count != 1 || !strings.Contains(left.Names[0], "deep") {
		t.Errorf("got %+v, %v, want what is too deep left out", left, err)
	}
}

// What a sender may say, and must not make happen here.
func TestSenderIsNotBelieved(t *testing.T) {
	folder := `n{"name":".","kind":"folder","mode":"0755"}`
	file := `n{"name":"f","kind":"file","size":3}`
	for name, say := range map[string][]string{
		"out of the folder":   {folder, `n{"name":"../f","kind":"file","size":3}`},
		"of the machine":      {folder, `n{"name":"/tmp/f","kind":"file","size":3}`},
		"no clean name":       {folder, `n{"name":"a/../f","kind":"file"}`},
		"no name":             {folder, `n{"name":"","kind":"file"}`},
		"the folder twice":    {folder, folder},
		"through a link":      {folder, `n{"name":"l","kind":"link","link":"/tmp"}`, `n{"name":"l/f","kind":"file"}`},
		"in no folder":        {folder, `n{"name":"no/f","kind":"file"}`},
		"over another":        {folder, file, file},
		"more than it said":   {file, "d1234"},
		"more in the end":     {file, "d123", "d4"},
		"bytes of nothing":    {"d1"},
		"bytes of a folder":   {folder, "d1"},
		"only the end":        {"z{}"},
		"only a link":         {`n{"name":"l","kind":"link","link":"a"}`},
		"a link after a file": {file, `n{"name":"l","kind":"link","link":"/etc"}`, "z{}"},
		"a file after a file": {file, `n{"name":"g","kind":"file"}`, "z{}"},
		"a long link":         {folder, `n{"name":"l","kind":"link","link":"` + strings.Repeat("x", linkMax+1) + `"}`, "z{}"},
		"too deep":            append(append([]string{folder}, nested(depthMax+1)...), "z{}"),
		"less than nothing":   {`n{"name":"f","kind":"file","size":-1}`, "z{}"},
		"a petabyte":          {`n{"name":"f","kind":"file","size":1125899906842624}`, "z{}"},
		"a fault of no kind":  {folder, `g{"kind":"x","error":"because"}`},
		"a pipe":              {folder, `n{"name":"p","kind":"pipe"}`},
		"no JSON":             {"n{"},
		"another frame":       {folder, "o1"},
		"no end":              {folder, file, "d123"},
		"nothing":             {},
		"a fault of none":     {folder, "g{}"},
		"a fault":             {folder, `g{"kind":"denied","error":"because"}`},
	} {
		var sent bytes.Buffer
		for _, s := range say {
			if err := frames.Write(&sent, frames.Kind(s[0]), []byte(s[1:])); err != nil {
				t.Fatal(err)
			}
		}
		if _, left, err := takeHome(t, &sent); err == nil {
			t.Errorf("%s: was taken, with %+v left out", name, left)
		}
	}
}

// nested are folders in folders.
func nested(depth int) (say []string) {
	for i := range depth {
		say = append(say, `n{"name":"`+strings.TrimSuffix(strings.Repeat("d/", i+1), "/")+`","kind":"folder","mode":"0755"}`)
	}
	return say
}

func TestAFolderAsDeepAsThereAreIsTaken(t *testing.T) {
	var sent bytes.Buffer
	for _, s := range append(append([]string{`n{"name":".","kind":"folder"}`}, nested(depthMax)...), "z{}") {
		if err := frames.Write(&sent, frames.Kind(s[0]), []byte(s[1:])); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := takeHome(t, &sent); err != nil {
		t.Error(err)
	}
}

// What a sender says that it has left out, and why something is missing, is shown to people.
func TestWhatASenderSaysIsFitToBeShown(t *testing.T) {
	names := strings.TrimSuffix(strings.Repeat(`"\u001b[2J",`, namedMax+1), ",")
	var sent bytes.Buffer
	for _, s := range []string{`n{"name":".","kind":"folder"}`, `z{"count":-1,"names":[` + names + `]}`} {
		if err := frames.Write(&sent, frames.Kind(s[0]), []byte(s[1:])); err != nil {
			t.Fatal(err)
		}
	}
	_, left, err := takeHome(t, &sent)
	if err != nil || len(left.Names) != namedMax || left.Count != namedMax || left.Names[0] != `"\x1b[2J"` {
		t.Errorf("got %d %q, %v, want %d that are shown", left.Count, left.Names, err, namedMax)
	}
	for _, say := range []string{
		`g{"kind":"denied","error":"\u001b[2J","hints":["\u001b[2J"]}`, `n{"name":"f","kind":"\u001b[2J"}`,
	} {
		sent.Reset()
		if err := frames.Write(&sent, frames.Kind(say[0]), []byte(say[1:])); err != nil {
			t.Fatal(err)
		}
		err := Print(&sent, io.Discard)
		f := mesh.FaultOf(err)
		if text := f.Text + strings.Join(f.Hints, ""); err == nil || strings.Contains(text, "\x1b") {
			t.Errorf("got %q, want no more than is fit to be shown", text)
		}
	}
}

func TestAFileThatHasNoRoomIsNotBegun(t *testing.T) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(t.TempDir(), &disk); err != nil {
		t.Fatal(err)
	}
	var sent bytes.Buffer
	say := fmt.Sprintf(`{"name":"f","kind":"file","size":%d}`, disk.Blocks*uint64(disk.Bsize)+1)
	if err := errors.Join(frames.Write(&sent, frames.Entry, []byte(say)), frames.Write(&sent, frames.End, []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if home, _, err := takeHome(t, &sent); err == nil || len(mesh.FaultOf(err).Hints) == 0 {
		t.Errorf("got %v, want a hint", err)
	} else if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Errorf("got %v, want no file", err)
	}
}

// Links that lead nowhere yet must not lead out once somebody makes what is missing.
func TestLinksThatDangleLeadNowhereElse(t *testing.T) {
	f, dir := copyOf(t)
	link(t, "nowhere/../../../secret", filepath.Join(dir, "sub", "later"))
	link(t, "nowhere/../here", filepath.Join(dir, "sub", "stays"))
	if err := os.Chmod(filepath.Join(dir, "a.txt"), 0o666); err != nil {
		t.Fatal(err)
	}
	home, left, err := received(t, f, ".")
	if err != nil || left.Count != 1 || !strings.HasPrefix(left.Names[0], "sub/later: it is a link that leads out") {
		t.Errorf("got %+v, %v, want one link left out", left, err)
	}
	if _, err := os.Lstat(filepath.Join(home, "sub", "stays")); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(home, "a.txt")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("got %v, %v, want a file that only its owner writes to", info, err)
	}
}

// What is left out is counted as well, and ends with who waits for it.
func TestWhatIsLeftOutIsBounded(t *testing.T) {
	f, dir := copyOf(t)
	if err := os.Truncate(filepath.Join(dir, "a.txt"), bytesMax+1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "a.txt"} {
		if _, err := printed(f, name); name == "a.txt" && (err == nil || len(mesh.FaultOf(err).Hints) == 0) {
			t.Errorf("%s: got %v, want a hint", name, err)
		}
		if _, _, err := received(t, f, name); err == nil || len(mesh.FaultOf(err).Hints) == 0 {
			t.Errorf("%s: got %v, want a hint", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	pipes := filepath.Join(dir, "sub", "pipes")
	if err := os.Mkdir(pipes, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		fifo(t, filepath.Join(pipes, fmt.Sprint(i)))
	}
	s := &sender{ctx: ctx, w: io.Discard}
	root, err := os.OpenRoot(pipes)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := s.folder(root, "", 1); err != nil || s.count != 10 || s.left.Count != 10 {
		t.Errorf("got %v and %d, want 10 that count", err, s.count)
	}
	s.count = copyMax - 9
	if err := s.folder(root, "", 1); err == nil {
		t.Error("more than there may be are left out")
	}
	cancel()
	s.count = 0
	if err := s.folder(root, "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to end with who waits", err)
	}
}

func FuzzReceive(f *testing.F) {
	folder, file := `n{"name":".","kind":"folder","mode":"0755"}`, `n{"name":"f","kind":"file","size":3}`
	link := `n{"name":"l","kind":"link","link":"/etc"}`
	for _, say := range [][]string{
		{folder, "z{}"},
		{file, "d123", "z{}"},
		{folder, file, "d123", link, `z{"count":1,"names":["x"]}`},
		{file, link, "z{}"},
		{folder, `n{"name":"d","kind":"folder"}`, `n{"name":"d/l","kind":"link","link":"../x"}`, "z{}"},
		{folder, `g{"kind":"denied","error":"x"}`},
	} {
		var text []byte
		for _, s := range say {
			text = frames.Append(text, frames.Kind(s[0]), []byte(s[1:]))
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir, _, _ := takeHome(t, bytes.NewReader(text))
		list, err := os.ReadDir(filepath.Dir(dir))
		if err != nil || len(list) > 1 || len(list) == 1 && list[0].Name() != "x" {
			t.Errorf("beside it: got %v, %v, want nothing", list, err)
		}
	})
}
