package lease

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unsafe"

	"mn/mesh"
)

// A Party takes 77 kB, and an exploration meets a hundred thousand of its
// states. They differ in one slot and in little beside it: a party is frozen to
// that, and thawed for a step that none in its state has taken before.
//
// Two states in which a party would do the same from now on are to freeze to the
// same bytes. So instants are kept as distances from now, those that are over
// as long as they matter and no longer, and what nothing will read again is
// cleared. Fields are found by reflection: a new one is frozen as it is, and
// if it is a time, or differs between the other slots, that is a panic.

// thawedAt is what the clock of a party shows when it is thawed. It is far
// from zero, which is the time of what has never been.
const thawedAt = 1000 * time.Hour

// shared are fields that are the same in all states of a node, or that are
// empty between two steps, or that are read by people only.
var shared = map[string]bool{
	"Party.self": true, "Party.key": true, "Party.cfg": true, "Party.rng": true,
	"Party.now": true, "Party.jitter": true, "Party.out": true, "Party.loop": true,
	"Party.told": true, "Party.grown": true,
	"Party.paces": true, "Party.pacesOf": true, // clocks are good here: see send
}

// spans are the times that are no instants.
var spans = map[string]bool{"Roster.Length": true}

// instants are all points in time, each with how long it matters once it is over.
var instants = map[string]func(*Party) time.Duration{
	"Party.started":  theLease,
	"peer.since":     func(p *Party) time.Duration { return max(p.cfg.Replace, p.cfg.Settle) },
	"voter.since":    notAtAll, // here a voter is informed at once
	"voter.blank":    notAtAll,
	"voter.openAt":   notAtAll,
	"grant.until":    notAtAll,
	"bidder.sent":    theLease,
	"bidder.renewAt": notAtAll,
	"bidder.askAt":   notAtAll,
	"claim.dropped":  func(p *Party) time.Duration { return p.cfg.Yield },
	"claim.acks":     theLease,
	"claim.until":    notAtAll,
	"claim.next":     notAtAll,
	"claim.busy":     notAtAll,
	"claim.holds":    notAtAll,
	"attempt.acks":   theLease,
	"attempt.next":   notAtAll,
	"drive.next":     notAtAll,
	"Party.fineAt":   func(p *Party) time.Duration { return time.Duration(max(p.seat, 0)) * turnTime },
	"spread.next":    notAtAll,
}

var durationType = reflect.TypeFor[time.Duration]()

func notAtAll(*Party) time.Duration { return 0 }

// theLease is how long the sending of a request matters to who has sent it.
func theLease(p *Party) time.Duration { return p.holdTime(p.cfg.Length) }

// freezer walks a party, to write its state down or to read it back.
type freezer struct {
	slot    mesh.Slot
	p       *Party
	thawing bool
	bytes   []byte                    // written so far, or still to be read
	fields  map[reflect.Type][]string // names of the fields of a type, with its own
}

// freeze adds the state of p to some bytes. It tidies p, which means the same
// afterwards.
func (f *freezer) freeze(p *Party, into []byte) []byte {
	if len(p.loop)+len(p.out.Facts)+len(p.out.Send)+len(p.out.Changes) > 0 {
		panic("explore: a party is frozen within a step")
	}
	f.p, f.thawing, f.bytes = p, false, into
	f.tidy()
	f.value(reflect.ValueOf(p).Elem(), "Party")
	return f.bytes
}

// thaw makes p, a party of the same node, stand in a state.
func (f *freezer) thaw(p *Party, state []byte) {
	p.now, p.jitter = thawedAt, -1
	p.out, p.loop, p.told = Output{}, nil, map[mesh.NodeID]string{}
	f.p, f.thawing, f.bytes = p, true, state
	f.value(reflect.ValueOf(p).Elem(), "Party")
	if len(f.bytes) > 0 {
		panic("explore: a state was not read to its end")
	}
}

