package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// gpuJob wants a GPU and two ports for each copy.
func gpuJob(count int) *mesh.Job {
	j := service("train", count)
	j.Tasks[0].Devices = []mesh.DeviceRequest{{Driver: "cuda"}}
	j.Tasks[0].Ports = []mesh.PortRequest{{Label: "api"}, {Label: "admin", Number: 9000}}
	return j
}

// equip gives each host a GPU.
func (l *lab) equip() {
	for _, h := range l.nodes {
		h.self.Devices = []mesh.Device{{ID: "GPU-" + h.name, Kind: mesh.GPU, Driver: "cuda", Memory: 16 * mesh.GiB}}
		l.step(h, Inventory{Devices: h.self.Devices})
	}
}

// granted are the devices and ports of the job's copies that have not ended, by host.
func (l *lab) granted(by *host) map[string]string {
	all := map[string]string{}
	for _, a := range by.core.records.allocsOf("train") {
		if a.Want != mesh.WantRun || a.State().Final() {
			continue
		}
		var has []string
		for _, d := range a.Grants.Devices {
			for _, given := range d.Given {
				has = append(has, given.ID)
			}
		}
		for _, p := range a.Grants.Ports {
			has = append(has, fmt.Sprint(p.Number))
		}
		all[by.core.name(a.Node)] += strings.Join(has, " ")
	}
	return all
}

// What the node chose is part of the decision, whoever asks; nothing is given twice, also
// by an agent that has been away, and what is lost is given to nobody.
func TestNodesChooseDevicesAndPorts(t *testing.T) {
	l := newLab(t, 3)
	l.equip()
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: gpuJob(4)})
	if _, ok := l.until(20*time.Second, func() bool { return l.total() == 3 }); !ok {
		t.Fatalf("runs on %v\n%s", l.running(), l.events())
	}
	l.after(5 * time.Second)
	for _, by := range l.nodes {
		for _, h := range l.nodes {
			if got, want := l.granted(by)[h.name], "GPU-"+h.name+" 20000 9000"; got != want {
				t.Errorf("%s says that on %s there is %q, want %q", by.name, h.name, got, want)
			}
		}
	}
	for _, h := range l.nodes {
		for _, o := range h.orders {
			if o.Spec == nil {
				continue
			}
			env := strings.Join(o.Spec.Env, "\n") + "\n"
			for _, want := range []string{
				"MN_PORT_API=20000\n", "MN_PORT_ADMIN=9000\n", "CUDA_VISIBLE_DEVICES=GPU-" + h.name + "\n",
				"ROCR_VISIBLE_DEVICES=\n", "MN_ALLOCATED_DEVICE_IDS=GPU-" + h.name + "\n", "MN_GPU_DRIVER=cuda\n",
				`"given":[{"id":"GPU-` + h.name + `"`,
			} {
				if !strings.Contains(env, want) {
					t.Errorf("%s: no %q in\n%s", h.name, want, env)
				}
			}
		}
	}

	// An agent that comes back knows what it has given out.
	h := l.nodes[2]
	l.kill(h, false)
	l.start(h)
	l.step(h, Tick{})
	l.meet(h)
	l.after(20 * time.Second)
	if got := l.total(); got != 3 {
		t.Errorf("%d run, want 3: the fourth has no device", got)
	}
	asks := gpuJob(1).Groups()[0].Asks()
	if _, err := h.core.ledger.Reserve(h.core.records.allocsOf("train")[0].Fence, mesh.Alloc{
		ID: "x", Job: "other", Node: h.self.ID, Grants: asks,
	}, l.now); err == nil || !strings.Contains(err.Error(), "port 9000/tcp is in use by a copy") {
		t.Errorf("got %v, want that the port is in use", err)
	}

	// A device more is found: the copy that waits for one gets it, and another number for its port.
	l.step(h, Inventory{Devices: append(h.self.Devices, mesh.Device{ID: "GPU-new", Kind: mesh.GPU, Driver: "cuda"})})
	job := gpuJob(4)
	job.Tasks[0].Ports = job.Tasks[0].Ports[:1]
	l.ask(l.nodes[1], Submit{Job: job})
	if _, ok := l.until(60*time.Second, func() bool { return l.total() == 4 }); !ok {
		t.Fatalf("runs on %v\n%s", l.running(), l.events())
	}
	l.after(5 * time.Second)
	if got := l.granted(l.nodes[0])[h.name]; !strings.Contains(got, "GPU-new") || !strings.Contains(got, "GPU-n3") {
		t.Errorf("on %s there is %q", h.name, got)
	}
}

// A port that a program of somebody else has is found out before anything starts there.
func TestForeignPortsKeepCopiesAway(t *testing.T) {
	l := newLab(t, 3)
	l.equip()
	for _, h := range l.nodes[:2] {
		l.step(h, Inventory{Devices: h.self.Devices, Foreign: []mesh.Port{{Number: 9000, Transport: mesh.TCP}}})
	}
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: gpuJob(1)})
	l.after(10 * time.Second)
	if got := l.running(); got["n3"] != 1 || l.total() != 1 {
		t.Errorf("runs on %v, want n3\n%s", got, l.events())
	}
	// It comes up where the coordinator has not heard of it yet.
	l.step(l.nodes[2], Inventory{Foreign: []mesh.Port{{Number: 9001, Transport: mesh.TCP}}})
	asks := &mesh.Grants{Ports: []mesh.PortGrant{{Task: "t", Label: "x", Protocol: mesh.ProtocolHTTP, Number: 9001}}}
	h := l.nodes[2]
	if _, err := h.core.ledger.Reserve(h.core.records.allocsOf("train")[0].Fence, mesh.Alloc{
		ID: "x", Job: "other", Node: h.self.ID, Grants: asks,
	}, l.now); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v", err)
	}
}
