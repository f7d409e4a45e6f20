package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"mn/mesh"
)

// Vitals is what a node says about itself in gossip: enough to greet it by
// name and to rank it, small enough to go with every packet about it.
type Vitals struct {
	Name    string
	Address string // ip:port of its one UDP port
	Boot    mesh.BootID
	Role    mesh.Role
	Release string
	Free    mesh.Resources // what is not reserved, roughly
	// Abstains: it cannot lead now, others should in its place.
	Abstains bool
}

// Serf gives all tags together 512 bytes, of which it needs 7 for one.
const (
	vitalsTag   = "v"
	maxVitals   = 500
	vitalsForm  = 1 // the first byte: the form of what follows
	maxVitalsIn = 64
)

var errVitals = errors.New("decode vitals: they are damaged")

// encode packs v: the form, five texts behind their lengths, four numbers.
func (v Vitals) encode() (string, error) {
	b := []byte{vitalsForm}
	for _, s := range []string{v.Name, v.Address, string(v.Boot), string(v.Role), v.Release} {
		if len(s) > maxVitalsIn {
			return "", fmt.Errorf("encode vitals: %q is longer than %d bytes", s, maxVitalsIn)
		}
		b = append(append(b, byte(len(s))), s...)
	}
	var abstains int64
	if v.Abstains {
		abstains = 1
	}
	for _, n := range []int64{int64(v.Free.CPU), int64(v.Free.Memory), int64(v.Free.Disk), abstains} {
		b = binary.AppendVarint(b, n)
	}
	if len(b) > maxVitals {
		return "", fmt.Errorf("encode vitals: %d bytes are more than %d", len(b), maxVitals)
	}
	return string(b), nil
}

// decodeVitals unpacks vitals. What a newer release has added at the end is
// left alone, what an older one does not have yet is zero.
func decodeVitals(s string) (Vitals, error) {
	if len(s) == 0 || len(s) > maxVitals || s[0] != vitalsForm {
		return Vitals{}, errVitals
	}
	b := []byte(s[1:])
	var text [5]string
	for i := range text {
		if len(b) == 0 || int(b[0]) > maxVitalsIn || len(b) < 1+int(b[0]) {
			return Vitals{}, errVitals
		}
		text[i], b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	var number [3]int64
	for i := range number {
		n, size := binary.Varint(b)
		if size <= 0 {
			return Vitals{}, errVitals
		}
		number[i], b = n, b[size:]
	}
	abstains, _ := binary.Varint(b)
	return Vitals{
		Name: text[0], Address: text[1], Boot: mesh.BootID(text[2]), Role: mesh.Role(text[3]),
		Release: text[4],
		Free: mesh.Resources{
			CPU: mesh.Cores(number[0]), Memory: mesh.Bytes(number[1]), Disk: mesh.Bytes(number[2]),
		},
		Abstains: abstains == 1,
	}, nil
}

// vitalsPeriod is the least time between two announcements: each goes to all
// nodes, and what is free changes with every task.
const vitalsPeriod = 2 * time.Second

// announcer gives changed vitals to Serf, in a goroutine of its own: Serf
// blocks until the change is on its way.
type announcer struct {
	m    *Membership
	wake chan struct{}

	mu   sync.Mutex
	want Vitals
}

func newAnnouncer(m *Membership, v Vitals) *announcer {
	return &announcer{m: m, wake: make(chan struct{}, 1), want: v}
}

func (a *announcer) set(v Vitals) error {
	if _, err := v.encode(); err != nil {
		return err
	}
	a.mu.Lock()
	a.want = v
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return nil
}

// run announces what has changed. That a node abstains it says again and again:
// most often it is for the network that is bad, and gossip is lost on its way.
func (a *announcer) run() {
	said := a.wanted()
	for {
		if !said.Abstains {
			select {
			case <-a.wake:
			case <-a.m.ctx.Done():
				return
			}
		}
		if v := a.wanted(); v != said || v.Abstains {
			if err := a.announce(v); err != nil {
				a.m.conf.Log.Debug("vitals not announced", "why", err)
			}
			said = v
		}
		select {
		case <-time.After(vitalsPeriod):
		case <-a.m.ctx.Done():
			return
		}
	}
}

func (a *announcer) wanted() Vitals {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.want
}

func (a *announcer) announce(v Vitals) error {
	tag, err := v.encode()
	if err != nil {
		return err
	}
	return a.m.serf.SetTags(map[string]string{vitalsTag: tag})
}
