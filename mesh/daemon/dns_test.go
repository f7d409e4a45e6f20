package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mn/configs"
	"mn/mesh"
)

// resolves waits for an agent to have the one address that all have. Until it knows a name it may say
// that there is none, or that it does not know.
func (a *agent) resolves(name string) {
	a.t.Helper()
	q := new(dns.Msg)
	q.SetQuestion(name, dns.TypeA)
	end := time.Now().Add(20 * time.Second)
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		m, err := dns.ExchangeContext(a.t.Context(), q, a.info.DNS)
		if err != nil {
			a.t.Fatal(err)
		}
		if len(m.Answer) == 1 && m.Answer[0].(*dns.A).A.String() == "127.0.0.1" {
			return
		}
		if <-look.C; time.Now().After(end) {
			a.t.Fatalf("%s does not know %s: %v", a.cfg.Name, name, m)
		}
	}
}

func TestEveryNodeAnswersDNS(t *testing.T) {
	agents := newMesh(t, 2)
	for _, a := range agents {
		for _, of := range agents {
			a.resolves(of.cfg.Name + ".node.mn.")
		}
	}
	agents[0].run(mesh.Job{
		Name: "web", Type: mesh.Service,
		Tasks: []mesh.Task{{Name: "web", Command: []string{"sleep", "1000"}, Services: []mesh.ServiceDef{{Name: "web", Port: "4711"}}}},
	})
	for _, a := range agents {
		a.resolves("web.service.mn.")
	}
}

// TestATakenAddressOfDNSMattersIfItWasAskedFor: several agents on a machine cannot all have the usual one.
func TestATakenAddressOfDNSMattersIfItWasAskedFor(t *testing.T) {
	a := newAgent(t, "n1")
	if _, err := Init(a.cfg.Data, InitOptions{Name: "n1"}); err != nil {
		t.Fatal(err)
	}
	// If somebody has it already, the better.
	if l, err := net.Listen("tcp", configs.DefaultDNS); err == nil {
		defer l.Close()
	}
	a.cfg.DNS = configs.DNS{}
	a.start()
	if a.info.DNS != "" {
		t.Errorf("it answers DNS at %s, which is taken", a.info.DNS)
	}
	a.stop()

	a.cfg.DNS.Listen = configs.DefaultDNS
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := Run(ctx, a.cfg, Options{Release: "test", Log: slog.New(slog.DiscardHandler)})
	fault := new(mesh.Fault)
	if !errors.As(err, &fault) || fault.Kind != mesh.Unavailable || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("asked for by name: got %v", err)
	}

	a.cfg.DNS.Off = true
	a.start()
	if a.info.DNS != "" {
		t.Errorf("it answers DNS at %s, and is not to", a.info.DNS)
	}
}
