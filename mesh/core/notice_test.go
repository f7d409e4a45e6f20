package core

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"mn/mesh"
)

// ranFor wants one run of a job for each of what has happened, with that in its payload.
func (l *lab) ranFor(what ...string) {
	l.t.Helper()
	runs := l.nodes[1].core.runs("alarm")
	slices.SortFunc(runs, func(a, b mesh.RunView) int { return a.Origin.Due.Compare(b.Origin.Due) })
	if len(runs) != len(what) {
		l.t.Fatalf("there are %d runs, want %d: %+v\n%s", len(runs), len(what), runs, l.events())
	}
	for i, r := range runs {
		if !strings.Contains(string(r.Origin.Payload), what[i]) {
			l.t.Errorf("the run is handed %s, want %s", r.Origin.Payload, what[i])
		}
	}
}

// alarm submits a job that runs for an event.
func (l *lab) alarm(event string) {
	l.t.Helper()
	job := every("alarm", "1h")
	job.Schedule, job.Triggers = nil, []mesh.Trigger{{Event: event}}
	if r := l.ask(l.nodes[0], Submit{Job: job}); r.Fault != nil {
		l.t.Fatal(r.Fault)
	}
	l.after(2 * time.Second)
}

func TestANodeThatIsLetInHasAJobRun(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.alarm(mesh.NodeHasJoined)
	l.ranFor() // for those that were there before it
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	member := mesh.Member{ID: mesh.NodeIDOf(key), Name: "n4", Key: key, Token: "t"}
	token := mesh.Token{ID: "t", Hash: []byte("x"), Uses: 1, ExpiresAt: l.clock().Wall.Add(time.Hour)}
	l.ask(l.nodes[0], PutToken{Token: token})
	if r := l.ask(l.nodes[0], Admit{Member: member, Secret: token.Hash}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	l.after(10 * time.Second)
	l.ranFor(`"node":"n4"`)
}

// Each time that a service comes to be critical is one event, however often its copy says so.
func TestACriticalServiceHasAJobRun(t *testing.T) {
	l := newLab(t, 3)
	l.after(15 * time.Second)
	l.ask(l.nodes[0], Submit{Job: offering("models", "vllm", l.nodes[2])})
	l.after(5 * time.Second)
	l.alarm(mesh.ServiceCritical)
	l.ranFor()
	l.sicken("vllm", true)
	l.after(10 * time.Second)
	l.ranFor(`"service":"vllm"`)
	l.sicken("vllm", false)
	l.after(5 * time.Second)
	l.sicken("vllm", true)
	l.after(5 * time.Second)
	l.ranFor(`"service":"vllm"`, `"node":"n3"`)
}

func TestADeviceThatIsGivenBackHasAJobRun(t *testing.T) {
	l := newLab(t, 3)
	l.equip()
	l.after(15 * time.Second)
	l.alarm(mesh.DeviceFreed)
	train := gpuJob(1)
	train.Type, train.Tasks[0].Ports = mesh.Batch, nil
	if r := l.ask(l.nodes[0], Submit{Job: train}); r.Fault != nil {
		t.Fatal(r.Fault)
	}
	l.after(5 * time.Second)
	l.ranFor()
	l.exit("train", 0, 0)
	l.after(5 * time.Second)
	l.ranFor(`"devices":["GPU-n`)
}
