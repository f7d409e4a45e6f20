package main

import (
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"mn/mesh"
	"mn/mesh/api"
)

// version is the version of this binary, set by the linker.
var version = ""

// releaseName is the version of this binary, from the linker or else from what
// Go recorded of the source.
func releaseName() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "devel"
}

// versions are what runs here and there.
type versions struct {
	Release  string       `json:"release"` // of this binary
	Go       string       `json:"go"`
	Platform string       `json:"platform"`
	Agent    *api.Version `json:"agent"` // null if none answers
}

func (c *command) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is, and which the agent is",
		Example: "  mn version",
		Args:    needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{
				Release:  releaseName(),
				Go:       runtime.Version(),
				Platform: runtime.GOOS + "/" + runtime.GOARCH,
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			agent, err := client.Version(cmd.Context())
			var f *mesh.Fault
			switch {
			case err == nil:
				v.Agent = &agent
			case !errors.As(err, &f) || f.Kind != mesh.Unavailable:
				return err
			}
			return c.result(v, func() {
				c.field("mn", "%s (%s, %s)", v.Release, v.Go, v.Platform)
				if v.Agent == nil {
					c.field("agent", "none answers")
					return
				}
				c.field("agent", "%s, node %s (%s), started %s",
					v.Agent.Release, v.Agent.Node, v.Agent.NodeID, ago(&v.Agent.StartedAt))
				c.field("mesh", "%s", v.Agent.Mesh)
			})
		},
	}
}
