package configs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The source of a template is read when the job file is, and its text is one of the job's.
func TestSourcesAreReadWithTheJob(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("big", strings.Repeat("x", sourceMax+1))
	write("empty", "")
	write("good", "at ${node.name}, ${var.who}\n")
	write("unknown", "at ${node.name}\nor $${node.nam} é ${node.nam}\n")
	write("valueless", "a\nb ${var.nobody}")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		`"good"`:                "",
		`"big"`:                 `template[0].source: "big" is larger than 64 KiB`,
		`"empty"`:               `template[0].source: "empty" is empty`,
		`"gone"`:                "template[0].source: openat gone: no such file or directory, of the job's folder",
		`"link"`:                "template[0].source: openat link: path escapes from parent, of the job's folder",
		`"../job.toml"`:         "path escapes from parent",
		`"pipe"`:                `template[0].source: "pipe" is no file`,
		`"."`:                   `template[0].source: "." is no file`,
		`"unknown"`:             "unknown:2:19: task \"a\": template[0].source: unknown ${node.nam}; did you mean ${node.name}?",
		`"valueless"`:           "valueless:2:3: task \"a\": template[0].source: ${var.nobody} has no value",
		"\"good\"\ncontent='x'": "template[0].source: is another way to say what is in it: want content, or source",
	} {
		write(JobFile, "name='a'\n[variables]\nwho='me'\n[[task]]\nname='a'\ncommand=['true']\n"+
			"[[task.template]]\npath='conf'\nsource="+source+"\n")
		job, err := ReadJob(dir, Variables{})
		switch {
		case want == "" && (err != nil || job.Tasks[0].Templates[0].Content != "at ${node.name}, me\n"):
			t.Errorf("%s: got %v, %v", source, job, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: got %v, want %q", source, err, want)
		}
	}
}

// All that is wrong with a file is told, each where it stands.
func TestFaultsOfASourceAreAllTold(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		JobFile:     "name='a'\n[[task]]\nname='a b'\ncommand=['true']\n[[task.template]]\npath='conf'\nsource='conf.tmpl'\n",
		"conf.tmpl": "up ${service.web.all}\nbad ${service.web.hst}\n${NOPE} ${node.}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := ReadJob(dir, Variables{})
	if err == nil {
		t.Fatal("it is taken")
	}
	want := []string{JobFile + ":3:6: ", "conf.tmpl:2:5: ", "conf.tmpl:3:1: ", "conf.tmpl:3:9: "}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d faults, want %d:\n%v", len(lines), len(want), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, filepath.Join(dir, want[i])) {
			t.Errorf("got %q, want one at %q", line, want[i])
		}
	}
}
