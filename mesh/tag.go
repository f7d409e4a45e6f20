package mesh

import (
	"slices"
	"strconv"
	"time"
)

// TagsMax bounds the tags of a job.
const TagsMax = 100

// CurrentRef names the version of a job that is the current one, whichever that is.
const CurrentRef = "current"

// Tag is a name that people have given to a version of a job. A job has one of a name:
// who gives it to another version has taken it from the first; of two who do so at
// once, the later one has.
type Tag struct {
	Job     JobID     `json:"job"`
	Name    string    `json:"tag"`
	Version uint64    `json:"version"`
	Hash    string    `json:"hash"` // of the version
	By      NodeID    `json:"by"`   // the peer that took it
	At      time.Time `json:"at"`
}

// CheckTag says why a version cannot be called so, if it cannot.
func CheckTag(name string) *Fault {
	_, err := strconv.ParseUint(name, 10, 64)
	switch {
	case !ValidName(name):
		return Faultf(Invalid, "%q is no name for a version: want 1 to 63 letters, digits, '-', '_' and '.', "+
			"beginning with a letter or digit", clip(name))
	case err == nil || name == CurrentRef:
		return Faultf(Invalid, "%q names a version already: want another tag", name)
	}
	return nil
}

// tagged is the version of that name, if there is such a tag; nil if the version's
// record is not here.
func tagged(history []JobVersion, tags []Tag, name string) (v *JobVersion, isTag bool) {
	at := slices.IndexFunc(tags, func(t Tag) bool { return t.Name == name })
	if at < 0 {
		return nil, false
	}
	i := slices.IndexFunc(history, func(v JobVersion) bool { return v.Hash == tags[at].Hash })
	if i < 0 {
		return nil, true
	}
	return &history[i], true
}
