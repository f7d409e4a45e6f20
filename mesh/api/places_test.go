package api

import (
	"fmt"
	"maps"
	"testing"

	"mn/mesh"
)

func TestPlacesOfLogsTravel(t *testing.T) {
	for _, places := range []LogPlaces{
		{},
		{{"a1", "web", "stdout"}: "0.7"},
		{{"a1", "web", "stdout"}: "0.7", {"a1", "web", "stderr"}: "0.0", {"a2", "x.y-z_", "stdout"}: "12.345"},
	} {
		text, all := places.Text()
		got, err := ParseLogPlaces(text)
		if err != nil || !all || !maps.Equal(got, places) {
			t.Errorf("%v are %q, read as %v, %v", places, text, got, err)
		}
	}
	if _, err := ParseLogPlaces("a~b~c"); err == nil {
		t.Error("half a place is read")
	}
	many := LogPlaces{}
	for i := range 5000 {
		many[LogStream{mesh.AllocID(fmt.Sprint(i)), "web", "stdout"}] = "1.1"
	}
	text, all := many.Text()
	if got, err := ParseLogPlaces(text); all || len(text) > placesMax || err != nil || len(got) == 0 {
		t.Errorf("%d bytes of too many places, all: %v, %v", len(text), all, err)
	}
}
