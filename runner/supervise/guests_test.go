package supervise

import (
	"os"
	"syscall"
	"testing"
)

// What comes through a door without open files, as there was no room for them, does not
// shut it for those who come next.
func TestDoorStaysOpenForThoseWhoComeNext(t *testing.T) {
	ours, theirs, err := openDoor()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	visitors := visitors(theirs)
	if err := syscall.Sendmsg(int(ours.Fd()), []byte{0}, nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := hand(ours, []*os.File{null, null}); err != nil {
		t.Fatal(err)
	}
	files := <-visitors
	if len(files) != 2 {
		t.Errorf("got %d files, want those that were handed over last", len(files))
	}
	closeAll(files)
	ours.Close()
}
