package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/content"
)

// ignoreFile says what of a job's folder stays where it is, as .dockerignore files do.
const ignoreFile = ".mnignore"

const (
	sendBytes = 8 << 20         // about so much goes with one request,
	sendCount = 256             // or so many objects: the peer has its disk confirm each
	sayEvery  = 2 * time.Second // of what was sent
)

// folder is the files of a job that is a folder.
type folder struct {
	root    *os.Root
	ignored *patternmatcher.PatternMatcher
}

// openFolder opens the folder of a job; nil if the job is a file.
func openFolder(dir string) (*folder, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, mesh.Faultf(mesh.Invalid, "open the job's folder: %v", err)
	}
	f := &folder{root: root}
	var patterns []string
	file, err := root.Open(ignoreFile)
	switch {
	case err == nil:
		patterns, err = ignorefile.ReadAll(bufio.NewReader(file))
		err = errors.Join(err, file.Close())
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	if err == nil {
		f.ignored, err = matcher(patterns)
	}
	if err != nil {
		return nil, errors.Join(
			mesh.Faultf(mesh.Invalid, "%s: %v", filepath.Join(dir, ignoreFile), err), root.Close())
	}
	return f, nil
}

// matcher is patternmatcher.New, with the pattern that is wrong in the error.
func matcher(patterns []string) (*patternmatcher.PatternMatcher, error) {
	for _, p := range patterns {
		if _, err := patternmatcher.New([]string{p}); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	return patternmatcher.New(patterns)
}

// skip leaves out the job file, which travels by itself: a change of it need not be one of
// what the job runs. What a version control keeps of the past stays, too.
func (f *folder) skip(name string, dir bool) bool {
	if name == configs.JobFile || name == ignoreFile || path.Base(name) == ".git" {
		return true
	}
	match, err := f.ignored.MatchesOrParentMatches(name)
	return err == nil && match && !(dir && f.ignored.Exclusions()) // something below may be wanted again
}

// pack gives the folder's objects to a sink, and says what they are.
func (f *folder) pack(ctx context.Context, to content.Sink) (*mesh.Payload, *content.Tree, error) {
	h, tree, err := content.Pack(ctx, f.root, content.Packing{Skip: f.skip, BytesMax: int64(mesh.PayloadMax)}, to)
	switch {
	case errors.Is(err, content.ErrChanged):
		return nil, nil, mesh.Faultf(mesh.Conflict, "%v", err).Hint("try again when nobody writes to it")
	case err != nil:
		return nil, nil, mesh.Faultf(mesh.Invalid, "%v", err).
			Hint("%s says what stays here, a pattern on each line", filepath.Join(f.root.Name(), ignoreFile))
	}
	return &mesh.Payload{Tree: h.String(), Bytes: mesh.Bytes(tree.Bytes()), Files: len(tree.Entries)}, tree, nil
}

// names is a sink that keeps the names of objects.
type names map[string]bool

func (n names) Put(object []byte) (content.Hash, error) {
	h := content.HashOf(object)
	n[h.String()] = true
	return h, nil
}

func (n names) Sync() error { return nil }

// look finds out what is in a job's folder, if the job is one, and whether the job can be with
// that; nil if it has no other files.
func (c *command) look(ctx context.Context, dir string, job *mesh.Job) (*mesh.Payload, names, error) {
	f, err := openFolder(dir)
	if f == nil || err != nil {
		return nil, nil, err
	}
	defer f.root.Close()
	all := names{}
	p, tree, err := f.pack(ctx, all)
	if err != nil || p.Files == 0 {
		return nil, nil, err
	}
	files := map[string]bool{}
	for i := range tree.Entries {
		files[tree.Entries[i].Path] = tree.Entries[i].Mode.IsDir()
	}
	if faults := job.Collides(files); len(faults) > 0 {
		return nil, nil, mesh.Faultf(mesh.Invalid, "in the job's folder %q, %s", dir, strings.Join(faults, "; "))
	}
	return p, all, nil
}

// send sends the files of a job's folder to a peer, as far as it does not have them.
func (c *command) send(ctx context.Context, client *api.Client, dir string, job *mesh.Job) (*mesh.Payload, error) {
	p, all, err := c.look(ctx, dir, job)
	if p == nil || err != nil {
		return nil, err
	}
	var objects []string
	for name := range all {
		objects = append(objects, name)
	}
	slices.Sort(objects)
	lacks, err := client.Lacks(ctx, objects)
	if err != nil || len(lacks) == 0 {
		return p, err
	}
	s := &sender{c: c, ctx: ctx, client: client, lacks: map[string]bool{}, all: p.Bytes, told: time.Now()}
	for _, name := range lacks {
		s.lacks[name] = true
	}
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	defer f.root.Close()
	sent, _, err := f.pack(ctx, s)
	switch {
	case s.err != nil:
		return nil, s.err
	case err != nil:
		return nil, err
	case *sent != *p:
		return nil, mesh.Faultf(mesh.Conflict, "the job's folder changed while it was sent").
			Hint("try again when nobody writes to it")
	}
	c.say("files: %v, of which %v were sent", p.Bytes, min(s.sent, p.Bytes)) // their list goes, too
	return p, nil
}

// sender is a sink that sends a peer what it lacks.
type sender struct {
	c      *command
	ctx    context.Context
	client *api.Client
	lacks  map[string]bool
	batch  bytes.Buffer
	held   int // objects in it
	sent   mesh.Bytes
	all    mesh.Bytes
	told   time.Time
	err    error // the first, which is not the folder's
}

func (s *sender) Put(object []byte) (content.Hash, error) {
	h := content.HashOf(object)
	if !s.lacks[h.String()] {
		return h, nil
	}
	delete(s.lacks, h.String())
	if err := content.WriteObject(&s.batch, object); err != nil {
		return h, err
	}
	s.sent += mesh.Bytes(len(object))
	if s.held++; s.batch.Len() < sendBytes && s.held < sendCount {
		return h, nil
	}
	return h, s.Sync()
}

func (s *sender) Sync() error {
	if s.batch.Len() == 0 {
		return nil
	}
	_, s.err = s.client.Keep(s.ctx, bytes.NewReader(s.batch.Bytes()))
	s.batch.Reset()
	s.held = 0
	if now := time.Now(); s.err == nil && now.Sub(s.told) >= sayEvery {
		s.told = now
		s.c.say("files: %v of at most %v are sent", s.sent, s.all)
	}
	return s.err
}
