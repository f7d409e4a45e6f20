package store

import (
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"mn/crdt"
)

// Load is all that is kept: the copy, and the node's own facts. A record whose
// checksum is wrong is moved aside and named in Damage, again and again until the
// first Commit after a Load; the rest is as it was. A fact that is spoiled has nobody to
// replace it, and may be a promise: that is a *DamageError. Call it once, after Open.
func (s *Store) Load() (kept crdt.Kept, facts map[string][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			err = s.damaged(err)
		}
	}()
	defer guard(&err)
	l := loading{facts: map[string][]byte{}}
	l.kept.Seen = crdt.Seen{}
	if err := s.db.View(l.read); err != nil {
		return crdt.Kept{}, nil, err
	}
	if l.fact != "" {
		return crdt.Kept{}, nil, fmt.Errorf("this node's own %s", l.fact)
	}
	if len(l.moves) > 0 {
		known := append(s.damage, l.damage...)
		s.meta.Damage = known[:min(len(known), damageMax)]
		ops, err := s.unsure(l.moves)
		if err == nil {
			err = s.write(ops)
		}
		if err != nil {
			return crdt.Kept{}, nil, fmt.Errorf("move spoiled records aside: %w", err)
		}
	}
	l.kept.Damage, s.told = append(s.damage, l.damage...), true
	if len(l.kept.Damage) > 0 {
		l.kept.Seen = crdt.Seen{}
	}
	for _, d := range l.kept.Damage {
		s.log.Error("data is lost; the peers have it", "store", s.dir, "what", d)
	}
	l.kept.NextSeq, l.kept.Life = s.meta.Next, s.meta.Life
	if len(l.kept.Damage) > 0 { // the store's own record may be what was lost
		l.kept.NextSeq = max(l.kept.NextSeq, l.highest+rewindGap)
	}
	return l.kept, l.facts, nil
}

// loading is a Load under way.
type loading struct {
	kept    crdt.Kept
	facts   map[string][]byte
	highest uint64 // number of any write that is mentioned
	damage  []string
	fact    string // that is spoiled
	moves   []op   // of spoiled records
}

func (l *loading) read(txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 16})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		record, err := it.Item().ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("read record %q: %w", key, err)
		}
		if err := l.take(key, record); err != nil {
			what := fmt.Sprintf("record %q: %v", key[1:], err)
			if key[0] == kindFact {
				l.fact = what
			}
			l.damage = append(l.damage, what)
			l.moves = append(l.moves,
				op{Key: append([]byte{kindSpoiled}, key...), Value: record}, op{Key: key})
		}
	}
	return nil
}

// take reads one record.
func (l *loading) take(key, record []byte) error {
	if key[0] == kindMeta || key[0] == kindSpoiled {
		return nil
	}
	payload, err := unseal(key, record)
	if err != nil {
		return err
	}
	name := string(key[1:])
	switch key[0] {
	case kindEntry:
		var e crdt.Entry
		if err := crdt.Decode(payload, &e); err != nil {
			return err
		}
		l.kept.Entries = append(l.kept.Entries, e)
		l.highest = max(l.highest, e.Dot.Seq)
	case kindSeen:
		var k crdt.Known
		if err := crdt.Decode(payload, &k); err != nil {
			return err
		}
		one := crdt.Seen{name: k}
		if err := one.Check(); err != nil {
			return err
		}
		l.kept.Seen[name] = k
		l.highest = max(l.highest, k.Head)
	case kindHeld:
		var q crdt.Quarantined
		if err := crdt.Decode(payload, &q); err != nil {
			return err
		}
		l.kept.Quarantine = append(l.kept.Quarantine, q)
	case kindFact:
		l.facts[name] = payload
	default:
		return errors.New("unknown kind of record")
	}
	return nil
}
