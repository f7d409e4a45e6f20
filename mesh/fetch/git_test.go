package fetch

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mn/mesh"
)

// forge is a git server with one repository of two commits, which asks for a password.
func forge(t *testing.T) (address string, commits []string) {
	t.Helper()
	dir := t.TempDir()
	repo := filepath.Join(dir, "code.git")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a", "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "work")
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "work", name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("text", "one\n", 0o644)
	write("run", "#!/bin/sh\n", 0o755)
	write(".gitattributes", "text filter=evil\n* export-subst\n", 0o644)
	if err := os.Symlink("text", filepath.Join(dir, "work", "link")); err != nil {
		t.Fatal(err)
	}
	git("-C", "work", "add", "-A")
	git("-C", "work", "commit", "--quiet", "-m", "one")
	commits = append(commits, git("-C", "work", "rev-parse", "HEAD"))
	if err := os.Symlink("../../etc/passwd", filepath.Join(dir, "work", "out")); err != nil {
		t.Fatal(err)
	}
	git("-C", "work", "add", "-A")
	git("-C", "work", "commit", "--quiet", "-m", "two")
	commits = append(commits, git("-C", "work", "rev-parse", "HEAD"))
	git("clone", "--quiet", "--bare", "work", repo)
	backend := &cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"), Root: "/",
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/moved") {
			http.Redirect(w, r, strings.Replace(r.URL.String(), "/moved", "", 1), http.StatusFound)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/old") { // it speaks what servers spoke before they gave commits by hash
			r.Header.Del("Git-Protocol")
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/old")
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", mesh.GitPrefix+"http://me:hunter2@", 1), commits
}

func TestCommitsAreFetched(t *testing.T) {
	home, commits := forge(t)
	f := New(nil, nil, t.TempDir(), "")
	clone := func(source, commit string, most mesh.Bytes) (*os.Root, error) {
		t.Helper()
		into, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { into.Close() })
		return into, f.Clone(t.Context(), &mesh.Artifact{Source: source, Commit: commit, MaxSize: most}, into)
	}
	into, err := clone(home+"/code.git", commits[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	// It is not the last of its branch, so many servers do not give it by its hash.
	if _, err := clone(home+"/old/code.git", commits[0], 0); err != nil {
		t.Errorf("of an old server: %v", err)
	}
	if text, err := into.ReadFile("link"); err != nil || string(text) != "one\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if info, err := into.Stat("run"); err != nil || info.Mode() != 0o755 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if _, err := into.Stat(".git"); err == nil {
		t.Error("the history is there too")
	}
	for want, source := range map[string][2]string{
		"which is not beneath the folder":       {home + "/code.git", commits[1]},
		"has no commit 00000":                   {home + "/code.git", strings.Repeat("0", 39) + "1"},
		"of the link alone":                     {mesh.GitPrefix + "http://169.254.169.254/x", commits[0]},
		"not found":                             {home + "/nothing.git", commits[0]},
		"The requested URL returned error: 302": {home + "/moved/code.git", commits[0]},
		"terminal prompts disabled":             {strings.Replace(home, "me:hunter2@", "", 1) + "/code.git", commits[0]},
	} {
		_, err := clone(source[0], source[1], 0)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := clone(home+"/code.git", commits[0], 5); err == nil {
		t.Error("more is fetched than may be")
	}
	if left, err := os.ReadDir(f.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// pretended is a git that does something else.
func pretended(t *testing.T, most int64, script string) *git {
	t.Helper()
	g := &git{dir: t.TempDir(), most: most, address: &url.URL{}, commit: strings.Repeat("0", 40)}
	if err := os.WriteFile(filepath.Join(g.dir, "git"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	g.program = filepath.Join(g.home(), "git")
	if err := g.own(); err != nil {
		t.Fatal(err)
	}
	return g
}

// A file may have so many bytes; many files may not have many times as many.
func TestARepositoryIsAsLargeAsItMayBe(t *testing.T) {
	g := pretended(t, 4<<20, `for i in $(seq 64); do head -c 4000000 /dev/zero >"$HOME/$i"; done; exec tail -f /dev/null`)
	ctx, stop := g.watched(t.Context())
	defer stop()
	if _, err := g.run(ctx, "fetch"); err == nil || !IsFinal(err) || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestAListOfFilesIsAsLongAsItMayBe(t *testing.T) {
	g := pretended(t, 1, "exec cat /dev/zero")
	if _, err := g.run(t.Context(), "ls-tree"); err == nil || !IsFinal(err) || !strings.Contains(err.Error(), "lists more than") {
		t.Errorf("got %v", err)
	}
}

// What a stranger's server sends is read by somebody who may do nothing, and whom no task can run
// as: tasks run as users whom the machine knows by name.
func TestGitIsNobodyElse(t *testing.T) {
	g := pretended(t, 1<<20, `id -u; id -G; touch "$HOME/mine"`)
	said, err := g.run(t.Context(), "fetch")
	if err != nil {
		t.Fatal(err)
	}
	if u, err := user.LookupId(strconv.Itoa(gitUser)); err == nil {
		t.Errorf("a task with user = %q is git's user", u.Username)
	}
	id, _, _ := strings.Cut(string(said), "\n")
	want := strconv.Itoa(os.Geteuid())
	if want == "0" {
		want = strconv.Itoa(gitUser)
		if !strings.HasPrefix(string(said), want+"\n"+want+"\n") {
			t.Errorf("its groups are %q", said)
		}
	}
	if id != want {
		t.Errorf("it is %s, want %s", id, want)
	}
	if _, err := os.Stat(filepath.Join(g.dir, "mine")); err != nil {
		t.Error(err)
	}
}
