package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"mn/mesh"
	"mn/sim/lab/watch"
)

const (
	askEvery = 20 * time.Millisecond // between two requests of a client
	askMax   = 2 * time.Second       // for one of them
)

// serve acts as tick does, and answers HTTP meanwhile at its port "http": that it is well, unless it is a sick one.
func serve(ctx context.Context, args []string) error {
	status := http.StatusOK
	if len(args) > 0 && args[0] == "sick" {
		status = http.StatusServiceUnavailable
	}
	l, err := net.Listen("tcp", ":"+os.Getenv(mesh.VarPort+"HTTP"))
	if err != nil {
		return err
	}
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	s := &http.Server{ReadHeaderTimeout: askMax, Handler: http.HandlerFunc(answer)}
	go s.Serve(l) //nolint:errcheck // ends with Shutdown
	if err := tick(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), askMax)
	defer cancel()
	return s.Shutdown(ctx) // who is being answered gets the answer
}

// ask uses a service again and again until it is stopped, and then says what came of it: for each request it
// asks DNS at an address for one instance, and goes there, once.
func ask(ctx context.Context, service, at string) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, at)
	}}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var r watch.Requests
	every := time.NewTicker(askEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		err := request(ctx, client, resolver, service)
		if ctx.Err() != nil {
			break
		}
		r.All++
		if err != nil {
			r.Failed++
			if r.First == "" {
				r.First = err.Error()
			}
		}
		select {
		case <-ctx.Done():
		case <-every.C:
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// request is one request to an instance of a service.
func request(ctx context.Context, client *http.Client, resolver *net.Resolver, service string) error {
	ctx, cancel := context.WithTimeout(ctx, askMax)
	defer cancel()
	_, found, err := resolver.LookupSRV(ctx, "", "", service+".service.mn.")
	if err != nil {
		return err
	}
	hosts, err := resolver.LookupHost(ctx, found[0].Target)
	if err != nil {
		return err
	}
	url := "http://" + net.JoinHostPort(hosts[0], fmt.Sprint(found[0].Port))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, strings.NewReader(""))
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}
