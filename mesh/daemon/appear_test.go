package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAFileHasAppearedWhenNobodyWritesToItAnyMore(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a/one.csv", "1")
	write("b/two.csv", "22")
	write("b/three.txt", "3")
	write("b/sub.csv/x", "")
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"c": outside, "b/link.csv": filepath.Join(outside, "secret.csv")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	patterns := []string{filepath.Join(dir, "*", "*.csv"), filepath.Join(dir, "a", "one.csv"), "/nothing/[a"}
	now := time.Now()
	there, fresh := appeared(patterns, nil, now)
	if len(there) != 2 || len(fresh) != 0 {
		t.Fatalf("at first there are %v, and %v is told: want two files, and nothing", there, fresh)
	}
	if _, fresh = appeared(patterns, there, now); len(fresh) != 0 {
		t.Errorf("%v is told, and may be written to yet", fresh)
	}
	later := now.Add(quietFor + time.Second)
	write("b/two.csv", "222")
	there, fresh = appeared(patterns, there, later)
	if len(fresh) != 1 || filepath.Base(fresh[0].Path) != "one.csv" || fresh[0].Size != 1 {
		t.Fatalf("%+v is told, want the one that nobody has written to", fresh)
	}
	there, fresh = appeared(patterns, there, later)
	if len(fresh) != 1 || filepath.Base(fresh[0].Path) != "two.csv" {
		t.Errorf("%+v is told, want the other", fresh)
	}
	if _, fresh = appeared(patterns, there, later); len(fresh) != 0 {
		t.Errorf("%+v is told again", fresh)
	}
}
