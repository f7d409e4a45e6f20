package fetch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mn/mesh"
	"mn/runner/archive"
)

// Git is made to be configured by the user who runs it and by the repositories that it is in,
// and much of what can be configured runs programs. Here it is neither: it fetches into an empty
// repository of ours, with none of the machine's settings, no helper for passwords, no hooks,
// no submodules, and no keys, over http and https alone. Nothing is checked out, for that is where
// filters run and links are followed: files are read one by one, and written as those of any
// archive are.

// Bounds of git.
const (
	gitWords   = 4 << 10 // bytes of what it says that are kept
	gitList    = 64 << 20
	gitMemory  = 2 << 20 // KiB of addresses, for each of its processes
	gitTime    = 3600    // seconds of a processor, for each
	gitListing = 120     // and for a list of files, which may be one of more than there are atoms
	clonesMax  = 2       // at once
	gitWait    = 5 * time.Second
	gitObjects = 200_000
)

// Clone writes the files of a commit into an empty folder.
func (f *Fetcher) Clone(ctx context.Context, a *mesh.Artifact, into *os.Root) error {
	program, err := exec.LookPath("git")
	if err != nil {
		return Final(errors.New("this node has no git: install it there"))
	}
	u, err := a.URL()
	if err != nil {
		return Final(err)
	}
	// What git asks for itself is not ours to look at when it does. That no such host is found it says.
	all, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if slices.ContainsFunc(all, linked) {
		return Final(errLink)
	}
	select {
	case f.clones <- struct{}{}:
		defer func() { <-f.clones }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	dir, err := os.MkdirTemp(f.Dir, "git-")
	if err != nil {
		return fmt.Errorf("make a folder for the repository: %w", err)
	}
	defer os.RemoveAll(dir)
	g := &git{program: program, dir: dir, most: a.Most(), address: u, commit: a.Commit}
	if err := g.own(); err != nil {
		return err
	}
	ctx, stop := g.watched(ctx)
	defer stop()
	if err := g.fetch(ctx); err != nil {
		return err
	}
	return g.write(ctx, into)
}

// git is a repository that is fetched.
type git struct {
	program string
	dir     string // holds it
	most    int64  // bytes of a file
	address *url.URL
	commit  string
}

// initialize makes an empty repository, in place of the one before.
func (g *git) initialize(ctx context.Context) error {
	if err := os.RemoveAll(filepath.Join(g.dir, repository)); err != nil {
		return fmt.Errorf("empty the repository: %w", err)
	}
	format := "--object-format=sha1"
	if len(g.commit) > 40 {
		format = "--object-format=sha256"
	}
	_, err := g.run(ctx, "init", "--quiet", "--bare", "--template=", format, g.repository())
	return err
}

// fetch brings the commit here: alone, or where the server does not give that, with all branches
// and tags.
func (g *git) fetch(ctx context.Context) error {
	if err := g.initialize(ctx); err != nil {
		return err
	}
	fetch := []string{
		"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc",
	}
	_, err := g.run(ctx, append(slices.Clone(fetch), "--depth=1", "source", g.commit)...)
	if err != nil && ctx.Err() == nil {
		if err := g.initialize(ctx); err != nil {
			return err
		}
		all := []string{"source", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}
		if _, more := g.run(ctx, append(fetch, all...)...); more != nil && ctx.Err() == nil {
			return err // why the first went wrong says more
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	kind, err := g.run(ctx, "cat-file", "-t", g.commit)
	if err != nil || strings.TrimSpace(string(kind)) != "commit" {
		return Final(fmt.Errorf("the repository has no commit %s in its branches and tags", g.commit))
	}
	return nil
}

// repository is the name of the repository in git's folder.
const repository = "repository"

// repository is where git sees it.
func (g *git) repository() string { return filepath.Join(g.home(), repository) }

// settings are those of git, which come by the environment: what a password is in is not for
// those who list processes.
func (g *git) settings() []string {
	address := *g.address
	address.User, address.Fragment = nil, ""
	set := [][2]string{
		{"remote.source.url", address.String()},
		{"core.hooksPath", os.DevNull},
		{"core.fsmonitor", "false"},
		{"credential.helper", ""},
		{"http.followRedirects", "false"},
		{"http.lowSpeedLimit", strconv.Itoa(paceBytes / int(paceTimeout/time.Second))},
		{"http.lowSpeedTime", strconv.Itoa(int(paceTimeout / time.Second))},
		{"fetch.unpackLimit", "1"}, // one file, so that its size is bounded
		{"transfer.bundleURI", "false"},
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		{"pack.threads", "1"},
		{"core.packedGitWindowSize", "64m"}, // of the addresses that it has
		{"core.packedGitLimit", "512m"},
		{"core.bigFileThreshold", "64m"},
	}
	if user := g.address.User; user != nil {
		password, _ := user.Password()
		word := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		set = append(set, [2]string{"http.extraHeader", "Authorization: Basic " + word})
	}
	env := []string{"GIT_CONFIG_COUNT=" + strconv.Itoa(len(set))}
	for i, kv := range set {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+kv[0], "GIT_CONFIG_VALUE_"+n+"="+kv[1])
	}
	return env
}

// passed are variables of the agent that git may see: how to get out of the network.
var passed = []string{
	"PATH", "http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"GIT_SSL_CAINFO",
}

// command is git with some arguments. All that it starts is killed with it.
func (g *git) command(ctx context.Context, args ...string) (*exec.Cmd, *tail) {
	time := gitTime
	if args[0] == "ls-tree" {
		time = gitListing
	}
	limits := fmt.Sprintf(`ulimit -f %d && ulimit -v %d && ulimit -t %d && ulimit -c 0 && exec "$@"`,
		g.most/512+1, gitMemory, time)
	argv := append([]string{"-c", limits, "sh", g.program, "--no-pager", "--git-dir=" + g.repository()}, args...)
	cmd := exec.CommandContext(ctx, "/bin/sh", argv...)
	home := g.home()
	cmd.Dir = home
	cmd.Env = append([]string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "TMPDIR=" + home, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_SYSTEM=" + os.DevNull, "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GIT_ALLOW_PROTOCOL=https:http",
		"GIT_PROTOCOL_FROM_USER=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_LFS_SKIP_SMUDGE=1",
	}, g.settings()...)
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = gitWait
	words := &tail{}
	cmd.Stderr = words
	return cmd, words
}

// run is what git answers, which is short.
func (g *git) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd, words := g.command(ctx, args...)
	out := &tail{most: gitList}
	cmd.Stdout = out
	wait, err := g.start(cmd)
	if err != nil {
		return nil, err
	}
	err = wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case out.full:
		return nil, Final(fmt.Errorf("git %s: it lists more than %d bytes", args[0], out.most))
	case err != nil:
		return nil, g.failed(args[0], err, words)
	}
	return out.kept, nil
}

