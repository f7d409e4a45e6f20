package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mn/mesh"
	"mn/runner/disk"
)

// Git reads what a stranger's server sends, so where the agent is root's git runs as somebody who
// may do nothing. That user cannot go through the agent's folders, so git has a view of the machine's
// files in which its own folder is in another place.

const (
	// gitUser is nobody else's: 65520 to 65533 are given out by no system. Tasks may run as nobody
	// (65534), and could end what their own user runs, and read the passwords that it has.
	gitUser  = 65521
	gitPlace = "/tmp" // where git sees its folder

	gitExtra   = 64 << 20  // bytes besides the objects themselves: lists of them
	gitReserve = 256 << 20 // bytes of the disk that stay free
	gitLook    = time.Second / 2
)

// apart says whether git is to be kept apart from the agent and can be: a root in a container may not
// be allowed to.
var apart = sync.OnceValue(func() bool {
	if os.Geteuid() != 0 {
		return false
	}
	tried := make(chan error)
	go alone(func() { tried <- ownView() })
	return <-tried == nil
})

// Closed says whether nobody but the agent has to get through to the folders of what is fetched:
// git's user does where it has no view of its own.
func Closed() bool { return os.Geteuid() != 0 || apart() }

// alone does something on a thread of its own, which ends with it. The first thread of a process never
// ends.
func alone(do func()) {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		do()
		return // still locked
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		alone(do) // it is another thread, as this one waits
	}()
	<-done
	runtime.UnlockOSThread()
}

// ownView has the thread see the machine's files in its own way.
func ownView() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("keep git apart: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep git apart: %w", err)
	}
	return nil
}

// home is where git sees its folder.
func (g *git) home() string {
	if apart() {
		return gitPlace
	}
	return g.dir
}

// own gives git's folder to its user.
func (g *git) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := os.Lchown(g.dir, gitUser, gitUser); err != nil {
		return fmt.Errorf("give git its folder: %w", err)
	}
	return nil
}

// start starts git. It dies with the thread that has started it, which waits for it. Wait is to be
// called once all that it says is read.
func (g *git) start(cmd *exec.Cmd) (wait func() error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: gitUser, Gid: gitUser}
	}
	started, read, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	go alone(func() {
		var err error
		if apart() {
			if err = ownView(); err == nil {
				err = unix.Mount(g.dir, gitPlace, "", unix.MS_BIND, "")
			}
		}
		if err == nil {
			err = cmd.Start()
		}
		if started <- err; err == nil {
			<-read
			ended <- cmd.Wait()
		}
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start git: %w", err)
	}
	return func() error {
		close(read)
		return <-ended
	}, nil
}

// watched is a context that ends when git's folder has more than it may, or the disk too little
// room. Stop ends the watch.
func (g *git) watched(ctx context.Context) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		look := time.NewTicker(gitLook)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			if err := g.room(); err != nil {
				cancel(err)
				return
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// room says whether git may go on.
func (g *git) room() error {
	free, _, err := disk.Room(g.dir)
	if err != nil {
		return err
	}
	if free < gitReserve {
		return fmt.Errorf("the disk is nearly full: %v are free, and %v must stay", mesh.Bytes(free),
			mesh.Bytes(gitReserve))
	}
	held := int64(0)
	err = filepath.WalkDir(g.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if info, err := e.Info(); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				held += stat.Blocks * 512
			}
		}
		if held > g.most+gitExtra {
			return errTooLarge
		}
		return nil
	})
	if errors.Is(err, errTooLarge) {
		return Final(fmt.Errorf("the repository is larger than %v: set max_size, if that is right", mesh.Bytes(g.most)))
	}
	return nil
}

var errTooLarge = errors.New("git's folder is too large")
