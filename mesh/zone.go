package mesh

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// The IANA time zones, as Go 1.26 packs them. They are part of the program and what the
// machine has is never asked, so that all nodes of a release find the same times. With a new Go,
// "go generate ./mesh" takes over those that come with it: a change of the zones is a change of the
// program, with a test run and a release.
//
//go:generate cp $GOROOT/lib/time/zoneinfo.zip zoneinfo.zip
//go:embed zoneinfo.zip
var zoneArchive []byte

// zoneMax bounds the file of a zone, in bytes.
const zoneMax = 64 << 10

// zoneFiles are the files of the zones by their names.
var zoneFiles = sync.OnceValue(func() map[string]*zip.File {
	r, err := zip.NewReader(bytes.NewReader(zoneArchive), int64(len(zoneArchive)))
	if err != nil {
		panic(fmt.Sprintf("mesh: the time zones cannot be read: %v", err)) // they are part of the program
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			files[f.Name] = f
		}
	}
	return files
})

// zones are those that were asked for, so that each is read once: there are no more than files.
var zones sync.Map // of *time.Location by name

// Zone is the time zone of that IANA name, UTC for none.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location), nil
	}
	f, ok := zoneFiles()[name]
	if !ok {
		return nil, noZone(name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", name, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, zoneMax))
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", name, err)
	}
	zone, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, fmt.Errorf("read time zone %q: %w", name, err)
	}
	zones.Store(name, zone)
	return zone, nil
}

func noZone(name string) error {
	f := Faultf(Invalid, "no time zone %q", clip(name))
	if near := Nearest(strings.ReplaceAll(name, " ", "_"), Zones()); near != "" {
		f.Text += fmt.Sprintf("; did you mean %q?", near)
	} else {
		f.Text += `: want an IANA name, such as "Europe/Berlin"`
	}
	return f
}

// Zones are the names of all time zones.
func Zones() []string { return slices.Sorted(maps.Keys(zoneFiles())) }
