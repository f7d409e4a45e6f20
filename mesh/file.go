package mesh

import "time"

// File is one thing in a folder of a copy.
type File struct {
	Name string    `json:"name"` // in its folder; of one that is copied, below that
	Kind FileKind  `json:"kind"`
	Size int64     `json:"size"` // bytes of a regular file
	Mode string    `json:"mode"` // its permissions, as 0644
	Time time.Time `json:"time"` // of its last change
	Link string    `json:"link,omitempty"`
}

// FileKind says what sort of thing a file is.
type FileKind string

// The kinds of files.
const (
	RegularFile FileKind = "file"
	FileFolder  FileKind = "folder"
	FileLink    FileKind = "link"
	FilePipe    FileKind = "pipe"
	FileSocket  FileKind = "socket"
	FileDevice  FileKind = "device"
)

// LeftOut is what of a folder was not copied.
type LeftOut struct {
	Count int      `json:"count"`
	Names []string `json:"names,omitempty"` // of the first few, each with why
}

// Arrived is what has come of files that were sent to a copy.
type Arrived struct {
	Path  string  `json:"path"`  // in the folder of the task
	Files int     `json:"files"` // and folders and links
	Bytes int64   `json:"bytes"`
	Left  LeftOut `json:"left_out"`
}
