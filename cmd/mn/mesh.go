package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh"
	"mn/mesh/api"
	"mn/mesh/daemon"
)

// tokenMax bounds a file with a join token, in bytes.
const tokenMax = 4 << 10

func (c *command) meshCommand() *cobra.Command {
	return group("mesh", "Make a mesh, and let machines in",
		c.meshInit(), c.meshJoin(), c.meshRecover(),
		group("token", "Permissions to join",
			c.tokenCreate(), c.tokenList(), c.tokenRevoke()))
}

// made is what became of a data directory, for scripts.
type made struct {
	Mesh   string      `json:"mesh"`
	Node   string      `json:"node"`
	NodeID mesh.NodeID `json:"node_id"`
	Data   string      `json:"data"`
}

func (c *command) meshInit() *cobra.Command {
	var name, file string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a new mesh, with this machine as its first",
		Long: `Make the keys of a new mesh in the data directory, with this machine as its first
node. Then run "mn agent", and "mn mesh token create" to let others in.`,
		Example: "  mn mesh init --name box-1 && mn agent",
		Args:    needs(),
		RunE: func(_ *cobra.Command, _ []string) error {
			dir, err := c.dataDir()
			if err != nil {
				return err
			}
			var cfg configs.Daemon
			if file != "" {
				if cfg, err = configs.ReadDaemon(file); err != nil {
					return err
				}
			}
			if name == "" {
				name = cfg.Name
			}
			m, err := daemon.Init(dir, daemon.InitOptions{Name: name, Lease: cfg.Lease})
			if err != nil {
				return err
			}
			return c.joined("made", dir, m)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "label of this node; the host's name if not given")
	cmd.Flags().StringVar(&file, "config", "", "the agent's TOML file, for its name and lease")
	_ = cmd.MarkFlagFilename("config", "toml")
	return cmd
}

func (c *command) joined(how, dir string, m daemon.Mesh) error {
	err := c.result(made{Mesh: m.ID, Node: m.Name, NodeID: m.Node, Data: dir}, func() {
		c.printf("mesh %s is %s; this is node %s (%s)\n", m.ID, how, m.Name, m.Node)
	})
	if !c.asJSON {
		c.say("hint: mn agent --data %s runs it", dir)
	}
	return err
}

func (c *command) meshJoin() *cobra.Command {
	var name, file string
	cmd := &cobra.Command{
		Use:   "join ADDR --token-file F",
		Short: "Join a mesh with a token",
		Long: `Have this machine let into a mesh by the peer at ADDR, which is host:port of any
of its agents. The token is read from a file, or with "-" from stdin; it is never an
argument, where everyone on the machine could see it. Then run "mn agent".`,
		Example: "  mn mesh join box-1:7700 --token-file token\n" +
			"  ssh box-1 mn mesh token create | mn mesh join box-1:7700 --token-file -",
		Args: needs("ADDR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return misused(cmd, "--token-file is missing")
			}
			token, err := c.readToken(file)
			if err != nil {
				return err
			}
			dir, err := c.dataDir()
			if err != nil {
				return err
			}
			m, err := daemon.Join(cmd.Context(), dir, daemon.JoinOptions{
				Addr: args[0], Token: token, Name: name,
			})
			if err != nil {
				return err
			}
			return c.joined("joined", dir, m)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "label of this node; the host's name if not given")
	cmd.Flags().StringVar(&file, "token-file", "", "file with the token; - for stdin")
	return cmd
}

// readToken reads a secret from a file or stdin.
func (c *command) readToken(file string) (string, error) {
	in := c.in
	if file != "-" {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return "", mesh.Faultf(mesh.NotFound, "no token file %q", file)
		}
		if err != nil {
			return "", fmt.Errorf("open the token file: %w", err)
		}
		defer f.Close()
		c.warnOfReaders(f)
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, tokenMax))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", mesh.Faultf(mesh.Invalid, "token file %q is empty", file).
			Hint("mn mesh token create, on any node of the mesh, prints a token")
	}
	return token, nil
}

// warnOfReaders says that a token is no secret on this machine. It is not
// refused: what could be read has been, and the token is still good.
func (c *command) warnOfReaders(f *os.File) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o044 == 0 {
		return
	}
	c.say("warning: others can read token file %q (mode %04o): make it with (umask 077; mn mesh token create > %s)",
		f.Name(), info.Mode().Perm(), filepath.Base(f.Name()))
}

func (c *command) tokenCreate() *cobra.Command {
	var (
		ttl  string
		uses int
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token that lets machines join",
		Long: `Print a token with which machines may join until it expires or is used up. It
carries the fingerprint of the mesh's CA, so that whoever joins knows the mesh before
it says the secret. Only a hash of the secret is kept: it is not shown again.`,
		Example: "  (umask 077; mn mesh token create --ttl 15m --uses 3 > token)",
		Args:    needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := api.TokenRequest{Uses: uses}
			if err := r.TTL.UnmarshalText([]byte(ttl)); err != nil {
				return misused(cmd, "--ttl: %v", err)
			}
			if r.TTL == 0 || r.Uses == 0 {
				return misused(cmd, "a token of --ttl %v and --uses %d lets nobody in", r.TTL, r.Uses)
			}
			client, err := c.client()
			if err != nil {
				return err
			}
			defer client.Close()
			t, err := client.CreateToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			return c.result(t, func() { c.printf("%s\n", t.Token) })
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", mesh.Duration(api.DefaultTokenTTL).String(), "how long it is good")
	cmd.Flags().IntVar(&uses, "uses", api.DefaultTokenUses, "how many machines may join with it")
	return cmd
}

func (c *command) tokenList() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the tokens, without their secrets",
		Example: "  mn mesh token ls",
		Args:    needs(),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, _ []string) error {
			tokens, err := client.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			return c.result(tokens, func() {
				b := newTable("ID", "STATUS", "USED", "CREATED", "EXPIRES")
				for _, t := range tokens {
					b.add(t.ID, state(t.Status), fmt.Sprintf("%d/%d", t.Used, t.Uses),
						ago(&t.CreatedAt), t.ExpiresAt.Local().Format("2006-01-02 15:04:05"))
				}
				c.table(b)
			})
		}),
	}
}

func (c *command) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke ID",
		Short:             "End a token before its time",
		Long:              "End a token before its time. Machines that joined with it stay.",
		Example:           "  mn mesh token revoke 7hq2",
		Args:              needs("ID"),
		ValidArgsFunction: c.complete(tokenIDs),
		RunE: c.ask(func(cmd *cobra.Command, client *api.Client, args []string) error {
			if err := client.RevokeToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			return c.result(map[string]string{"id": args[0], "status": "revoked"}, func() {
				c.printf("token %s is revoked\n", args[0])
			})
		}),
	}
}
