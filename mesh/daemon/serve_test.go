package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"mn/mesh/api"
)

// TestRecordsAreAnAddressBook: the address book is written some time after peers were
// seen. Nodes that die before, all at once, find each other by their records.
func TestRecordsAreAnAddressBook(t *testing.T) {
	agents := newMesh(t, 2)
	for _, a := range agents {
		known := errors.New("both have said where they are")
		err := a.client.WatchNodes(t.Context(), func(nodes []api.Node) error {
			if len(nodes) == 2 && nodes[0].Address != "" && nodes[1].Address != "" {
				return known
			}
			return nil
		})
		if !errors.Is(err, known) {
			t.Fatal(err)
		}
	}
	for _, a := range agents {
		a.stop()
		if err := os.RemoveAll(filepath.Join(a.cfg.Data, bookFile)); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range agents {
		a.start()
	}
	for _, a := range agents {
		a.waitPeers(2)
	}
}
