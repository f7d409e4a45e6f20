package mesh

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidateFindsWhatNoTemplateCanBe(t *testing.T) {
	templates := func(all ...Template) func(*Job) {
		return func(j *Job) { j.Tasks[0].Templates = all }
	}
	checkFaults(t, []spoiled{
		{"good ones", templates(
			Template{Path: "a/b.conf", Content: "${service.vllm.all} ${node.label.rack}", Mode: "600"},
			Template{Path: "a/c.conf", Content: "x", OnChange: ChangeSignal, Signal: "SIGUSR1"},
			Template{Path: "d", Content: "x", OnChange: ChangeNoop},
		), ""},
		{"nothing in it", templates(Template{}), `task "web": template.0.path: is missing: want that of the file, in the task's folder` + "\n" +
			`task "web": template.0.content: is missing: want content, or source`},
		{
			"a source that nobody has read", templates(Template{Path: "a", Source: "b"}),
			`task "web": template.0.source: is read when a job file is, and this is none: want content`,
		},
		{
			"places", templates(
				Template{Path: "../a", Content: "x"}, Template{Path: "volumes/a", Content: "x"},
				Template{Path: "a", Content: "x"}, Template{Path: "a/b", Content: "x"},
			),
			`task "web": template.0.path: "../a" is not a path beneath the task's folder: want a relative one, without . and ..` + "\n" +
				`task "web": template.1.path: "volumes/a" is a name of ours in the task's folder: want another` + "\n" +
				`task "web": template.3.path: is "a/b", and another template is "a": want places beside each other`,
		},
		{
			"places of artifacts", func(j *Job) {
				j.Tasks[0].Artifacts = []Artifact{{Source: "https://x/tool.tar", Checksum: ChecksumNone, Destination: "in/tool"}}
				j.Tasks[0].Templates = []Template{{Path: "in/tool/conf", Content: "x"}}
				j.Tasks[1].Artifacts, j.Tasks[1].Templates = j.Tasks[0].Artifacts, []Template{{Path: "in", Content: "x"}}
			},
			`task "side": template.0.path: is "in", where artifact https://x/tool.tar is put: want another`,
		},
		{
			"words", templates(Template{Path: "a", Content: "x\x00", Mode: "0999", OnChange: "reload", Signal: "SIGKILL"}),
			`task "web": template.0.content: has a NUL byte in it` + "\n" +
				`task "web": template.0.mode: "0999" is no mode of a file: want three octal digits, such as "0644"` + "\n" +
				`task "web": template.0.on_change: has unsupported value "reload"; supported: "restart", "signal", "noop"` + "\n" +
				`task "web": template.0.signal: has unsupported value "SIGKILL"; supported: "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"` + "\n" +
				`task "web": template.0.signal: is for on_change = "signal": leave it out`,
		},
		{
			"a second start of what is unsafe", func(j *Job) {
				j.Recovery.OnPartition = Keep
				j.Tasks[0].Safety, j.Tasks[0].Templates = &Safety{Unsafe: true}, []Template{{Path: "a", Content: "x"}}
			},
			`task "web": template.0.on_change: "restart" starts the task a second time, and it is marked unsafe (unsafe = true): want "signal" or "noop"`,
		},
		{
			"what asks it to end", func(j *Job) {
				j.Tasks[0].Templates = []Template{{Path: "a", Content: "x", OnChange: ChangeSignal, Signal: "SIGTERM"}}
				j.Tasks[1].StopSignal, j.Tasks[1].Templates = "SIGHUP", []Template{{Path: "a", Content: "x", OnChange: ChangeSignal}}
			},
			`task "web": template.0.signal: SIGTERM is what asks it to end, too: want another` + "\n" +
				`task "side": template.0.signal: SIGHUP is what asks it to end, too: want another`,
		},
		{"too many", templates(make([]Template, 17)...), `task "web": template: has 17 entries, more than 16`},
		{"too many services", func(j *Job) {
			for i := range 65 {
				j.Tasks[0].Command = append(j.Tasks[0].Command, fmt.Sprintf("${service.s%d.port}", i))
			}
		}, `task "web": refers to 65 services, more than 64`},
		{
			"references", func(j *Job) {
				j.Tasks[1].Ports = []PortRequest{{Label: "http"}} // of the same copy
				j.Tasks[0].Command = []string{"x", "${alloc.port.http}", "${alloc.port.https}", "${env.HOME}", "${env.HOMES}", "${env.Q}"}
				j.Tasks[0].Templates = []Template{{Path: "a", Content: "${alloc.port.x}\n${node.nme}${node.nme}"}}
			},
			`task "web": command.2: no port of the copy has the label of ${alloc.port.https}; did you mean ${alloc.port.http}?` + "\n" +
				`task "web": command.4: unknown variable ${env.HOMES}; did you mean ${env.HOME}?` + "\n" +
				`task "web": command.5: unknown variable ${env.Q}; it is not in env, and known are ` +
				strings.Join(append(append([]string{}, OwnVariables...), BaseVariables...), ", ") + "; $${ stands for ${\n" +
				`task "web": template.0.content: no port of the copy has the label of ${alloc.port.x}: add a [[task.port]]` + "\n" +
				`task "web": template.0.content: unknown ${node.nme}; did you mean ${node.name}?`,
		},
	})
}

func TestTemplatesSayWhatFollows(t *testing.T) {
	for _, tt := range []struct {
		of      Template
		follows OnChange
		tells   string
		perm    uint32
	}{
		{Template{}, ChangeRestart, "", 0o644},
		{Template{OnChange: ChangeSignal, Mode: "600"}, ChangeSignal, "SIGHUP", 0o600},
		{Template{OnChange: ChangeSignal, Signal: "SIGUSR1", Mode: "0755"}, ChangeSignal, "SIGUSR1", 0o755},
		{Template{OnChange: ChangeNoop, Mode: "nope"}, ChangeNoop, "", 0},
	} {
		if tt.of.Follows() != tt.follows || tt.of.Tells() != tt.tells || tt.of.Perm() != tt.perm {
			t.Errorf("%+v: got %q, %q, %o", tt.of, tt.of.Follows(), tt.of.Tells(), tt.of.Perm())
		}
	}
}

// What is said of a template that would be meant anyway is no other content.
func TestHashOfATemplateIsOfWhatItMeans(t *testing.T) {
	of := func(f Template) string {
		j := good()
		j.Tasks[0].Templates = []Template{f}
		return HashGroup(j, "g")
	}
	plain := of(Template{Path: "a", Content: "x"})
	if plain == HashGroup(good(), "g") || plain == of(Template{Path: "a", Content: "y"}) {
		t.Error("a template is not what a node acts on")
	}
	if plain != of(Template{Path: "a", Content: "x", Mode: "0644", OnChange: ChangeRestart, Source: "b"}) {
		t.Error("defaults are another content")
	}
}
