package exec

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mn/mesh"
	"mn/runner"
	"mn/runner/drivertest"
)

// fetched has artifacts: the shelf restores a tree that is called "file:" and what is in the file,
// and counts how often it was asked.
func fetched(text string) (*shelf, *int) {
	asked := new(int)
	return &shelf{artifact: func(_ context.Context, _ *mesh.Artifact, progress func(have, all int64)) (string, error) {
		*asked++
		progress(1, 2)
		return "file:" + text, nil
	}}, asked
}

func artifactOf(source, destination string) mesh.Artifact {
	return mesh.Artifact{Source: source, Checksum: mesh.ChecksumNone, Destination: destination}
}

// skip passes over what is said of artifacts, and returns it.
func skip(t *testing.T, d *Driver, kind runner.Kind) (o runner.Observation, said []string) {
	t.Helper()
	for o = range d.Observations() {
		switch o.Kind {
		case runner.Fetching, runner.FetchedSome, runner.Fetched:
			said = append(said, string(o.Kind)+" "+o.Err)
			continue
		}
		break
	}
	if o.Kind != kind {
		t.Fatalf("observed %+v, want %s", o, kind)
	}
	return o, said
}

func TestArtifactsAreThereAndFetchedOnce(t *testing.T) {
	s, asked := fetched("some text")
	open, root := keeping(t, s)
	d := open()
	spec := drivertest.Spec("web", `cat deep/er/text; ls -l tool | cut -c1-10; echo mine >deep/er/text; exit 1`)
	spec.Artifacts = []mesh.Artifact{artifactOf("https://me:pw@host/text?key", "deep/er/text"), artifactOf("https://host/tool", "")}
	spec.Artifacts[1].Executable = true
	d.Start(spec)
	_, said := skip(t, d, runner.Started)
	want := "fetching https://host/text, fetched https://host/text from elsewhere, fetching https://host/tool, fetched https://host/tool from elsewhere"
	if got := strings.Join(said, ", "); got != want {
		t.Errorf("said %q", got)
	}
	next(t, d, runner.Exited)
	d = open() // another agent
	for range downloadsMax {
		d.downloads <- struct{}{}
	}
	spec.Attempt = 2
	d.Start(spec)
	next(t, d, runner.Started)
	next(t, d, runner.Exited)
	if got := strings.Join(lines(t, root, "web"), " "); got != "some text-rwxr-xr-x mine -rwxr-xr-x" {
		t.Errorf("it has found %q", got)
	}
	if *asked != 2 {
		t.Errorf("they were fetched %d times", *asked)
	}
}

// What an agent that was killed has begun is done again from its beginning, and what was whole is put
// where it belongs.
func TestArtifactsAreNeverHalfThere(t *testing.T) {
	s, asked := fetched("whole")
	open, root := keeping(t, s)
	d := open()
	spec := drivertest.Spec("web", `cat a b`)
	spec.Artifacts = []mesh.Artifact{artifactOf("https://host/a", ""), artifactOf("https://host/b", "")}
	k := key{spec.Alloc, spec.Task}
	if err := d.makeFolders(k, nil); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, k.file(artifactsDir))
	for name, text := range map[string]string{"0/whole": "torn", "1/whole": "noted "} {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o700), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	a, err := d.artifact(k, &spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.note(k, a.note, string(a.text)); err != nil {
		t.Fatal(err)
	}
	d.Start(spec)
	skip(t, d, runner.Started)
	next(t, d, runner.Exited)
	if got := strings.Join(lines(t, root, "web"), " "); got != "wholenoted " || *asked != 1 {
		t.Errorf("it has found %q, fetched %d times", got, *asked)
	}
}

func TestArtifactsThatCannotBePut(t *testing.T) {
	for want, tt := range map[string]struct{ payload, destination string }{
		`its destination "n" is there already`:      {"files", "n"},
		`the folder of its destination "n/x"`:       {"files", "n/x"},
		`there is none`:                             {"", "x"},
		`artifact https://host/x: unpack archive: `: {"", "archive"},
	} {
		s, _ := fetched("text")
		if want == "there is none" {
			s.artifact = nil
		}
		open, _ := keeping(t, s)
		d := open()
		spec := drivertest.Spec("web", `exit 0`)
		if tt.payload != "" {
			spec.Payload = &mesh.Payload{Tree: tt.payload}
		}
		spec.Artifacts = []mesh.Artifact{artifactOf("https://host/x", tt.destination)}
		if tt.destination == "archive" {
			spec.Artifacts[0].Source += ".zip"
			want = strings.Replace(want, "/x:", "/x.zip:", 1)
		}
		d.Start(spec)
		if o, _ := skip(t, d, runner.StartFailed); !strings.Contains(o.Err, want) {
			t.Errorf("observed %q, want %q", o.Err, want)
		}
	}
}

// Nothing is put outside of the task's folder, wherever links in it lead.
func TestArtifactsAreNotPutThroughLinks(t *testing.T) {
	s, _ := fetched("text")
	open, root := keeping(t, s)
	d := open()
	outside := t.TempDir()
	spec := drivertest.Spec("web", `exit 0`)
	spec.Artifacts = []mesh.Artifact{artifactOf("https://host/x", "out/x")}
	k := key{spec.Alloc, spec.Task}
	if err := d.makeFolders(k, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, runner.WorkDir(k.alloc, k.task), "out")); err != nil {
		t.Fatal(err)
	}
	d.Start(spec)
	if o, _ := skip(t, d, runner.StartFailed); !strings.Contains(o.Err, "escapes") {
		t.Errorf("observed %q", o.Err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("outside: %v %v", left, err)
	}
}

