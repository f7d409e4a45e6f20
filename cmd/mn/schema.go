package main

import (
	"github.com/spf13/cobra"

	"mn/configs"
)

func (c *command) jobSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the job file, for editors",
		Long: `Print the JSON Schema (2020-12) of the job file, with what the manual says of each
key. Editors that read TOML with Taplo, as many do, complete keys and underline what
is wrong if the first line of a job file names it:

  #:schema ./job.schema.json`,
		Example:           "  mn job schema > job.schema.json",
		Args:              needs(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			c.printf("%s", configs.JobSchema())
			return nil
		},
	}
}
