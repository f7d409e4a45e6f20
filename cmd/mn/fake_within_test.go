package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"mn/mesh"
	"mn/mesh/api"
	"mn/runner/files"
	"mn/runner/frames"
)

// Files has a folder with one thing of each kind.
func (f *fake) Files(_ context.Context, r api.FilesRequest) (api.Listing, error) {
	if r.Path == "none" {
		return api.Listing{}, mesh.Faultf(mesh.NotFound, "no file %q", r.Path)
	}
	at := earlier()
	return api.Listing{Path: r.Path, More: r.Path == "huge", Files: []mesh.File{
		{Name: "a\x1b[2J", Kind: mesh.RegularFile, Size: 2048, Mode: "0644", Time: at},
		{Name: "link", Kind: mesh.FileLink, Mode: "0777", Time: at, Link: "to"},
		{Name: "sub", Kind: mesh.FileFolder, Mode: "0755", Time: at},
	}}, nil
}

// TakeFiles says what it was asked, and how much has come.
func (f *fake) TakeFiles(_ context.Context, r api.FilesRequest, from io.Reader) (mesh.Arrived, error) {
	if r.Path == "none" {
		return mesh.Arrived{}, mesh.Faultf(mesh.NotFound, "there is no folder %q", r.Path)
	}
	in, err := os.MkdirTemp("", "")
	if err != nil {
		return mesh.Arrived{}, err
	}
	defer os.RemoveAll(in)
	into, err := os.OpenRoot(in)
	if err != nil {
		return mesh.Arrived{}, err
	}
	defer into.Close()
	done := mesh.Arrived{Path: fmt.Sprintf("%s|%s|%s|%v", r.Task, r.Path, r.Base, r.Shared)}
	count := func(files int, bytes int64, _ mesh.File) { done.Files, done.Bytes = files, bytes }
	done.Left, err = files.Receive(from, into, "x", count)
	return done, err
}

// SendFiles sends a file with what was asked for in it.
func (f *fake) SendFiles(_ context.Context, r api.FilesRequest, w io.Writer) error {
	text := fmt.Sprintf("%s/%s %q %q %v", r.Job, r.Task, r.Path, r.Index, r.Shared)
	for _, part := range []struct {
		kind frames.Kind
		text string
	}{
		{frames.Entry, fmt.Sprintf(`{"name":"f","kind":"file","size":%d,"mode":"0600"}`, len(text))},
		{frames.Bytes, text},
		{frames.End, `{"count":1,"names":["pipe: it is a pipe"]}`},
	} {
		if part.kind == frames.End && r.Path == "broken" {
			part.kind, part.text = frames.Fault, `{"kind":"denied","error":"the disk says no"}`
		}
		if err := frames.Write(w, part.kind, []byte(part.text)); err != nil {
			return err
		}
	}
	return nil
}

// Exec runs a command that says what it was asked, and what it hears, and ends with 5.
func (f *fake) Exec(_ context.Context, r api.ExecRequest) (io.ReadWriteCloser, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		from := frames.NewReader(theirs)
		_ = frames.Write(theirs, frames.Stderr, fmt.Appendf(nil, "%s/%s %q %v\n", r.Job, r.Task, r.Command, r.Terminal))
		for {
			switch kind, payload, err := from.Next(); {
			case err != nil:
				return
			case kind == frames.Size:
				_ = frames.Write(theirs, frames.Stdout, fmt.Appendf(nil, "size % x\r\n", payload))
			case kind == frames.Input && string(payload) == "q":
				_ = frames.Write(theirs, frames.Exit, []byte("5"))
			case kind == frames.Input:
				_ = frames.Write(theirs, frames.Taken, nil)
				_ = frames.Write(theirs, frames.Stdout, payload)
			case r.Command[0] == "ended":
				_ = frames.Write(theirs, frames.Failed, []byte("its task has ended, and the command with it"))
			case r.Command[0] == "nonsense":
				_ = frames.Write(theirs, frames.Exit, []byte("many"))
			case r.Command[0] != "broken":
				_ = frames.Write(theirs, frames.Exit, []byte("5"))
			default:
				return
			}
		}
	}()
	return ours, nil
}
