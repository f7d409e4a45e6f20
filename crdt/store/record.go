package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"mn/crdt"
)

// The first byte of a key says what its record is.
const (
	kindEntry   = 'e' // crdt.Entry      by its key
	kindSeen    = 's' // crdt.Known      by origin
	kindHeld    = 'q' // crdt.Quarantined by id
	kindFact    = 'f' // bytes           by key
	kindMeta    = 'm' // meta
	kindSpoiled = 'x' // what was found under the rest of the key, as it was
	kindStage   = 'w' // []op            by number: a part of a large commit
	kindStaged  = 'W' // uint64          how many parts: the large commit counts
)

const (
	format   = 1 // of a record; another one is refused, not guessed at
	headSize = 5 // format and checksum

	// rewindGap is how many numbers are left out when commits are missing: the
	// node may have given them to writes that others have.
	rewindGap = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// meta is what the store knows about itself; it is part of every commit.
type meta struct {
	Commits uint64 `json:"c"`
	Life    uint64 `json:"l"` // how often it was opened
	Next    uint64 `json:"n"` // number of the node's next write
	// Damage is what was lost, until who was told of it has written what follows from it.
	Damage []string `json:"d,omitempty"`
}

// damageMax bounds what a store says of its damage.
const damageMax = 64

var metaKey = []byte{kindMeta}

// op is one record to be written, or removed.
type op struct {
	_     struct{} `cbor:",toarray"`
	Key   []byte
	Value []byte // sealed; nil removes
}

func keyOf(kind byte, name string) []byte { return append([]byte{kind}, name...) }

// seal puts format and checksum before a payload. The checksum covers the key,
// so that a record that turns up under another key is not believed.
func seal(key, payload []byte) []byte {
	b := make([]byte, headSize, headSize+len(payload))
	b[0] = format
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b[1:headSize], checksum(key, payload))
	return b
}

// unseal is the payload of a record, or what is wrong with it.
func unseal(key, record []byte) ([]byte, error) {
	switch {
	case len(record) < headSize:
		return nil, fmt.Errorf("%d bytes are too short", len(record))
	case record[0] != format:
		return nil, fmt.Errorf("format %d is not %d", record[0], format)
	case binary.LittleEndian.Uint32(record[1:]) != checksum(key, record[headSize:]):
		return nil, errors.New("checksum does not match")
	}
	return record[headSize:], nil
}

func checksum(key, payload []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(format), castagnoli, key), castagnoli, payload)
}

// put is the op that writes a value.
func put(kind byte, name string, v any) (op, error) {
	payload, err := crdt.Encode(v)
	if err != nil {
		return op{}, err
	}
	key := keyOf(kind, name)
	return op{Key: key, Value: seal(key, payload)}, nil
}

// opsOf is a batch and facts as records. Entries come before the Seen that
// speaks of them.
func (s *Store) opsOf(b crdt.Batch, facts []Fact) (ops []op, err error) {
	add := func(kind byte, name string, v any) {
		o, perr := put(kind, name, v)
		ops, err = append(ops, o), errors.Join(err, perr)
	}
	drop := func(kind byte, name string) { ops = append(ops, op{Key: keyOf(kind, name)}) }
	if b.Reset {
		if ops, err = s.removal(ops, kindEntry, kindSeen, kindHeld); err != nil {
			return nil, err
		}
	}
	for _, e := range b.Put {
		add(kindEntry, e.Key, e)
	}
	for _, key := range b.Remove {
		drop(kindEntry, key)
	}
	for _, id := range b.Release {
		drop(kindHeld, id)
	}
	for _, q := range b.Quarantine {
		add(kindHeld, q.ID, q)
	}
	for _, f := range facts {
		if f.Value == nil {
			drop(kindFact, f.Key)
		} else {
			key := keyOf(kindFact, f.Key)
			ops = append(ops, op{Key: key, Value: seal(key, f.Value)})
		}
	}
	for _, origin := range slices.Sorted(maps.Keys(b.Seen)) {
		if k := b.Seen[origin]; k.Head > 0 {
			add(kindSeen, origin, k)
		} else {
			drop(kindSeen, origin)
		}
	}
	return ops, err
}

// removal adds the ops that remove every record of some kinds.
func (s *Store) removal(ops []op, kinds ...byte) ([]op, error) {
	return ops, s.db.View(func(txn *badger.Txn) error {
		for _, kind := range kinds {
			it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{kind}})
			for it.Rewind(); it.Valid(); it.Next() {
				ops = append(ops, op{Key: it.Item().KeyCopy(nil)})
			}
			it.Close()
		}
		return nil
	})
}

// unsure adds the ops of a store that has lost something: it no longer says
// which writes it has seen, and leaves out numbers that it may have given.
func (s *Store) unsure(ops []op) ([]op, error) {
	s.meta.Next += rewindGap
	return s.removal(ops, kindSeen)
}

func (s *Store) readMeta() error {
	return s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(metaKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return item.Value(func(record []byte) error {
			payload, err := unseal(metaKey, record)
			if err == nil {
				err = crdt.Decode(payload, &s.meta)
			}
			if err != nil {
				s.meta = meta{}
				s.damage = append(s.damage, fmt.Sprintf("the store's own record: %v", err))
			}
			return nil
		})
	})
}
