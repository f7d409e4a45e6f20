package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
)

// fmtFlags are what is done with files that are laid out.
type fmtFlags struct{ check, write, diff bool }

// layoutRow is what `mn job fmt` says of a file.
type layoutRow struct {
	File    string `json:"file"`
	Changed bool   `json:"changed"`
	Text    string `json:"text"` // as it is laid out
}

func (c *command) jobFmt() *cobra.Command {
	var f fmtFlags
	cmd := &cobra.Command{
		Use:   "fmt FILE|DIR...",
		Short: "Lay out job files",
		Long: `Print job files as all of them look: one space around an equals sign and after a comma,
a blank line before each table and never two, no indentation but in lists of several
lines, and the comments behind values in one column. Values and comments stay as they
are written, and so does the order of all. The files must be TOML, and may be wrong
otherwise.`,
		Example: `  mn job fmt job.toml
  mn job fmt -w jobs/*.toml
  mn job fmt --check jobs/*.toml || mn job fmt --diff jobs/*.toml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused(cmd, "FILE is missing")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return jobFiles(cmd, nil, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check && f.write || f.check && f.diff || f.write && f.diff {
				return misused(cmd, "--check, --write and --diff are each for themselves: want one of them")
			}
			return c.layOut(args, f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.check, "check", false, "name the files that are not laid out, and fail if there are some")
	flags.BoolVarP(&f.write, "write", "w", false, "write them, and name those that have changed")
	flags.BoolVar(&f.diff, "diff", false, "print what would change")
	return cmd
}

// layOut reads all files before it writes one: none is written if one is no TOML.
func (c *command) layOut(paths []string, f fmtFlags) error {
	rows, changed := []layoutRow{}, 0
	var layouts []configs.Layout
	for _, path := range paths {
		l, err := configs.ReadLayout(path)
		if err != nil {
			return err
		}
		layouts = append(layouts, l)
		row := layoutRow{l.Path, !bytes.Equal(l.Was, l.Is), string(l.Is)}
		if rows = append(rows, row); row.Changed {
			changed++
		}
	}
	for i, l := range layouts {
		if f.write && rows[i].Changed {
			if err := rewrite(l.Path, l.Is); err != nil {
				return err
			}
		}
	}
	err := c.result(rows, func() {
		for i, l := range layouts {
			switch {
			case f.diff:
				c.printf("%s", diff.Diff(l.Path, l.Was, l.Path+" (laid out)", l.Is))
			case !f.check && !f.write:
				c.printf("%s", l.Is)
			case rows[i].Changed:
				c.printf("%s\n", l.Path)
			}
		}
	})
	if err == nil && f.check && changed > 0 {
		return mesh.Faultf(mesh.Conflict, "not laid out: %d of %s", changed, mesh.Counted(len(rows), "file", "files")).
			Hint("mn job fmt -w lays them out")
	}
	return err
}

// rewrite puts another content into a file at once: it is the one or the other,
// whatever happens.
func rewrite(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".mn-fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which is not there any more if all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
