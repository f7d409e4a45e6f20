package mesh

import (
	"testing"
	"time"
)

func TestSignalsOfATask(t *testing.T) {
	checkFaults(t, []spoiled{
		{
			"signals", func(j *Job) {
				j.Tasks[0].StopSignal, j.Tasks[0].WarnSignal, j.Tasks[0].WarnBefore = "KILL", "SIGSTOP", Duration(2*time.Hour)
			},
			`task "web": stop_signal: has unsupported value "KILL"; supported: "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"
task "web": warn_signal: has unsupported value "SIGSTOP"; supported: "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"
task "web": warn_before: must be at most 1h, not 2h`,
		},
		{
			"a warning that is the stop", func(j *Job) { j.Tasks[0].WarnSignal = "SIGTERM" },
			`task "web": warn_signal: is what asks it to end, too: nobody could tell a warning from that`,
		},
		{
			"idle devices", func(j *Job) {
				j.Tasks[0].Devices = []DeviceRequest{{}}
				j.Tasks[0].Idle = &IdlePolicy{GPUBelow: 101, For: Duration(time.Second), Action: "scold"}
			},
			`task "web": idle.gpu_below: must be from 1 to 100, not 101
task "web": idle.for: must be at least 30s, not 1s
task "web": idle.action: has unsupported value "scold"; supported: "warn", "pause", "stop"`,
		},
		{
			"idle without devices", func(j *Job) { j.Tasks[0].Idle = &IdlePolicy{} },
			`task "web": idle: is about the devices of the task, and it asks for none`,
		},
		{
			"a negative time before its end", func(j *Job) { j.Tasks[0].WarnBefore = -1 },
			`task "web": warn_before: must not be negative, as -1ns is`,
		},
	})
}
