package configs

import (
	"reflect"
	"testing"
	"time"

	"mn/mesh"
)

func TestDaemonFileIsReadWhole(t *testing.T) {
	const file = `
data = "/srv/mn"
name = "box-1"
bind = "10.0.0.7"
port = 7800
http = "127.0.0.1:7080"
seeds = ["10.0.0.8:7700", "box-3:7700"]
profile = "fast"
volumes = ["/data", "/srv/models"]
artifacts = ["/srv/files"]

[lease]
length = "400ms"
renew = "130ms"

[labels]
rack = "3"

[capacity]
cpu = 16
memory = "64GiB"
disk = "1TB"

[reserve]
cpu = 0.5
memory = "2GiB"

[discovery]
off = true
port = 7801

[dns]
off = true
listen = "[::1]:53"

[container]
socket = "/run/podman/podman.sock"

[[device]]
kind = "serial"
id = "ftdi-A50285BI"
path = "/dev/serial/by-id/usb-FTDI_A50285BI"
vendor = "ftdi"
model = "FT232R (bench 2)"
capabilities = ["rs485", "5v"]

[[device]]
kind = "fpga"
id = "u250"
memory = "64GiB"

[[device]]
kind = "serial"
id = "console"
`
	got, err := ParseDaemon("agent.toml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := Daemon{
		Data: "/srv/mn", Name: "box-1", Bind: "10.0.0.7", Port: 7800, HTTP: "127.0.0.1:7080",
		Seeds: []string{"10.0.0.8:7700", "box-3:7700"}, Profile: ProfileFast,
		Volumes: []string{"/data", "/srv/models"}, Artifacts: []string{"/srv/files"},
		Lease: Lease{
			Length: mesh.Duration(400 * time.Millisecond),
			Renew:  mesh.Duration(130 * time.Millisecond),
		},
		Labels:    map[string]string{"rack": "3"},
		Capacity:  mesh.Resources{CPU: 16 * mesh.Core, Memory: 64 * mesh.GiB, Disk: 1e12},
		Reserve:   mesh.Resources{CPU: mesh.Core / 2, Memory: 2 * mesh.GiB},
		Discovery: Discovery{Off: true, Port: 7801},
		DNS:       DNS{Off: true, Listen: "[::1]:53"},
		Container: Container{Socket: "/run/podman/podman.sock"},
		Devices: []Device{
			{
				Kind: "serial", ID: "ftdi-A50285BI", Path: "/dev/serial/by-id/usb-FTDI_A50285BI", Vendor: "ftdi",
				Model: "FT232R (bench 2)", Capabilities: []string{"rs485", "5v"},
			},
			{Kind: "fpga", ID: "u250", Memory: 64 * mesh.GiB},
			{Kind: "serial", ID: "console"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	listed := []mesh.Device{
		{
			Kind: "serial", ID: "ftdi-A50285BI", Path: "/dev/serial/by-id/usb-FTDI_A50285BI", Vendor: "ftdi",
			Model: "FT232R (bench 2)", Capabilities: []string{"5v", "rs485"},
		},
		{Kind: "fpga", ID: "u250", Memory: 64 * mesh.GiB},
		{Kind: "serial", ID: "console", Index: 1},
	}
	if got := got.Listed(); !reflect.DeepEqual(got, listed) {
		t.Errorf("listed %+v\nwant   %+v", got, listed)
	}
}

func TestHTTPStaysOnLoopback(t *testing.T) {
	for addr, good := range map[string]bool{
		"":               true,
		"127.0.0.1:7080": true,
		"127.9.8.7:7080": true,
		"[::1]:7080":     true,
		"localhost:0":    true,
		":7080":          false,
		"0.0.0.0:7080":   false,
		"[::]:7080":      false,
		"10.0.0.1:7080":  false,
		"box:7080":       false,
		"127.0.0.1":      false,
	} {
		c := Daemon{HTTP: addr}
		if got := c.Validate() == nil; got != good {
			t.Errorf("http %q: got good %v, want %v", addr, got, good)
		}
	}
}

func TestDNSIsAtAnAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"":               DefaultDNS,
		"10.0.0.1:53":    "10.0.0.1:53",
		"[::]:8653":      "[::]:8653",
		"127.0.0.1:0":    "127.0.0.1:0",
		"127.0.0.1":      "",
		":53":            "",
		"localhost:53":   "",
		"10.0.0.1:66666": "",
	} {
		c := Daemon{DNS: DNS{Listen: listen}}
		if got := c.DNS.At(); (want != "" || got.IsValid()) && got.String() != want {
			t.Errorf("listen %q: at %v, want %q", listen, got, want)
		}
		if good := c.Validate() == nil; good != (want != "") {
			t.Errorf("listen %q: good %v", listen, good)
		}
	}
}

func TestAnEmptyDaemonFileIsGood(t *testing.T) {
	if _, err := ParseDaemon("agent.toml", nil); err != nil {
		t.Error(err)
	}
}
