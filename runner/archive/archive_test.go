package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// packed is a tar file of some headers; a regular file holds its own name, unless it says how
// long it is.
func packed(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range headers {
		h := headers[i]
		text := h.Name
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = int64(len(text))
		} else if h.Typeflag == tar.TypeReg {
			text = strings.Repeat("0", int(h.Size))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// around is a folder, and a folder in it to unpack into.
func around(t testing.TB) (outer string, into *os.Root) {
	t.Helper()
	outer = t.TempDir()
	if err := os.Mkdir(filepath.Join(outer, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	into, err := os.OpenRoot(filepath.Join(outer, "in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { into.Close() })
	return outer, into
}

func unpack(t testing.TB, suffix string, archive []byte, into *os.Root, b Bounds) error {
	t.Helper()
	return Unpack(t.Context(), suffix, bytes.NewReader(archive), int64(len(archive)), into, b)
}

func file(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
func folder(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

func symlink(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}

func hard(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

func TestHostileArchivesAreRefused(t *testing.T) {
	many := make([]tar.Header, 12)
	for i := range many {
		many[i] = file("f" + string(rune('a'+i)))
	}
	for want, headers := range map[string][]tar.Header{
		`"/etc/x" is not a path beneath`:         {file("/etc/x")},
		`"../x" is not a path beneath`:           {file("../x")},
		`"a/../../x" is not a path beneath`:      {folder("a"), file("a/../../x")},
		`"a/../x" is not a path beneath`:         {folder("a"), file("a/../x")},
		`".." is not a path beneath`:             {folder("..")},
		`is not a path beneath the folder`:       {file(`a\b`)},
		`"l" points to "/etc"`:                   {symlink("l", "/etc")},
		`"l" points to ".."`:                     {symlink("l", "..")},
		`"d/l" points to "../../x"`:              {folder("d"), symlink("d/l", "../../x")},
		`"l" is no folder`:                       {folder("d"), symlink("l", "d"), file("l/x")},
		`"l" is there twice`:                     {symlink("l", "x"), file("l")},
		`"x" is there twice`:                     {file("x"), file("x")},
		`"x" is no folder, and`:                  {file("x"), file("x/y")},
		`"m" points to "d/l/../../in"`:           {folder("d/e"), symlink("d/l", "e"), symlink("m", "d/l/../../in")},
		`"h" is to "/etc/passwd", which is no`:   {hard("h", "/etc/passwd")},
		`"h" is to "../x", which is no file`:     {hard("h", "../x")},
		`"h" is to "l", which is no file before`: {file("x"), symlink("l", "x"), hard("h", "l")},
		`"p" is neither a file, a folder nor`:    {{Typeflag: tar.TypeFifo, Name: "p"}},
		`"c" is neither a file, a folder nor`:    {{Typeflag: tar.TypeChar, Name: "c", Devmajor: 1, Devminor: 3}},
		`"b" is neither a file, a folder nor`:    {{Typeflag: tar.TypeBlock, Name: "b", Devmajor: 8}},
		"more than 10 files":                     many,
		"unpacks to more than 1000000 bytes":     {{Typeflag: tar.TypeReg, Name: "big", Size: 1_000_001}},
		`is in more than 64 folders`:             {file(strings.Repeat("d/", 65) + "x")},
	} {
		outer, into := around(t)
		err := unpack(t, ".tar", packed(t, headers...), into, Bounds{Entries: 10, Bytes: 1_000_000, Ratio: 100})
		if strings.Contains(want, "more than 64") {
			err = unpack(t, ".tar", packed(t, headers...), into, Defaults)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		alone(t, outer)
	}
}

// alone fails if there is anything beside the folder that was unpacked into.
func alone(t testing.TB, outer string) {
	t.Helper()
	if left, err := os.ReadDir(outer); err != nil || len(left) != 1 {
		t.Errorf("beside the folder: %v %v", left, err)
	}
}

func TestHonestArchivesComeOutAsTheyWentIn(t *testing.T) {
	tool := file("d/tool")
	tool.Mode = 0o6755 // nothing is made that runs as another
	plain := packed(t, folder("./"), folder("d/"), tool, file("e/made"), symlink("d/l", "../e/made"),
		hard("same", "d/tool"), tar.Header{Typeflag: tar.TypeReg, Name: "shut", Mode: 0o444})
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for suffix, archive := range map[string][]byte{
		".tar": plain, ".tar.gz": gz.Bytes(), ".tgz": gz.Bytes(), ".tar.zst": zst.Bytes(),
	} {
		_, into := around(t)
		if err := unpack(t, suffix, archive, into, Defaults); err != nil {
			t.Errorf("%s: %v", suffix, err)
			continue
		}
		if text, err := into.ReadFile("d/l"); err != nil || string(text) != "e/made" {
			t.Errorf("%s: by the link %q, %v", suffix, text, err)
		}
		for name, want := range map[string]fs.FileMode{"d/tool": 0o755, "same": 0o755, "shut": 0o444} {
			if info, err := into.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("%s: %s is %v, %v, want %v", suffix, name, info.Mode(), err, want)
			}
		}
	}
	if _, into := around(t); unpack(t, ".rar", plain, into, Defaults) == nil {
		t.Error("an unknown suffix is unpacked")
	}
	if _, into := around(t); unpack(t, ".tar.gz", plain, into, Defaults) == nil {
		t.Error("what is no gzip is unpacked as one")
	}
	if _, into := around(t); unpack(t, ".tar", plain[:700], into, Defaults) == nil {
		t.Error("half an archive is unpacked")
	}
}

// zipped is a zip file: each name with its mode and text.
func zipped(t testing.TB, files ...zip.FileHeader) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := range files {
		f, err := w.CreateHeader(&files[i])
		if err == nil && !strings.HasSuffix(files[i].Name, "/") {
			_, err = io.WriteString(f, files[i].Comment)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func entry(name, text string, mode fs.FileMode) zip.FileHeader {
	h := zip.FileHeader{Name: name, Comment: text, Method: zip.Deflate}
	h.SetMode(mode)
	return h
}

func TestZips(t *testing.T) {
	_, into := around(t)
	good := zipped(t, entry("d/", "", fs.ModeDir|0o755), entry("d/x", "text", 0o755), entry("l", "d/x", fs.ModeSymlink|0o777))
	if err := unpack(t, ".zip", good, into, Defaults); err != nil {
		t.Fatal(err)
	}
	if text, err := into.ReadFile("l"); err != nil || string(text) != "text" {
		t.Errorf("by the link %q, %v", text, err)
	}
	small := Bounds{Entries: 3, Bytes: 1000, Ratio: 1000}
	for want, files := range map[string][]zip.FileHeader{
		`"../x" is not a path`:                {entry("../x", "", 0o644)},
		`"/x" is not a path`:                  {entry("/x", "", 0o644)},
		`points to "../x"`:                    {entry("l", "../x", fs.ModeSymlink|0o777)},
		`"p" is neither`:                      {entry("p", "", fs.ModeNamedPipe|0o644)},
		`"c" is neither`:                      {entry("c", "", fs.ModeDevice|fs.ModeCharDevice|0o644)},
		"unpacks to more than 1000 bytes":     {entry("x", strings.Repeat("0", 1001), 0o644)},
		"4 files, more than 3":                {entry("a", "", 0o644), entry("b", "", 0o644), entry("c", "", 0o644), entry("d", "", 0o644)},
		"unpacks to more than 1000 bytes\x00": {entry("x", strings.Repeat("0", 600), 0o644), entry("y", strings.Repeat("0", 600), 0o644)},
	} {
		want = strings.TrimRight(want, "\x00")
		outer, into := around(t)
		for i := range files { // the text is what the file holds, and no comment
			if files[i].Mode()&fs.ModeSymlink == 0 && len(files[i].Comment) == 0 {
				files[i].Comment = "0"
			}
		}
		if err := unpack(t, ".zip", zipped(t, files...), into, small); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		alone(t, outer)
	}
}

// A few kilobytes that unpack to gigabytes are found out by how much has come, whatever is said.
func TestBombsAreFoundOut(t *testing.T) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	const size = 64 << 20
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bomb", Size: size, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	_, into := around(t)
	err := unpack(t, ".tar.gz", out.Bytes(), into, Bounds{Entries: 10, Bytes: 1 << 40, Ratio: 50})
	if err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("got %v", err)
	}
	if info, err := into.Stat("bomb"); err != nil || info.Size() > size/8 {
		t.Errorf("%d bytes were written, %v", info.Size(), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUnpackingEndsWhenItIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, into := around(t)
	archive := packed(t, file("x"))
	err := Unpack(ctx, ".tar", bytes.NewReader(archive), int64(len(archive)), into, Defaults)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// FuzzUnpack: whatever an archive says, nothing is made outside of the folder, and nothing that is
// neither a file, a folder nor a link within it.
func FuzzUnpack(f *testing.F) {
	suffixes := []string{".tar", ".tar.gz", ".tar.zst", ".zip"}
	f.Add(0, packed(f, folder("d"), file("d/x"), symlink("d/l", "x"), hard("h", "d/x")))
	f.Add(0, packed(f, symlink("l", "d"), file("l/x")))
	f.Add(3, zipped(f, entry("d/x", "text", 0o755), entry("l", "d/x", fs.ModeSymlink|0o777)))
	f.Fuzz(func(t *testing.T, kind int, archive []byte) {
		outer, into := around(t)
		suffix := suffixes[uint(kind)%uint(len(suffixes))]
		_ = unpack(t, suffix, archive, into, Bounds{Entries: 100, Bytes: 1 << 20, Ratio: 100})
		alone(t, outer)
		err := fs.WalkDir(into.FS(), ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil // a folder that may not be read
			}
			if e.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
				t.Errorf("%q is of type %v", name, e.Type())
			}
			if e.Type()&fs.ModeSymlink == 0 {
				return nil
			}
			real, err := filepath.EvalSymlinks(filepath.Join(outer, "in", name))
			if in := filepath.Join(outer, "in"); err == nil && real != in && !strings.HasPrefix(real, in+"/") {
				t.Errorf("%q leads to %q", name, real)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Names are kept in memory, and pack well.
func TestNamesAreBounded(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w := NewWriter(t.Context(), root, Defaults, 1<<30)
	to := strings.Repeat("x/", pathMax/2-1) + "x"
	for i := 0; i <= namesMax/len(to) && err == nil; i++ {
		err = w.Link(fmt.Sprint(i), to)
	}
	if err == nil || !strings.Contains(err.Error(), "names have more than 32 MiB") {
		t.Errorf("got %v", err)
	}
}
