package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"mn/configs"
	"mn/mesh/daemon"
)

// off is said where there is no DNS.
const off = "off"

func (c *command) agentCommand() *cobra.Command {
	var (
		flags configs.Daemon
		file  string
	)
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run this machine's node",
		Long: `Run the node of a data directory that "mn mesh init" or "mn mesh join" has made.
It runs until it is stopped by Ctrl-C or SIGTERM. Tasks do not end with it: the next
agent finds them again.

The log goes to stderr; with --json, as JSON.`,
		Example: "  mn agent --data /var/lib/mn\n  mn agent --config /etc/mn.toml",
		Args:    needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.agentConfig(cmd, file, flags)
			if err != nil {
				return err
			}
			handler := slog.Handler(slog.NewTextHandler(c.err, nil))
			if c.asJSON {
				handler = slog.NewJSONHandler(c.err, nil)
			}
			log := slog.New(handler)
			return daemon.Run(cmd.Context(), cfg, daemon.Options{
				Release: releaseName(),
				Log:     log,
				Ready: func(i daemon.Info) {
					log.Info("the agent runs", "node", i.Name, "id", i.Node, "mesh", i.Mesh,
						"address", i.Address, "socket", i.Socket, "dns", cmp.Or(i.DNS, off))
				},
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.Name, "name", "", "label of the node; the one it joined with if not given")
	f.StringVar(&flags.Bind, "bind", "", "IP address to listen on; all if not given")
	f.IntVar(&flags.Port, "port", 0, fmt.Sprintf("UDP port; %d if not given", configs.DefaultPort))
	f.StringVar(&flags.HTTP, "http", "", "loopback host:port to serve the API on; none if not given")
	f.StringVar(&flags.DNS.Listen, "dns", "",
		`IP address and port to answer DNS on, or "off"; `+configs.DefaultDNS+" if not given")
	f.StringVar(&file, "config", "", "TOML file with these and more settings; flags override it")
	_ = cmd.MarkFlagFilename("config", "toml")
	return cmd
}

// agentConfig is what the file says, and the flags that override it.
func (c *command) agentConfig(cmd *cobra.Command, file string, flags configs.Daemon) (configs.Daemon, error) {
	var cfg configs.Daemon
	if file != "" {
		var err error
		if cfg, err = configs.ReadDaemon(file); err != nil {
			return cfg, err
		}
	}
	given := cmd.Flags().Changed
	if given("name") {
		cfg.Name = flags.Name
	}
	if given("bind") {
		cfg.Bind = flags.Bind
	}
	if given("port") {
		cfg.Port = flags.Port
	}
	if given("http") {
		cfg.HTTP = flags.HTTP
	}
	if given("dns") {
		if cfg.DNS = flags.DNS; cfg.DNS.Listen == off {
			cfg.DNS = configs.DNS{Off: true}
		}
	}
	var err error
	if cfg.Data == "" || given("data") {
		cfg.Data, err = c.dataDir()
	} else {
		cfg.Data, err = filepath.Abs(cfg.Data)
	}
	if err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate()
}
