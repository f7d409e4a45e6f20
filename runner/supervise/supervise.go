// Package supervise is for keeping one task's process in hand independently of
// the agent: the process "mn supervise", one per attempt of a task.
package supervise

// Main is the supervisor process: its arguments are what follows "supervise"
// on the command line. It returns the exit code. Call it before anything else
// in main: whatever runs earlier is paid once per task.
func Main(args []string) int { return 2 }
