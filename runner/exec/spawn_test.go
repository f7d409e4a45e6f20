package exec

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestWhatIsTheNodesFault(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("make folder: %w", &fs.PathError{Op: "mkdir", Path: "x", Err: syscall.ENOSPC}): true,
		fmt.Errorf("spawn supervisor: %w", errors.Join(errors.New("x"), syscall.EAGAIN)):          true,
		fmt.Errorf("start: %w", &fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.ENOENT}):   false,
		fmt.Errorf("start: %w", &fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.EACCES}):   false,
		blunt("", fmt.Errorf("image: %w", syscall.EAGAIN)):                                        false,
		blunt("plan container: ", fmt.Errorf("%w", syscall.ENOSPC)):                               false,
		errors.New("user \"nobody-here\" is not known"):                                           false,
	} {
		if got := nodeBroken(err); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}