// Whoever does not answer is asked some times, and what would not change is not asked again.
func TestFetchingIsTriedAgain(t *testing.T) {
	for _, final := range []bool{false, true} {
		asked := 0
		s := &shelf{artifact: func(context.Context, *mesh.Artifact, func(have, all int64)) (string, error) {
			if asked++; asked < 2 {
				return "", Unfetched{Err: errors.New("nobody answers"), Final: final}
			}
			return "file:text", nil
		}}
		open, _ := keeping(t, s)
		d := open()
		spec := drivertest.Spec("web", `exit 0`)
		spec.Artifacts = []mesh.Artifact{artifactOf("https://host/x", "")}
		d.Start(spec)
		want := runner.Started
		if final {
			want = runner.StartFailed
		}
		_, said := skip(t, d, want)
		if !final && !strings.Contains(strings.Join(said, ", "), "fetched_some https://host/x: nobody answers; trying again") {
			t.Errorf("said %q", said)
		}
		if !final {
			next(t, d, runner.Exited)
		}
	}
}

func TestArchivesAreUnpackedWhereTheyBelong(t *testing.T) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "d/x", Size: 4, Mode: 0o755}))
	if _, more := w.Write([]byte("text")); errors.Join(err, more, w.Close()) != nil {
		t.Fatal(err, more)
	}
	s, _ := fetched(packed.String())
	open, root := keeping(t, s)
	d := open()
	spec := drivertest.Spec("web", `cat tools/d/x`)
	spec.Artifacts = []mesh.Artifact{artifactOf("https://host/tools.tar", "")}
	d.Start(spec)
	skip(t, d, runner.Started)
	next(t, d, runner.Exited)
	if got := strings.Join(lines(t, root, "web"), " "); got != "text" {
		t.Errorf("it has found %q", got)
	}
}

// An agent may be killed between any two removals of what a task has worked with. If the task is wanted
// once more, all of it is there again.
func TestWhatWasHalfRemovedIsThereAgain(t *testing.T) {
	for stop := range len(worked(key{})) + 2 {
		s, asked := fetched("whole")
		open, root := keeping(t, s)
		d := open()
		spec := drivertest.Spec("web", `cat a n`)
		spec.Payload = &mesh.Payload{Tree: "files"}
		if stop%2 == 0 {
			spec.Payload, spec.Command = nil, []string{"sh", "-c", "cat a"}
		}
		spec.Artifacts = []mesh.Artifact{artifactOf("https://host/a", "")}
		d.Start(spec)
		skip(t, d, runner.Started)
		next(t, d, runner.Exited)
		first := strings.Join(lines(t, root, "web"), " ")
		k := key{spec.Alloc, spec.Task}
		if err := d.note(k, k.file(strippedFile), ""); err != nil {
			t.Fatal(err)
		}
		for _, name := range worked(k)[:min(stop, len(worked(k)))] {
			if err := d.removeAll(name); err != nil {
				t.Fatal(err)
			}
		}
		if stop > len(worked(k)) {
			if err := d.strip(k.alloc); err != nil {
				t.Fatal(err)
			}
		}
		d = open()
		spec.Attempt = 2
		d.Start(spec)
		skip(t, d, runner.Started)
		next(t, d, runner.Exited)
		if got := strings.Join(lines(t, root, "web"), " "); got != first+first && got != first+" "+first || *asked != 2 {
			t.Errorf("stopped at %d: it has found %q, fetched %d times", stop, got, *asked)
		}
	}
}

// A task does not start without an artifact that was put where it is no more.
func TestArtifactsAreNotSilentlyMissing(t *testing.T) {
	s, asked := fetched("whole")
	open, root := keeping(t, s)
	d := open()
	spec := drivertest.Spec("web", `cat a`)
	spec.Artifacts = []mesh.Artifact{artifactOf("https://host/a", "")}
	k := key{spec.Alloc, spec.Task}
	if err := d.makeFolders(k, nil); err != nil {
		t.Fatal(err)
	}
	a, err := d.artifact(k, &spec, 0)
	if err == nil {
		err = errors.Join(d.root.Mkdir(k.file(artifactsDir), 0o700), d.note(k, a.note, string(a.text)))
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Start(spec)
	if o, _ := skip(t, d, runner.StartFailed); !strings.Contains(o.Err, `it is not at "a"`) {
		t.Errorf("observed %q", o.Err)
	}
	spec.Attempt = 2
	d.Start(spec)
	skip(t, d, runner.Started)
	next(t, d, runner.Exited)
	if got := strings.Join(lines(t, root, "web"), " "); got != "whole" || *asked != 1 {
		t.Errorf("it has found %q, fetched %d times", got, *asked)
	}
}

// The slow server of one job keeps no other job from fetching.
func TestAJobHasSoManyPlaces(t *testing.T) {
	open, _ := keeping(t, &shelf{})
	d := open()
	slow, begun := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	load := func(job mesh.JobID) {
		ended <- d.load(t.Context(), job, func() error {
			begun <- struct{}{}
			<-slow
			return nil
		})
	}
	for range downloadsMax {
		go load("slow")
	}
	for range jobLoadsMax {
		<-begun
	}
	go load("other")
	<-begun
	if len(d.downloads) != jobLoadsMax+1 {
		t.Errorf("%d are fetched", len(d.downloads))
	}
	close(slow)
	for range downloadsMax - jobLoadsMax {
		<-begun
	}
	for range downloadsMax + 1 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if len(d.loads) != 0 {
		t.Errorf("kept for ever: %v", d.loads)
	}
}
