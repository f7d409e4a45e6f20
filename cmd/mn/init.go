package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
)

// initFlags are what a job file to start from is asked for.
type initFlags struct {
	file, of, example string
	list              bool
}

// toStdout is the name of a file that means the standard output.
const toStdout = "-"

// started is what `mn job init` says.
type started struct {
	File string       `json:"file"`
	Name string       `json:"name"`
	Type mesh.JobType `json:"type"`
	Text string       `json:"text"`
}

func (c *command) jobInit() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init [NAME]",
		Short: "Write a job file to start from",
		Long: `Write a small job file with comments, which can be run as it is: of a type, or one of
the examples that come with mn. NAME is the job's; if it is not given, the folder's, or
the example's own. A file that is there already is left alone.`,
		Example: `  mn job init web
  mn job init train --type batch -o train.toml
  mn job init --list
  mn job init --example pipeline -o -`,
		Args:              atMost("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return c.listExamples()
			}
			if f.example != "" && cmd.Flags().Changed("type") {
				return misused(cmd, "an example has its own type: leave --type out")
			}
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return c.startFile(cmd, f, name)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "output", "o", "job.toml", "file to write; - for the standard output")
	flags.StringVar(&f.of, "type", string(mesh.Service), "service, batch, system or sysbatch")
	flags.StringVar(&f.example, "example", "", "name of an example to begin with")
	flags.BoolVar(&f.list, "list", false, "list the examples instead")
	types := []cobra.Completion{
		string(mesh.Service), string(mesh.Batch), string(mesh.System), string(mesh.SysBatch),
	}
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(types, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("example", exampleNames)
	return cmd
}

// exampleNames completes the name of an example.
func exampleNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, _ := configs.ListExamples() // they are tested to be good
	var names []string
	for _, e := range all {
		names = append(names, e.Name+"\t"+e.About)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (c *command) listExamples() error {
	all, err := configs.ListExamples()
	if err != nil {
		return err
	}
	return c.result(all, func() {
		b := newTable("NAME", "TYPE", "ABOUT")
		for _, e := range all {
			b.add(e.Name, e.Type, e.About)
		}
		c.table(b)
	})
}

func (c *command) startFile(cmd *cobra.Command, f initFlags, name string) error {
	var text []byte
	var job *mesh.Job
	var err error
	if f.example != "" {
		text, job, err = configs.FromExample(f.example, name)
	} else {
		if name == "" {
			if name, err = folderName(cmd, f.file); err != nil {
				return err
			}
		}
		text, job, err = configs.Start(mesh.JobType(f.of), name)
	}
	if err != nil {
		return err
	}
	if f.file != toStdout {
		if err := writeNew(f.file, text); err != nil {
			return err
		}
	}
	return c.result(started{f.file, job.Name, job.Type, string(text)}, func() {
		if f.file == toStdout {
			c.printf("%s", text)
			return
		}
		c.printf("%s is a job of type %q called %q\n", f.file, job.Type, job.Name)
	})
}

// folderName is the name of the folder in which a file is, for a job in it.
func folderName(cmd *cobra.Command, file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	name := filepath.Base(filepath.Dir(path))
	if !mesh.ValidName(name) {
		return "", misused(cmd, "NAME is missing, and the folder is called %q, as no job can be", name)
	}
	return name, nil
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return mesh.Faultf(mesh.Conflict, "%q is there already, and is left as it is", path).
			Hint("-o FILE writes another, -o - to the standard output")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
