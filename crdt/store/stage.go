package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"mn/crdt"
)

// A commit that does not fit into one transaction of Badger is first written
// beside the data, in parts; then a record that says how many they are makes it
// count; then the parts are carried out. A crash before that record leaves
// parts that count for nothing, and one after it leaves work that Open finishes:
// doing a part twice is doing it once.
const (
	partBytes = 128 << 10 // a part with one large record may be larger
	partOps   = 1000
)

var stagedKey = []byte{kindStaged}

func partKey(i uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kindStage}, i) }

// write makes ops durable, in one piece, together with the store's own record.
func (s *Store) write(ops []op) error {
	m := s.meta
	m.Commits++
	own, err := put(kindMeta, "", m)
	if err != nil {
		return err
	}
	ops = append(ops, own)
	err = s.transact(ops)
	if errors.Is(err, badger.ErrTxnTooBig) {
		s.stats.Staged++
		err = s.stage(ops)
	}
	if err != nil {
		return err
	}
	s.meta = m
	return s.mark.set(m.Commits)
}

// transact carries out ops in one transaction.
func (s *Store) transact(ops []op) error {
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for _, o := range ops {
		var err error
		if o.Value == nil {
			err = txn.Delete(o.Key)
		} else {
			err = txn.Set(o.Key, o.Value)
		}
		if err != nil {
			return err
		}
	}
	return txn.Commit()
}

func (s *Store) stage(ops []op) error {
	var n uint64
	for len(ops) > 0 {
		part, size := 0, 0
		for part < len(ops) && part < partOps && (part == 0 || size+len(ops[part].Value) <= partBytes) {
			size += len(ops[part].Key) + len(ops[part].Value)
			part++
		}
		payload, err := crdt.Encode(ops[:part])
		if err != nil {
			return err
		}
		key := partKey(n)
		if err := s.transact([]op{{Key: key, Value: seal(key, payload)}}); err != nil {
			return err
		}
		n, ops = n+1, ops[part:]
	}
	staged, err := put(kindStaged, "", n)
	if err != nil {
		return err
	}
	if err := s.transact([]op{staged}); err != nil {
		return err
	}
	return s.finishStaged()
}

// finishStaged carries out a large commit if it counts, and clears it away.
func (s *Store) finishStaged() error {
	var n uint64
	err := s.read(stagedKey, &n)
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return fmt.Errorf("finish a large commit: %w", err)
	}
	for i := range n {
		var ops []op
		if err := s.read(partKey(i), &ops); err != nil {
			return fmt.Errorf("finish a large commit, part %d of %d: %w", i+1, n, err)
		}
		if err := s.transact(ops); err != nil {
			return fmt.Errorf("finish a large commit, part %d of %d: %w", i+1, n, err)
		}
	}
	rest, err := s.removal(nil, kindStaged, kindStage)
	if err != nil {
		return err
	}
	for _, o := range rest { // what makes it count goes first
		if err := s.transact([]op{o}); err != nil {
			return fmt.Errorf("clear a large commit away: %w", err)
		}
	}
	return nil
}

// read reads one record.
func (s *Store) read(key []byte, v any) error {
	return s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(record []byte) error {
			payload, err := unseal(key, record)
			if err != nil {
				return err
			}
			return crdt.Decode(payload, v)
		})
	})
}
