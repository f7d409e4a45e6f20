package files

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"unicode/utf8"

	"mn/mesh"
	"mn/runner/frames"
)

// Send writes a file, or a folder with all that is in it, as frames. An error means that
// nothing was written; one that comes later is the last frame.
func (f *Folder) Send(ctx context.Context, name string, w io.Writer) error {
	rel, err := clean(name)
	if err != nil {
		return err
	}
	info, err := f.root.Stat(rel)
	if err != nil {
		return because(name, err)
	}
	s := &sender{ctx: ctx, w: w, buf: make([]byte, frames.PayloadMax)}
	switch {
	case info.Mode().IsRegular():
		file, now, err := openFile(f.root, rel)
		if err != nil {
			return because(name, err)
		}
		err = s.file(file, now, path.Base(rel))
		return s.end(err)
	case !info.IsDir():
		return mesh.Faultf(mesh.Denied, "%q is a %s: only files and folders are read", name, kindOf(info.Mode()))
	}
	dir, err := openFolder(f.root, rel)
	if err != nil {
		return because(name, err)
	}
	defer dir.Close()
	base := describe(dir, ".", info)
	base.Name, s.count = ".", 1
	err = s.entry(base)
	if err == nil {
		err = s.folder(dir, "", 1)
	}
	return s.end(err)
}

// sender sends files.
type sender struct {
	ctx   context.Context
	w     io.Writer
	buf   []byte
	count int   // of files and folders that were found, whether they are sent or not
	bytes int64 // of files, as they say
	left  mesh.LeftOut
}

// end says that this was all, or why not. An error is that of the writer.
func (s *sender) end(err error) error {
	kind, last := frames.End, any(s.left)
	if err != nil {
		kind, last = frames.Fault, mesh.FaultOf(err)
	}
	text, err := json.Marshal(last)
	if err != nil {
		return err
	}
	if len(text) > frames.PayloadMax { // its name is that long
		kind, text = frames.Fault, []byte(`{"kind":"internal","error":"read files: what is to be said is too long"}`)
	}
	return frames.Write(s.w, kind, text)
}

func (s *sender) entry(f mesh.File) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if len(text) > frames.PayloadMax {
		return mesh.Faultf(mesh.Invalid, "the path of a file is too long: %.64q...", f.Name).
			Hint("copy a folder of it at a time")
	}
	return frames.Write(s.w, frames.Entry, text)
}

// file sends what a file had when it was opened, or less if it has become shorter.
func (s *sender) file(f *os.File, info fs.FileInfo, name string) error {
	defer f.Close()
	if s.bytes += min(info.Size(), bytesMax+1); s.bytes > bytesMax {
		return tooMuch(name)
	}
	sent := mesh.File{
		Name: name, Kind: mesh.RegularFile, Size: info.Size(),
		Mode: fmt.Sprintf("%04o", info.Mode().Perm()), Time: info.ModTime().UTC(),
	}
	if err := s.entry(sent); err != nil {
		return err
	}
	from := io.LimitReader(f, info.Size())
	for {
		n, err := from.Read(s.buf)
		if n > 0 {
			if err := cmp.Or(s.ctx.Err(), frames.Write(s.w, frames.Bytes, s.buf[:n])); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return because(name, err)
		}
	}
}

// tooMuch says that there is too much, and with which file.
func tooMuch(name string) error {
	return mesh.Faultf(mesh.Invalid, "with %s there are more than %v", Shown(name), mesh.Bytes(bytesMax)).
		Hint("copy a folder or a file of it at a time; a file that says to be longer is not copied")
}

// folder sends what is in a folder.
func (s *sender) folder(dir *os.Root, prefix string, depth int) error {
	list, more, err := entries(s.ctx, dir, copyMax-s.count)
	if err != nil {
		return because(cmp.Or(prefix, "."), err)
	}
	if more {
		return mesh.Faultf(mesh.Invalid, "there are more than %d files", copyMax).Hint("copy a folder of it at a time")
	}
	s.count += len(list) // all at once: a list is held for each folder on the way
	for _, info := range list {
		if err := s.one(dir, info, prefix, depth); err != nil {
			return err
		}
	}
	return nil
}

// one sends an entry of a folder. What cannot be read is left out.
func (s *sender) one(dir *os.Root, info fs.FileInfo, prefix string, depth int) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	name := path.Join(prefix, info.Name())
	switch kind := kindOf(info.Mode()); {
	case !utf8.ValidString(info.Name()):
		s.leave(name, "its name is not UTF-8")
	case kind == mesh.RegularFile:
		f, now, err := openFile(dir, info.Name())
		if err != nil {
			s.leave(name, reason(err))
			return nil
		}
		return s.file(f, now, name)
	case kind == mesh.FileFolder && depth == depthMax:
		s.leave(name, fmt.Sprintf("it is more than %d folders deep", depthMax))
	case kind == mesh.FileFolder:
		below, err := step(dir, info.Name())
		if err != nil {
			s.leave(name, reason(err))
			return nil
		}
		defer below.Close()
		f := describe(dir, info.Name(), info)
		f.Name = name
		if err := s.entry(f); err != nil {
			return err
		}
		return s.folder(below, name, depth+1)
	case kind == mesh.FileLink:
		f := describe(dir, info.Name(), info)
		if f.Name = name; f.Link == "" || !utf8.ValidString(f.Link) {
			s.leave(name, "where it leads is not known")
			return nil
		}
		return s.entry(f)
	default:
		s.leave(name, "it is a "+string(kind))
	}
	return nil
}

func reason(err error) string {
	var bad *fs.PathError
	if errors.As(err, &bad) {
		err = bad.Err
	}
	return err.Error()
}

// leave takes note of what is left out.
func (s *sender) leave(name, why string) { leave(&s.left, name, why) }

func leave(l *mesh.LeftOut, name, why string) {
	if l.Count++; len(l.Names) < namedMax {
		l.Names = append(l.Names, Shown(name)+": "+why)
	}
}
