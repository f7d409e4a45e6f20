// Package docs is the manual, for programs that quote it.
package docs

import _ "embed"

// Jobs is the manual of the job file, in Markdown.
//
//go:embed jobs.md
var Jobs string
