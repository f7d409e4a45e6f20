package mesh

import (
	"slices"
	"strings"
	"testing"
)

// sum is a good checksum.
const sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func artifacts(all ...Artifact) func(*Job) { return func(j *Job) { j.Tasks[0].Artifacts = all } }

func TestValidateFindsWhatCannotBeFetched(t *testing.T) {
	const web = `task "web": artifact.0.`
	git := GitPrefix + "https://host/code.git"
	commit := strings.Repeat("0a", 20)
	checkFaults(t, []spoiled{
		{"good ones", artifacts(
			Artifact{Source: "https://host/a.tar.gz?token=x", Checksum: sum},
			Artifact{Source: "http://host/b", Checksum: sum, Executable: true, Destination: "bin/b"},
			Artifact{Source: "file:///srv/c.zip", Checksum: ChecksumNone, Unpack: UnpackNone},
			Artifact{Source: git, Commit: commit},
			Artifact{Source: "https://me:secret@host/d", Checksum: ChecksumNone},
		), ""},
		{"no source", artifacts(Artifact{Checksum: sum}), web + "source: is missing: want an address with https://, http://, file:// or git::https://"},
		{"other schemes", artifacts(Artifact{Source: "ext::sh -c", Checksum: sum}), web + "source: is not an address: want one such as https://host/path"},
		{"ssh", artifacts(Artifact{Source: GitPrefix + "ssh://host/x", Commit: commit}), web + `source: git is fetched from https:// and http:// addresses only, not "ssh": want git::https://host/path`},
		{"git's files", artifacts(Artifact{Source: GitPrefix + "file:///x", Commit: commit}), web + `source: git is fetched from https:// and http:// addresses only, not "file": want git::https://host/path`},
		{"git's programs", artifacts(Artifact{Source: GitPrefix + "ext::sh", Commit: commit}), web + `source: git is fetched from https:// and http:// addresses only, not "ext": want git::https://host/path`},
		{"ftp", artifacts(Artifact{Source: "ftp://host/x", Checksum: sum}), web + `source: has unsupported scheme "ftp"; supported: https, http, file, and git::https`},
		{"a host that is an option", artifacts(Artifact{Source: GitPrefix + "https://-x/y", Commit: commit}), web + "source: names no host: want one such as https://host/path"},
		{"a file elsewhere", artifacts(Artifact{Source: "file://host/x", Checksum: sum}), web + "source: names no file: want file:// and an absolute path without . and .."},
		{"a file above", artifacts(Artifact{Source: "file:///srv/../etc/shadow", Checksum: sum}), web + "source: names no file: want file:// and an absolute path without . and .."},
		{"a secret is not told", artifacts(Artifact{Source: "https://me:secret@host/%zz", Checksum: sum}), web + "source: is not an address: want one such as https://host/path"},
		{"no checksum", artifacts(Artifact{Source: "https://host/x"}), web + `checksum: is missing: want "sha256:" and what sha256sum FILE shows, or "none" for whatever comes`},
		{"another checksum", artifacts(Artifact{Source: "https://host/x", Checksum: "md5:00"}), web + `checksum: "md5:00" is not a checksum: want "sha256:" and 64 of 0-9 and a-f, or "none"`},
		{"whatever comes by http", artifacts(Artifact{Source: "http://host/x", Checksum: ChecksumNone}), web + `checksum: "none" takes whatever comes, which over http:// anybody on the way may change: want a checksum, or https://`},
		{"whatever comes by HTTP", artifacts(Artifact{Source: "HTTP://host/x", Checksum: ChecksumNone}), web + `checksum: "none" takes whatever comes, which over http:// anybody on the way may change: want a checksum, or https://`},
		{"names of ours", artifacts(Artifact{Source: "https://host/.mn-python", Checksum: sum}), web + `destination: ".mn-python" is a name of ours in the task's folder: want another`},
		{"a long name", artifacts(Artifact{Source: "https://host/x", Checksum: sum, Destination: "a/" + strings.Repeat("x", 256)}), web + `destination: "` + clip("a/"+strings.Repeat("x", 256)) + `" has a name of more than 255 bytes in it: want a shorter one`},
		{"a branch", artifacts(Artifact{Source: git, Commit: "main"}), web + `commit: "main" is not the whole hash of a commit: want 40 or 64 of 0-9 and a-f`},
		{"no commit", artifacts(Artifact{Source: git}), web + "commit: is missing: want the whole hash of a commit, as git rev-parse HEAD shows it"},
		{"a checksum of git", artifacts(Artifact{Source: git, Commit: commit, Checksum: sum}), web + "checksum: is for a file, and a repository has commit: leave it out"},
		{"a commit of a file", artifacts(Artifact{Source: "https://host/x", Checksum: sum, Commit: commit}), web + "commit: is for a source that begins with git::: leave it out"},
		{"destinations", artifacts(
			Artifact{Source: "https://host/", Checksum: sum},
			Artifact{Source: "https://host/x", Checksum: sum, Destination: "/etc/x"},
			Artifact{Source: "https://host/x", Checksum: sum, Destination: "a/../../x"},
			Artifact{Source: "https://host/x", Checksum: sum, Destination: "volumes/x"},
			Artifact{Source: "https://host/x", Checksum: sum},
			Artifact{Source: "https://host/y", Checksum: sum, Destination: "x/y"},
		), `task "web": artifact.0.destination: is missing, and the source ends in no name` + "\n" +
			`task "web": artifact.1.destination: "/etc/x" is not a path beneath the task's folder: want a relative one, without . and ..` + "\n" +
			`task "web": artifact.2.destination: "a/../../x" is not a path beneath the task's folder: want a relative one, without . and ..` + "\n" +
			`task "web": artifact.3.destination: "volumes/x" is a name of ours in the task's folder: want another` + "\n" +
			`task "web": artifact.5.destination: is "x/y", and another artifact goes to "x": want places beside each other`},
		{"modes and bounds", artifacts(
			Artifact{Source: "https://host/x.zip", Checksum: sum, Executable: true, Unpack: "yes", MaxSize: -1, Timeout: -1},
		), `task "web": artifact.0.unpack: has unsupported value "yes"; supported: "auto", "none"` + "\n" +
			`task "web": artifact.0.executable: is for a single file, and what is unpacked has modes of its own: leave it out` + "\n" +
			`task "web": artifact.0.max_size: must be from 1 B to 64 GiB, not -1 B` + "\n" +
			`task "web": artifact.0.timeout: must not be negative, as -1ns is`},
		{"too many", func(j *Job) { j.Tasks[0].Artifacts = make([]Artifact, 33) }, `task "web": artifact: has 33 entries, more than 32`},
		{"python", func(j *Job) {
			j.Tasks[0].Python = &Python{Version: "2", Requirements: "/etc/x", Packages: []string{"a\nb", "-r", ""}, SetupTimeout: -1}
		}, `task "web": python.version: "2" is not a version: want one such as "3.12"` + "\n" +
			`task "web": python.requirements: "/etc/x" is not a path beneath the task's folder: want one such as "requirements.txt"` + "\n" +
			"task \"web\": python.packages.0: \"a\\nb\" is not a package: want one such as \"numpy==2.1.0\"\n" +
			`task "web": python.packages.1: "-r" is an option: options go into the file of requirements` + "\n" +
			`task "web": python.packages.2: "" is not a package: want one such as "numpy==2.1.0"` + "\n" +
			`task "web": python.setup_timeout: must not be negative, as -1ns is`},
		{"long packages", func(j *Job) {
			j.Tasks[0].Python = &Python{Packages: slices.Repeat([]string{strings.Repeat("x", 1024)}, 65)}
		}, `task "web": python.packages: has 66560 bytes, more than 65536: want a file of requirements`},
		{"too many packages", func(j *Job) { j.Tasks[0].Python = &Python{Packages: make([]string, 257)} }, `task "web": python.packages: has 257 entries, more than 256: want a file of requirements`},
	})
}

