package mesh

// GPU is the kind of the devices that agents find by themselves. Others are what the
// node's file says.
const GPU = "gpu"

// Device is a piece of hardware that a node shares out: whole, or by its memory.
type Device struct {
	// ID is the one that its driver gave it, if it has any: unique on the node, and the
	// same after a reboot.
	ID            string   `json:"id"`
	Kind          string   `json:"kind"`
	Vendor        string   `json:"vendor,omitempty"` // "nvidia", "amd", "intel", "apple"
	Model         string   `json:"model,omitempty"`
	Driver        string   `json:"driver,omitempty"`         // what programs use it by: "cuda", "rocm", "metal"
	DriverVersion string   `json:"driver_version,omitempty"` // of the kernel's driver
	APIVersion    string   `json:"api_version,omitempty"`    // the highest of Driver that it has
	Index         int      `json:"index"`                    // by which its vendor's tools count it
	Memory        Bytes    `json:"memory,omitempty"`
	Capabilities  []string `json:"capabilities,omitempty"` // sorted
	Path          string   `json:"path,omitempty"`         // in /dev, if it has one
	// Sick is why it takes no work: its driver reports errors.
	Sick string `json:"sick,omitempty"`
	// Foreign is how much of its memory processes have that are not ours.
	Foreign Bytes `json:"foreign,omitempty"`
}

// Transport is what a port belongs to: two programs may have the same number of it, one
// of each.
type Transport string

// The transports.
const (
	TCP Transport = "tcp"
	UDP Transport = "udp"
)

// Port is a port of a host.
type Port struct {
	Number    uint16    `json:"port"`
	Transport Transport `json:"transport"`
}