func (f *freezer) value(v reflect.Value, name string) {
	if shared[name] {
		return
	}
	if v.Type() == durationType {
		v.SetInt(f.time(v.Int(), name))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.flag(v.Bool()))
	case reflect.Int, reflect.Int64:
		v.SetInt(f.number(v.Int()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(uint64(f.number(int64(v.Uint()))))
	case reflect.String:
		v.SetString(f.text(v.String()))
	case reflect.Struct:
		for i, name := range f.names(v.Type()) {
			field := v.Field(i)
			f.value(reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem(), name)
		}
	case reflect.Pointer:
		if f.flag(!v.IsNil()) {
			if f.thawing {
				v.Set(reflect.New(v.Type().Elem()))
			}
			f.value(v.Elem(), name)
		} else {
			v.SetZero()
		}
	case reflect.Map:
		f.mapping(v, name)
	case reflect.Slice:
		n := int(f.number(int64(v.Len())))
		switch {
		case !f.thawing:
		case n == 0:
			v.SetZero()
		default:
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		f.list(v, name)
	case reflect.Array:
		f.list(v, name)
	default:
		panic("explore: cannot freeze the field " + name)
	}
}

// names are the fields of a struct, as in the tables above.
func (f *freezer) names(t reflect.Type) []string {
	names, ok := f.fields[t]
	if !ok {
		for i := range t.NumField() {
			names = append(names, t.Name()+"."+t.Field(i).Name)
		}
		f.fields[t] = names
	}
	return names
}

// list is the elements of a slice or array. One that has an element for each
// slot is taken as two: that of the slot explored, and that of all others.
func (f *freezer) list(v reflect.Value, name string) {
	switch {
	case v.Type().Elem().Kind() == reflect.Uint8:
		raw := v.Slice(0, v.Len()).Bytes()
		if f.thawing {
			copy(raw, f.bytes)
			f.bytes = f.bytes[len(raw):]
		} else {
			f.bytes = append(f.bytes, raw...)
		}
		return
	case v.Len() != mesh.Slots:
		for i := range v.Len() {
			f.value(v.Index(i), name)
		}
		return
	}
	switch all := v.Slice(0, v.Len()).Interface().(type) {
	case []claim:
		perSlot(f, all, name)
	case []grant:
		perSlot(f, all, name)
	case []asker:
		perSlot(f, all, name)
	case []uint64:
		perSlot(f, all, name)
	case []uint16:
		perSlot(f, all, name)
	default:
		panic("explore: cannot freeze slots of the field " + name)
	}
}

func perSlot[T comparable](f *freezer, all []T, name string) {
	other := (int(f.slot) + 1) % len(all)
	mine, rest := all[f.slot], all[other]
	for i := range all {
		if !f.thawing && all[i] != rest && i != int(f.slot) {
			panic(fmt.Sprintf("explore: slot %d of %s is not as slot %d", i, name, other))
		}
	}
	for _, each := range []*T{&mine, &rest} {
		if !f.thawing {
			f.tidySlot(each)
		}
		f.value(reflect.ValueOf(each).Elem(), name)
	}
	if !f.thawing {
		return
	}
	for i := range all {
		all[i] = rest
	}
	all[f.slot] = mine
}

func (f *freezer) mapping(v reflect.Value, name string) {
	n := int(f.number(int64(v.Len())))
	kind := v.Type()
	if f.thawing {
		v.Set(reflect.MakeMap(kind))
		for range n {
			key, value := reflect.New(kind.Key()).Elem(), reflect.New(kind.Elem()).Elem()
			f.value(key, name)
			f.value(value, name)
			v.SetMapIndex(key, value)
		}
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		return slices.Compare([]byte(a.String()), []byte(b.String()))
	})
	for _, key := range keys {
		f.text(key.String())
		value := reflect.New(kind.Elem()).Elem()
		value.Set(v.MapIndex(key))
		f.value(value, name)
	}
}

// time is a span as it is, and an instant as its distance from now.
func (f *freezer) time(t int64, name string) int64 {
	if spans[name] {
		return f.number(t)
	}
	matters, known := instants[name]
	if !known {
		panic("explore: say in a table what time " + name + " is")
	}
	if f.thawing {
		return f.number(0) + int64(thawedAt)
	}
	f.number(int64(max(time.Duration(t)-f.p.now, -matters(f.p))))
	return t
}

func (f *freezer) number(n int64) int64 {
	if !f.thawing {
		f.bytes = binary.AppendVarint(f.bytes, n)
		return n
	}
	n, size := binary.Varint(f.bytes)
	if size <= 0 {
		panic("explore: a state ends too early")
	}
	f.bytes = f.bytes[size:]
	return n
}

func (f *freezer) flag(is bool) bool {
	n := int64(0)
	if is {
		n = 1
	}
	return f.number(n) == 1
}

func (f *freezer) text(s string) string {
	n := int(f.number(int64(len(s))))
	if !f.thawing {
		f.bytes = append(f.bytes, s...)
		return s
	}
	s = string(f.bytes[:n])
	f.bytes = f.bytes[n:]
	return s
}

// tidy clears what a party will not read again.
func (f *freezer) tidy() {
	p := f.p
	if len(p.spread.to) == 0 {
		p.spread = spread{}
	}
	if !p.bidder.pending {
		p.bidder.sent = never
	}
	if p.voter.open || p.seat < 0 {
		p.voter.openAt = never
	}
	if p.seat < 0 {
		p.voter.blank, p.drive.next = never, never
	}
}

func (f *freezer) tidySlot(v any) {
	switch v := v.(type) {
	case *claim:
		if v.wanted {
			v.dropped = never
		}
		if v.held.IsZero() {
			v.acks, v.until = noAcks(), never
		}
		v.holder, v.holds = "", never // a hint for others
		v.losses = min(v.losses, backoffMax)
		v.try.tries = min(v.try.tries, max(backoffMax, stuckAfter))
	case *grant:
		if v.until <= f.p.now {
			*v = grant{}
		}
	}
}
