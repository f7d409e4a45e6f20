package lease

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mn/mesh"
)

// retell is the story of a path, in the words of the scripts in testdata.
func (x *explorer) retell(path []move) []string {
	s := x.origin()
	story := []string{}
	x.clock, x.story = 0, &story
	for _, m := range path {
		t, _, ok := x.try(s, m)
		if !ok {
			panic(fmt.Sprintf("explore: nothing comes of move %v when it is told again", m))
		}
		s = slices.Clone(t)
	}
	x.story = nil
	return story
}

// say tells something of a node, if somebody listens.
func (x *explorer) say(i int, format string, args ...any) {
	if x.story == nil {
		return
	}
	text := fmt.Sprintf("%6v %s ", x.clock.Round(time.Millisecond), x.cast[i].name())
	text += fmt.Sprintf(format, args...)
	for _, n := range x.cast {
		text = strings.ReplaceAll(text, string(n.id), n.name())
		text = strings.ReplaceAll(text, n.id.Short(), n.name())
	}
	*x.story = append(*x.story, strings.TrimRight(text, " "))
}

// hear tells what arrives.
func (x *explorer) hear(f *flight) {
	switch {
	case x.story == nil:
	case f.msg != nil:
		x.say(f.to, "<- %s %v", x.cast[f.from].name(), f.msg)
	default:
		for _, in := range f.told {
			x.say(f.to, "is told %s", inWords(in))
		}
	}
}

func inWords(in Input) string {
	switch in := in.(type) {
	case Members:
		admitted := make([]mesh.NodeID, len(in.Admitted))
		for i, m := range in.Admitted {
			admitted[i] = m.ID
		}
		return fmt.Sprintf("that %s are admitted and %s alive", joined(admitted), joined(in.Alive))
	case Bid:
		if in.Slots.Empty() {
			return "to hold nothing"
		}
		return "to hold " + in.Slots.String()
	}
	return fmt.Sprint(in)
}

func joined(ids []mesh.NodeID) string {
	var texts []string
	for _, id := range ids {
		texts = append(texts, string(id))
	}
	return strings.Join(texts, " ")
}
