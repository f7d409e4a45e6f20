package mesh

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"
)

// Python has a task run with an environment of its own for Python, which its node makes of
// what is asked for here, or has already.
type Python struct {
	// Version is that of the interpreter, such as 3.12; the node's python3 if unset.
	Version string `json:"version,omitempty" toml:"version"`
	// Requirements is a file in the task's folder, as pip reads it.
	Requirements string   `json:"requirements,omitempty" toml:"requirements"`
	Packages     []string `json:"packages,omitempty" toml:"packages"` // besides
	// SetupTimeout is how long it may take to make the environment; 15m if unset.
	SetupTimeout Duration `json:"setup_timeout,omitempty" toml:"setup_timeout"`
}

const (
	pythonPackagesMax = 256
	pythonPackageMax  = 1024     // bytes
	pythonBytesMax    = 64 << 10 // of all packages: they are told by one variable
	setupTimeout      = 15 * time.Minute
	setupTimeoutMax   = 24 * time.Hour
)

// Setup is the effective SetupTimeout.
func (p *Python) Setup() time.Duration {
	if p.SetupTimeout == 0 {
		return setupTimeout
	}
	return p.SetupTimeout.Std()
}

const pythonVersionPattern = `^3(\.[0-9]{1,2}){1,2}$`

var pythonVersion = regexp.MustCompile(pythonVersionPattern)

// python checks what can be known of an environment before it is made.
func (v *validator) python(p *Python) {
	if p == nil {
		return
	}
	if p.Version != "" && !pythonVersion.MatchString(p.Version) {
		v.fault(`%q is not a version: want one such as "3.12"`, clip(p.Version)).at("python", "version")
	}
	r := p.Requirements
	switch {
	case r == "":
	case path.IsAbs(r) || path.Clean(r) != r || r == "." || r == ".." || strings.HasPrefix(r, "../") ||
		strings.HasPrefix(r, "-") || len(r) > destinationMax || strings.ContainsAny(r, "\x00\n"):
		v.fault("%q is not a path beneath the task's folder: want one such as \"requirements.txt\"", clip(r)).
			at("python", "requirements")
	}
	if len(p.Packages) > pythonPackagesMax {
		v.fault("has %d entries, more than %d: want a file of requirements", len(p.Packages), pythonPackagesMax).
			at("python", "packages")
		return
	}
	if bytes := len(strings.Join(p.Packages, "")); bytes > pythonBytesMax {
		v.fault("has %d bytes, more than %d: want a file of requirements", bytes, pythonBytesMax).
			at("python", "packages")
		return
	}
	for i, pkg := range p.Packages {
		where := []string{"python", "packages", fmt.Sprint(i)}
		v.text(pkg, where...)
		switch {
		case strings.TrimSpace(pkg) != pkg, pkg == "", len(pkg) > pythonPackageMax, strings.ContainsAny(pkg, "\r\n"):
			v.fault("%q is not a package: want one such as \"numpy==2.1.0\"", clip(pkg)).at(where...)
		case strings.HasPrefix(pkg, "-"):
			v.fault("%q is an option: options go into the file of requirements", clip(pkg)).at(where...)
		}
	}
	v.duration(p.SetupTimeout, 0, setupTimeoutMax, "python", "setup_timeout")
}
