package mesh

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written "10m" in job files and JSON.
type Duration time.Duration

// Std is d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the shortest human form: "10m", not "10m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// UnmarshalText reads "10m", "1.5h", "2d".
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || n < 0 || n > 36500 {
			return fmt.Errorf("duration %q: want a number with a unit, such as \"30s\" or \"10m\"", s)
		}
		*d = Duration(n * 24 * float64(time.Hour))
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration %q: want a number with a unit, such as \"30s\" or \"10m\"", s)
	}
	*d = Duration(v)
	return nil
}

// MarshalJSON writes the human form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads the human form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration %s: want text, such as \"10m\"", b)
	}
	return d.UnmarshalText([]byte(s))
}

// Bytes is an amount of memory or disk. Job files write "8GiB" or "500MB";
// JSON has the plain number.
type Bytes int64

// The binary units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// longest suffixes first: "MiB" must not be read as "B".
var byteUnits = []struct {
	suffix string
	unit   Bytes
}{
	{"TiB", TiB},
	{"GiB", GiB},
	{"MiB", MiB},
	{"KiB", KiB},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"KB", 1e3},
	{"B", 1},
}

// String is b in the largest binary unit, with at most one decimal.
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if b >= u.unit {
			n := strconv.FormatFloat(float64(b)/float64(u.unit), 'f', 1, 64)
			return strings.TrimSuffix(n, ".0") + " " + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + " B"
}

// UnmarshalText reads "8GiB", "1.5 GB" or a plain number of bytes.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	num, unit := s, Bytes(1)
	for _, u := range byteUnits {
		if head, ok := strings.CutSuffix(s, u.suffix); ok {
			num, unit = strings.TrimSpace(head), u.unit
			break
		}
	}
	n, err := strconv.ParseFloat(num, 64)
	if err != nil || n < 0 || math.IsNaN(n) || n*float64(unit) > 1<<60 {
		return fmt.Errorf("size %q: want a number with a unit, such as \"512MiB\" or \"8GB\"", s)
	}
	*b = Bytes(n * float64(unit))
	return nil
}

// UnmarshalJSON reads a plain number of bytes, or text as in a job file.
func (b *Bytes) UnmarshalJSON(j []byte) error {
	var s string
	if json.Unmarshal(j, &s) != nil {
		s = string(j)
	}
	return b.UnmarshalText([]byte(s))
}

// Cores is an amount of CPU in thousandths of a core. Job files and JSON have
// it in cores: 2, 0.25.
type Cores int64

// Core is one whole core.
const Core Cores = 1000

// String is c in cores.
func (c Cores) String() string { return strconv.FormatFloat(float64(c)/1000, 'f', -1, 64) }

// UnmarshalText reads a number of cores.
func (c *Cores) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || n < 0 || n > 1e6 {
		return fmt.Errorf("cpu %q: want a number of cores, such as 2 or 0.5", text)
	}
	*c = Cores(math.Round(n * 1000))
	return nil
}

// Words is the number with what it is of: "1 core", "0.5 cores".
func (c Cores) Words() string {
	if c == Core {
		return "1 core"
	}
	return c.String() + " cores"
}

// MarshalJSON writes the number of cores.
func (c Cores) MarshalJSON() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalJSON reads a number of cores.
func (c *Cores) UnmarshalJSON(j []byte) error { return c.UnmarshalText(j) }

// Share is a part of a whole, in thousandths. Job files and JSON have it as a number up to
// 1: 0.25.
type Share int64

// WholeShare is all of it.
const WholeShare = 1000

// String is s as a part of 1.
func (s Share) String() string { return strconv.FormatFloat(float64(s)/WholeShare, 'f', -1, 64) }

// UnmarshalText reads a part of 1.
func (s *Share) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || n < 0 || n > 1 || n > 0 && n < 1.0/WholeShare {
		return fmt.Errorf("share %q: want a part of 1, such as 0.25, and at least 0.001", text)
	}
	*s = Share(math.Round(n * WholeShare))
	return nil
}

// MarshalJSON writes the part of 1.
func (s Share) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON reads a part of 1.
func (s *Share) UnmarshalJSON(j []byte) error { return s.UnmarshalText(j) }

// Resources is an amount of each thing that a node shares out.
type Resources struct {
	CPU    Cores `json:"cpu" toml:"cpu"`
	Memory Bytes `json:"memory" toml:"memory"`
	Disk   Bytes `json:"disk" toml:"disk"`
}

// Add is r and o together.
func (r Resources) Add(o Resources) Resources {
	return Resources{r.CPU + o.CPU, r.Memory + o.Memory, r.Disk + o.Disk}
}

// Sub is what is left of r without o; it can be negative.
func (r Resources) Sub(o Resources) Resources {
	return Resources{r.CPU - o.CPU, r.Memory - o.Memory, r.Disk - o.Disk}
}

// Lacks names the first resource of which r has less than want, and "" if r
// has enough of all: "memory: needs 8 GiB, 2.1 GiB free".
func (r Resources) Lacks(want Resources) string {
	switch {
	case want.CPU > max(r.CPU, 0):
		return fmt.Sprintf("cpu: needs %s, %v free", want.CPU.Words(), max(r.CPU, 0))
	case want.Memory > max(r.Memory, 0):
		return fmt.Sprintf("memory: needs %v, %v free", want.Memory, max(r.Memory, 0))
	case want.Disk > max(r.Disk, 0):
		return fmt.Sprintf("disk: needs %v, %v free", want.Disk, max(r.Disk, 0))
	}
	return ""
}
