package main

import (
	"strings"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/configs/manifest"
	"mn/mesh"
)

// imported is what `mn job import` says.
type imported struct {
	File  string   `json:"file"`
	Name  string   `json:"name"`
	Notes []string `json:"notes"`
	Text  string   `json:"text"`
}

func (c *command) jobImport() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "import MANIFEST|DIR",
		Short: "Make a job file of a MirrorNeuron manifest",
		Long: `Write a job file that says what a manifest.json says, or that of a folder. What has a
command becomes a task; an edge between two of them, in a batch job, becomes "after". What
has no counterpart is named, here and at the top of the file: read it before you run the
job. A file that is there already is left alone.`,
		Example: `  mn job import bundle/manifest.json
  mn job import bundle -o job.toml && mn job validate job.toml
  mn job import manifest.json -o -`,
		Args: needs("MANIFEST"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text, job, notes, err := manifest.File(args[0])
			if err != nil {
				return err
			}
			if file != toStdout {
				if err := writeNew(file, text); err != nil {
					return err
				}
			}
			for _, n := range notes {
				c.say("note: %s", n)
			}
			if _, err := configs.ParseJob(file, text); err != nil {
				c.say("warning: as it is it cannot be run")
				for line := range strings.Lines(mesh.FaultOf(err).Text) {
					c.say("%s", strings.TrimSpace(line))
				}
			}
			return c.result(imported{file, job.Name, notes, string(text)}, func() {
				if file == toStdout {
					c.printf("%s", text)
					return
				}
				c.printf("%s is a job of type %q called %q\n", file, job.Type, job.Name)
			})
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "job.toml", "file to write; - for the standard output")
	return cmd
}