// failed is why git has failed, by its last line.
func (g *git) failed(what string, err error, words *tail) error {
	text := strings.TrimSpace(string(words.kept))
	if g.address.RawQuery != "" {
		text = strings.ReplaceAll(text, "?"+g.address.RawQuery, "")
	}
	text = printable(text[strings.LastIndexByte(text, '\n')+1:])
	if text == "" {
		return fmt.Errorf("git %s: %w: it may be larger than %v", what, err, mesh.Bytes(g.most))
	}
	return fmt.Errorf("git %s: %s", what, text)
}

// tail keeps the end of what is written, or, with a bound of its own, the beginning.
type tail struct {
	kept []byte
	most int
	full bool // more has come than may: git is told so, and ends
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	if t.most > 0 && len(p) > t.most-len(t.kept) {
		t.full = true
		return 0, io.ErrShortWrite
	}
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - gitWords; t.most == 0 && over > 0 {
		t.kept = slices.Delete(t.kept, 0, over)
	}
	return len(p), nil
}

// entry is one line of git's list of a commit's files.
type entry struct{ mode, kind, object, path string }

// entries are all files and links of the commit.
func (g *git) entries(ctx context.Context) ([]entry, error) {
	list, err := g.run(ctx, "ls-tree", "-r", "-z", "--full-tree", g.commit)
	if err != nil {
		return nil, err
	}
	var all []entry
	for line := range bytes.SplitSeq(list, []byte{0}) {
		if len(line) == 0 {
			continue
		}
		head, name, _ := strings.Cut(string(line), "\t")
		fields := strings.Fields(head)
		if len(fields) != 3 {
			return nil, Final(errors.New("git ls-tree: a line that cannot be read"))
		}
		if fields[1] != "blob" { // a submodule: it is a repository of its own
			continue
		}
		if all = append(all, entry{fields[0], fields[1], fields[2], name}); len(all) > gitObjects {
			return nil, Final(fmt.Errorf("the commit has more than %d files", gitObjects))
		}
	}
	return all, nil
}

// write writes the commit's files.
func (g *git) write(ctx context.Context, into *os.Root) (err error) {
	all, err := g.entries(ctx)
	if err != nil {
		return err
	}
	cmd, words := g.command(ctx, "cat-file", "--batch")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	wait, err := g.start(cmd)
	if err != nil {
		return err
	}
	w := archive.NewWriter(ctx, into, archive.Bounds{Entries: 2 * gitObjects, Bytes: g.most, Ratio: 1}, g.most)
	r := bufio.NewReader(out)
	for i := range all {
		if err = g.one(w, &all[i], in, r); err != nil {
			break
		}
	}
	in.Close()
	if err == nil {
		err = w.Finish()
	}
	if err != nil {
		_ = cmd.Cancel()
	}
	ended := wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return Final(fmt.Errorf("write the repository's files: %w", err))
	case ended != nil:
		return g.failed("cat-file", ended, words)
	}
	return nil
}

// one asks for an object, and writes it.
func (g *git) one(w *archive.Writer, e *entry, in io.Writer, r *bufio.Reader) error {
	for part := range strings.SplitSeq(e.path, "/") {
		if strings.EqualFold(part, ".git") {
			return fmt.Errorf("%q is no name of a repository's file", printable(e.path))
		}
	}
	if _, err := io.WriteString(in, e.object+"\n"); err != nil {
		return err
	}
	head, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read object: %w", err)
	}
	fields := strings.Fields(string(head))
	if len(fields) != 3 || fields[0] != e.object || fields[1] != "blob" {
		return fmt.Errorf("read object %s: git says %q", e.object, printable(string(head)))
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || size < 0 {
		return fmt.Errorf("read object %s: its size is %q", e.object, fields[2])
	}
	content := io.LimitReader(r, size)
	switch e.mode {
	case "120000":
		var to []byte
		if to, err = io.ReadAll(io.LimitReader(content, 4<<10)); err == nil {
			err = w.Link(e.path, string(to))
		}
	case "100755":
		err = w.File(e.path, 0o755, content)
	default:
		err = w.File(e.path, fs.FileMode(0o644), content)
	}
	if err != nil {
		return err
	}
	if left, err := io.Copy(io.Discard, content); err != nil || left > 0 {
		return fmt.Errorf("read object %s: %d bytes are left of it (%w)", e.object, left, err)
	}
	_, err = r.ReadByte() // the end of the line
	return err
}
