package api

import (
	"maps"
	"slices"
	"strings"

	"mn/mesh"
)

// placesMax bounds the text of places, which has to fit into the head of a request.
const placesMax = 48 << 10

// LogStream is one stream of one task of a copy.
type LogStream struct {
	Alloc  mesh.AllocID
	Task   string
	Stream string
}

// LogPlaces are where readers are in the logs of a node: for each stream a [LogLine]'s Place.
// As text they are ALLOC~TASK~STREAM~PLACE, one behind the other.
type LogPlaces map[LogStream]string

// Text is the places as text; all is false if there are too many for a request, and some
// are left out.
func (p LogPlaces) Text() (text string, all bool) {
	streams := slices.SortedFunc(maps.Keys(p), func(a, b LogStream) int {
		return strings.Compare(a.text(), b.text())
	})
	var b strings.Builder
	for _, s := range streams {
		one := s.text() + "~" + p[s]
		if b.Len()+1+len(one) > placesMax {
			return b.String(), false
		}
		if b.Len() > 0 {
			b.WriteByte('~')
		}
		b.WriteString(one)
	}
	return b.String(), true
}

func (s LogStream) text() string { return string(s.Alloc) + "~" + s.Task + "~" + s.Stream }

// ParseLogPlaces reads what Text writes.
func ParseLogPlaces(text string) (LogPlaces, error) {
	places := LogPlaces{}
	if text == "" {
		return places, nil
	}
	parts := strings.Split(text, "~")
	if len(parts)%4 != 0 {
		return nil, mesh.Faultf(mesh.Invalid, "the places %q are none that mn gave", shorten(text))
	}
	for one := range slices.Chunk(parts, 4) {
		places[LogStream{mesh.AllocID(one[0]), one[1], one[2]}] = one[3]
	}
	return places, nil
}
