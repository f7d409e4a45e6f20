package supervise

import (
	"os"
)

// ProbeWord is the argument, before a task's folder, of a process that tries
// whether there can be a sandbox for what the folder's spec describes. It says
// why not, and ends with an error then. The spec has no command: all is done but
// to execute it.
const ProbeWord = "probe"

func mainProbe(args []string) int {
	if len(args) != 1 {
		os.Stderr.WriteString("usage: mn supervise probe FOLDER\n")
		return 2
	}
	if err := probe(args[0]); err != nil {
		os.Stdout.WriteString(err.Error())
		return 1
	}
	return 0
}

func probe(folder string) error {
	if err := os.Chdir(folder); err != nil {
		return because(err, "enter task folder")
	}
	spec, err := readSpec()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return because(err, "try sandbox")
	}
	f, _, err := forkSandboxed(spec, []uintptr{null.Fd(), null.Fd(), null.Fd()})
	if err != nil {
		return err
	}
	wait(f.leader)
	f.door.Close()
	return nil
}