func TestWhereArtifactsGo(t *testing.T) {
	for source, want := range map[string][2]string{
		"https://me:pw@host/dir/tools.TAR.GZ?key=1#x": {"tools", "https://host/dir/tools.TAR.GZ"},
		"https://host/model.bin":                      {"model.bin", "https://host/model.bin"},
		"file:///srv/a.tar.zst":                       {"a", "file:///srv/a.tar.zst"},
		"git::https://me:pw@host/org/code.git":        {"code", "https://host/org/code.git"},
		"git::https://host/archive.zip":               {"archive.zip", "https://host/archive.zip"},
	} {
		a := Artifact{Source: source}
		if a.Place() != want[0] || a.Shown() != want[1] {
			t.Errorf("%s: got %q, shown as %q, want %q", source, a.Place(), a.Shown(), want)
		}
	}
	for suffix, unpack := range map[string]Unpack{".tgz": UnpackAuto, "": UnpackNone} {
		if a := (Artifact{Source: "https://host/x.tgz", Unpack: unpack}); a.Suffix() != suffix {
			t.Errorf("%q is unpacked as %q", unpack, a.Suffix())
		}
	}
}

// What is one content has one name, wherever it comes from.
func TestNamesOfArtifacts(t *testing.T) {
	a, b := Artifact{Source: "https://a/x", Checksum: sum}, Artifact{Source: "file:///y", Checksum: sum}
	if a.Name() != b.Name() || a.Name()[0] != 0xe3 {
		t.Errorf("%x and %x", a.Name(), b.Name())
	}
	c, d := Artifact{Source: GitPrefix + "https://a/x", Commit: "01"}, Artifact{Source: GitPrefix + "https://a/x", Commit: "02"}
	if c.Name() == d.Name() || c.Name() == a.Name() {
		t.Error("two contents have one name")
	}
}
