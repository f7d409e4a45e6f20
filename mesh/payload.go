package mesh

import "encoding/hex"

// Payload is the files that a job brings along, by what is in them. Each task finds them in
// its own folder.
type Payload struct {
	Tree  string `json:"tree"`  // name of the content
	Bytes Bytes  `json:"bytes"` // of all files
	Files int    `json:"files"`
}

// PayloadMax bounds the files of a job, in bytes: what is larger belongs on disks that the
// machines share, or have each.
const PayloadMax = 4 * GiB

// FilesMax is how many contents a node says that it has.
const FilesMax = 64

// PayloadCopies is how many nodes keep the files of a job, besides those that run it.
const PayloadCopies = 3

func (v *validator) payload(p *Payload) {
	switch {
	case p == nil:
	case len(p.Tree) != hex.EncodedLen(32) || !isHex(p.Tree):
		v.fault("%q is not the name of a content", clip(p.Tree)).at("payload")
	case p.Bytes < 0 || p.Bytes > PayloadMax || p.Files < 0:
		v.fault("has %v, more than %v: leave files out by .mnignore", p.Bytes, PayloadMax).at("payload")
	}
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}
